"""The octets of a certificate, a certification request or a revocation list that decide its form.

The library reads more forms than the profiles allow, and shows what it read, not how it was
written: a compressed point and a curve given by its parameters become the same key object as the
one form there is. Whoever decides by the object, and somebody else by the octets, are two readers
who disagree. So these parts are taken out of the DER as they stand:

```
30 len
   30 len  tbs       members in their order; see each function
   30 len            algorithm
   03 len 00 | ..    signature: whole octets, so no unused bits
```
Sources: GBCS 0.8.1 p141-145 (P-256, uncompressed); RFC 5480 2.1.1 and 2.2; RFC 5280 4.1.2.5 and
5.1.2.4; X.690 11.2 (bit strings in DER).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from keys.errors import CertificateError

PUBLIC_KEY_START = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""SubjectPublicKeyInfo up to x and y: ecPublicKey, namedCurve P-256, an uncompressed point."""
PUBLIC_KEY_LENGTH = len(PUBLIC_KEY_START) + 64
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
"""AlgorithmIdentifier ecdsa-with-SHA256 without parameters, DER."""
KEY_USAGE = bytes.fromhex("0603551d0f")
"""OBJECT IDENTIFIER 2.5.29.15."""

READ_ERRORS = (
    ValueError,
    TypeError,
    OverflowError,
    Warning,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.AttributeNotFound,
    x509.ExtensionNotFound,
)
"""What the library raises where it cannot read a certificate, a request or a list."""

_SEQUENCE, _OCTET_STRING, _GENERALIZED_TIME = 0x30, 0x04, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_POINT_COMPRESSED = (2, 3)


@dataclass(frozen=True, slots=True)
class CertificateOctets:
    """Parts of a certificate, each whole with its tag and length.

    Attributes:
        public_key: SubjectPublicKeyInfo.
        times: notBefore and notAfter.
        key_usage: the BIT STRING of keyUsage, or None without that extension.
        signature: the BIT STRING of the signature.
    """

    public_key: bytes
    times: tuple[bytes, ...]
    key_usage: bytes | None
    signature: bytes


def certificate_octets(der: bytes) -> CertificateOctets:
    """Take a certificate apart that the library has read.

    Raises:
        CertificateError: it does not have a certificate's parts.
    """
    try:
        tbs, _, signature = members(der)
        parts = members(tbs)
        # serial, algorithm, issuer, validity, subject, public key follow the version, if it is
        # there; after them the optional unique identifiers and the extensions.
        fixed = parts[1:] if parts[0][0] == _VERSION else parts
        usage = None
        for part in fixed[6:]:
            if part[0] == _EXTENSIONS:
                usage = _key_usage(members(members(part)[0]))
        return CertificateOctets(fixed[5], tuple(members(fixed[3])), usage, signature)
    except (IndexError, ValueError) as error:
        raise CertificateError("its parts are not those of a certificate") from error


def public_key_fault(public_key: bytes) -> str | None:
    """Say what is wrong with the form of a P-256 SubjectPublicKeyInfo; None: nothing."""
    if len(public_key) == PUBLIC_KEY_LENGTH and public_key.startswith(PUBLIC_KEY_START):
        return None
    algorithm, point = members(public_key)
    parameters = members(algorithm)[1:]
    if not parameters or parameters[0][0] == _SEQUENCE:
        return "the curve is given by parameters, not named (RFC 5480 2.1.1)"
    if content(point)[1:2] and content(point)[1] in _POINT_COMPRESSED:
        return "a compressed point; GBCS writes x and y"
    return "not P-256 by name with an uncompressed point"


def time_fault(time: bytes) -> str | None:
    """Say what is wrong with the form of a Time; None: nothing."""
    if time[0] == _GENERALIZED_TIME and content(time)[:4] < b"2050":
        return f"GeneralizedTime {content(time).decode('ascii', 'replace')} before 2050"
    return None


def whole_octets_fault(bits: bytes) -> str | None:
    """Say what is wrong with a BIT STRING that holds whole octets; None: nothing."""
    unused = content(bits)[:1]
    return None if unused == b"\x00" else f"{unused.hex() or 'no'} unused bits of a signature"


def named_bits_fault(bits: bytes) -> str | None:
    """Say what is wrong with a BIT STRING of named bits; None: nothing.

    DER leaves trailing zero bits out, so the last bit written is set (X.690 11.2.2).
    """
    value = content(bits)
    if len(value) < 2 or not value[-1] or value[-1] & -value[-1] != 1 << value[0]:
        return f"{bits.hex()} is not how DER writes named bits"
    return None


def members(tlv: bytes) -> list[bytes]:
    """The values inside a constructed value, each whole with its tag and length.

    Raises:
        ValueError: they do not fill it exactly.
    """
    at, end = _content_of(tlv, 0)
    found = []
    while at < end:
        _, after = _content_of(tlv, at)
        found.append(tlv[at:after])
        at = after
    if at != end or end != len(tlv):
        raise ValueError("values do not fill what they are in")
    return found


def content(tlv: bytes) -> bytes:
    """What a value holds, without its tag and length."""
    start, end = _content_of(tlv, 0)
    return tlv[start:end]


def value(tag: int, inside: bytes) -> bytes:
    """A value of one-octet tag and minimal length."""
    size = len(inside)
    if size < 0x80:
        return bytes((tag, size)) + inside
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(digits))) + digits + inside


def _content_of(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the value at this place begins and ends."""
    size, start = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    return start, start + size


def _key_usage(extensions: list[bytes]) -> bytes | None:
    for extension in extensions:
        parts = members(extension)
        if parts[0] == KEY_USAGE and parts[-1][0] == _OCTET_STRING:
            return content(parts[-1])
    return None
