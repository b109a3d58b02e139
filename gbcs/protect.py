"""The two protections of a message: digital signature and message authentication code.

Signature: ECDSA P-256 with SHA-256 over the grouping header without its leading DF and the
payload; 64 octets r||s. docs/sources.md#signature; confirmed by RTDS vectors.

MAC: Z is the x-coordinate (32 octets) of the static-static P-256 agreement between the Access
Control Broker and the device (commands) or the device and the recipient (others).

    OI  = 60857406080300 | originator (8) | 09 | CRA (1) | counter (8) | recipient (8)
    K   = first 16 octets of SHA-256(00000001 | Z | OI)            NIST SP 800-56A, one step
    IV  = originator (8) | 00000000
    AAD = 11 | 0000000000 | DF ... payload | signature length | signature
    MAC = first 12 octets of the AES-128-GCM tag of no plaintext

Originator and counter are the grouping header's, even where the Access Control Broker's key makes
the MAC. docs/sources.md#mac; confirmed by RTDS vectors.

Neither private key is seen here: signing is a callable, agreement comes in as Z.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from gbcs.certificates import READ_ERRORS, load_certificate
from gbcs.entity import entity_to_bytes
from gbcs.errors import EncodeError, MacInvalid, ParseError, SignatureInvalid
from gbcs.message import (
    MAC_LENGTH,
    SIGNATURE_LENGTH,
    GroupingHeader,
    Message,
    encode_content,
    encode_header,
    encode_signed_part,
)
from gbcs.tally import COUNTS

_ALGORITHM = bytes.fromhex("60857406080300")
_AAD_START = bytes.fromhex("110000000000")
_Z_LENGTH = 32


def signature_input(m: Message) -> bytes:
    """What the signature covers: grouping header without its leading DF, and payload.

    Raises:
        EncodeError: the message cannot be written.
    """
    return encode_content(m)[1:]


def sign(m: Message, sign: Callable[[bytes], bytes]) -> Message:
    """The message with a signature; a MAC it had, which would no longer hold, is dropped.

    `sign` makes an ECDSA P-256 / SHA-256 signature over the octets it is given, 64 octets r||s.

    Raises:
        EncodeError: the message cannot be written, or `sign` gave something else.
    """
    signature = sign(signature_input(m))
    if len(signature) != SIGNATURE_LENGTH:
        raise EncodeError(f"the signer must give {SIGNATURE_LENGTH} octets r||s")
    return replace(m, signature=signature, mac=None)


def verify_signature(m: Message, public_key: ec.EllipticCurvePublicKey | bytes) -> None:
    """Check the signature with a public key, or with the public key of a DER certificate.

    Raises:
        SignatureInvalid: it is absent, or was not made over this message by that key, or the
            certificate cannot be read or holds no P-256 key.
    """
    if not m.signature:
        raise SignatureInvalid("the message carries no signature")
    verify_raw(_public_key(public_key), m.signature, signature_input(m))


def verify_raw(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
    """Check r||s of 64 octets over octets: ECDSA with SHA-256 and a key that is on P-256.

    Raises:
        SignatureInvalid: it has another length, or was not made over these octets by that key.
    """
    if len(signature) != SIGNATURE_LENGTH:
        raise SignatureInvalid(f"a signature has {SIGNATURE_LENGTH} octets, not {len(signature)}")
    COUNTS["verify"] += 1
    r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise SignatureInvalid("the signature was not made over this message by this key") from None


def mac_key(z: bytes, header: GroupingHeader) -> bytes:
    """The 16-octet AES key for this header from the shared secret Z (32 octets).

    Raises:
        EncodeError: Z has another length, or the header cannot be written.
    """
    if len(z) != _Z_LENGTH:
        raise EncodeError(f"the shared secret must have {_Z_LENGTH} octets")
    written = encode_header(header)
    other_info = _ALGORITHM + _originator(header) + written[1:11] + written[21:29]
    return hashlib.sha256(b"\x00\x00\x00\x01" + z + other_info).digest()[:16]


def add_mac(m: Message, z: bytes) -> Message:
    """The message with a MAC (and so, when encoded, a MAC header).

    Its signature must be there, if only as b"" (length 0).

    Raises:
        EncodeError: it is a Pre-Command, or cannot be written, or Z has not 32 octets.
    """
    if m.signature is None:
        raise EncodeError("a Pre-Command takes no MAC: sign it, or give it a signature of length 0")
    return replace(m, mac=_mac(m, z))


def verify_mac(m: Message, z: bytes) -> None:
    """Check the MAC with the shared secret Z (32 octets), in constant time.

    Raises:
        MacInvalid: it is absent, or was not made over this message with that secret.
        EncodeError: Z has not 32 octets.
    """
    if m.mac is None:
        raise MacInvalid("the message carries no MAC")
    if not hmac.compare_digest(m.mac, _mac(m, z)):
        raise MacInvalid("the MAC was not made over this message with this shared secret")


def _mac(m: Message, z: bytes) -> bytes:
    covered = _AAD_START + encode_signed_part(m)
    return gmac(mac_key(z, m.header), _originator(m.header) + bytes(4), covered)


def gmac(key: bytes, iv: bytes, covered: bytes) -> bytes:
    """The first 12 octets of the AES-GCM tag of no plaintext: key 16, IV 12 octets."""
    return AESGCM(key).encrypt(iv, b"", covered)[:MAC_LENGTH]


def _originator(header: GroupingHeader) -> bytes:
    return entity_to_bytes(header.originator, "business originator")


def _public_key(key: ec.EllipticCurvePublicKey | bytes) -> ec.EllipticCurvePublicKey:
    if isinstance(key, bytes):
        try:
            found = load_certificate(key).public_key()
        except (ParseError, *READ_ERRORS):
            raise SignatureInvalid("the certificate cannot be read") from None
        if not isinstance(found, ec.EllipticCurvePublicKey):
            raise SignatureInvalid("the certificate holds no elliptic curve key")
        key = found
    if not isinstance(key.curve, ec.SECP256R1):
        raise SignatureInvalid("the key is not on curve P-256")
    return key
