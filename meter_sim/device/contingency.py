"""The contingency key: how a device comes to verify a Command that nobody in its cells signed.

All of this module is a reconstruction. What is known (docs/sources.md#modes, #update-payload,
#hierarchy, #our-own): the public half of the contingency key lies encrypted in the root
certificate, the Command (mode 9, anyByContingency) brings the symmetric key in plain text, and its
signature is then verified with what that unwraps. Neither the extension's octets nor a mode 9
Command is published, and the simulated root carries no extension; so here

- the wrapped key is installed with the device, beside its cells, and is never replaced;
- it is the public key as an uncompressed point (65 octets), wrapped by AES key wrap with padding
  (RFC 5649, which also proves that the key is the right one) under 16 octets;
- the Command names the root cell as its authority, because field [2] is always there but for the
  Broker's own replacement (GBCS 0.8.1 p179), and the root is what the key came with;
- the originator is whoever the Command says: no cell holds an identity for the contingency key, so
  the signature alone speaks for it. Its counter is that of the root role;
- the root it brings need not be signed by the root that is held, which may be what was lost; it
  must be a root certificate signed by itself.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gbcs.errors import ParseError
from gbcs.message import Message
from gbcs.payloads.credentials import decode_update

SYMMETRIC_KEY_OCTETS = 16
WRAPPED_OCTETS = 80
"""An uncompressed point, padded to 72 octets, and the integrity block."""


class NoContingencyKeyError(Exception):
    """There is no contingency key to verify this Command with; the text says why, and no key."""


def wrap(public_key: EllipticCurvePublicKey, symmetric_key: bytes) -> bytes:
    """Wrap the public half of a contingency key, for installation in devices.

    Raises:
        NoContingencyKeyError: the symmetric key is not 16 octets.
    """
    if len(symmetric_key) != SYMMETRIC_KEY_OCTETS:
        raise NoContingencyKeyError(f"the symmetric key is not {SYMMETRIC_KEY_OCTETS} octets")
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return aes_key_wrap_with_padding(symmetric_key, point)


def unwrap(wrapped: bytes, symmetric_key: bytes) -> EllipticCurvePublicKey:
    """Unwrap it with the key that the Command brings.

    Raises:
        NoContingencyKeyError: this key does not unwrap it, or what it unwraps is no P-256 key.
    """
    if len(symmetric_key) != SYMMETRIC_KEY_OCTETS:
        raise NoContingencyKeyError(f"the symmetric key is not {SYMMETRIC_KEY_OCTETS} octets")
    try:
        point = aes_key_unwrap_with_padding(symmetric_key, wrapped)
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except (InvalidUnwrap, ValueError):
        raise NoContingencyKeyError(
            "the symmetric key does not unwrap the contingency key that is held"
        ) from None


def contingency_key(message: Message, wrapped: bytes | None) -> EllipticCurvePublicKey:
    """The key to verify this Command with: from its payload, not verified as that still is.

    Raises:
        NoContingencyKeyError: the device holds none, or the Command does not unwrap it.
    """
    if wrapped is None:
        raise NoContingencyKeyError("this device holds no contingency key to verify with")
    try:
        symmetric_key = decode_update(message.payload).plaintext_symmetric_key
    except ParseError:
        raise NoContingencyKeyError("no symmetric key can be read in the payload") from None
    if symmetric_key is None:
        raise NoContingencyKeyError("the Command brings no symmetric key")
    return unwrap(wrapped, symmetric_key)
