"""What lets a tester have a party sign on the link with a key that nobody knows any more.

Used only while a fault of kind ``old_key`` is armed (`services.chassis.faults.board`). The key is
made here when it is first needed; no key store is read, and nothing that anyone trusts is signed
by it. Two ways: the message says that it is signed with the party's own key, and the signature
does not verify; or it names the old key, which nobody has pinned.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.chassis.faults.exchange import Pairs
from services.chassis.faults.messages import Answer, Asked
from services.chassis.time.clock import Clock
from services.link.errors import BaseError
from services.link.identity import LinkIdentity
from services.link.wire import profile
from services.link.wire.message import Headers, HttpRequest, fold_headers
from services.link.wire.signing import Address, Stamp, sign_request, sign_response

_ECDSA_SHA256 = ec.ECDSA(hashes.SHA256())


class UnsafeOldKey:
    """Signs what one party says on the link with a key that was never its own.

    Args:
        identity: Who the party is.
        clock: Transport time.
    """

    def __init__(self, identity: LinkIdentity, clock: Clock) -> None:
        self._identity = identity
        self._clock = clock

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    def request(self, asked: Asked, *, claims_own: bool) -> Asked:
        """A request of this party, signed anew; one that is not of the link, as it is."""
        told = _value(asked)
        try:
            signed = sign_request(
                told.path,
                told.body,
                Address(
                    told.first(profile.PURPOSE) or "",
                    told.first(profile.MESSAGE_ID) or "",
                    self._identity.system,
                    told.first(profile.RECIPIENT) or "",
                ),
                self._stamp(claims_own=claims_own),
                self._sign,
            )
        except BaseError:
            return asked
        if told.first(profile.SIGNATURE) is None:
            return asked
        return replace(asked, headers=_renewed(asked.headers, signed.headers))

    def answer(self, asked: Asked, answer: Answer, *, claims_own: bool) -> Answer:
        """An answer of this party, signed anew and bound to its request; any other, as it is."""
        try:
            signed = sign_response(
                _value(asked),
                answer.status,
                answer.body,
                sender=self._identity.system,
                stamp=self._stamp(claims_own=claims_own),
                sign=self._sign,
            )
        except BaseError:
            return answer
        return replace(answer, headers=_renewed(answer.headers, signed.headers))

    def _stamp(self, *, claims_own: bool) -> Stamp:
        stamp = self._identity.stamp(self._clock)
        if claims_own:
            return stamp
        public = self._key.public_key()
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return replace(stamp, key_id=hashlib.sha256(point).hexdigest()[:16])

    def _sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(data, _ECDSA_SHA256))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _value(asked: Asked) -> HttpRequest:
    return HttpRequest(asked.method, asked.path, "", fold_headers(asked.headers), asked.body)


def _renewed(before: Pairs, signed: Headers) -> Pairs:
    """The headers with those that were signed in place of what stood there."""
    names = {name.encode() for name, _ in signed}
    kept = [(name, value) for name, value in before if name.lower() not in names]
    return (*kept, *((name.encode(), value.encode("latin-1")) for name, value in signed))
