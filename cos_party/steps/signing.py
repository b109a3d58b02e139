"""The one place where the CoS digital signing key is used.

It takes an `Approved` and the intent that was committed under it, and nothing else: a command
that no complete list of checks approved has no way to the key.
"""

from __future__ import annotations

from cos_party.checks import REQUEST_SECTION
from cos_party.model import Intent, RequestEvidence, Signed
from gbcs.message import decode, encode
from gbcs.protect import sign
from keys.stores.store import Signer
from services.chassis.checks import Approved


class NotApprovedError(RuntimeError):
    """An approval was presented for something else: a programming error, never an answer."""


def sign_intent(approved: Approved[RequestEvidence], intent: Intent, signer: Signer) -> Signed:
    """Sign exactly the bytes of the intent.

    The result is the command without its MAC: ``DF ... 40 r s``. Adding the MAC, and reaching the
    device, are the access control broker's (GBCS 0.8.1 p163).

    Args:
        approved: what the complete list of checks gave.
        intent: what was recorded, under that approval, before this call.
        signer: the CoS digital signing key.

    Raises:
        NotApprovedError: the approval is of another section or of another request's bytes.
        gbcs.errors.GbcsError: the intent is not a message, or the signer gave no signature.
    """
    if (
        approved.section != REQUEST_SECTION
        or approved.subject != intent.request_id
        or approved.evidence.incoming.digest != intent.digest
    ):
        raise NotApprovedError(f"{approved!r} does not approve {intent.request_id}")
    signed = sign(decode(intent.pre_command), signer.sign)
    return Signed(signed.header.originator, signed.header.counter, encode(signed))
