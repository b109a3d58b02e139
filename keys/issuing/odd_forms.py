"""Certificates in a form that no honest authority writes, for testers: signed as they then stand.

Each says just what the honest one says; only the octets differ (see `keys.octets`). The library
writes none of these, so the part is changed in the finished certificate and that is signed again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from keys.octets import PUBLIC_KEY_START, content, members, value
from keys.sign_with import SignRaw, assemble

_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_P256 = bytes.fromhex("06082a8648ce3d030107")
_PRIME_FIELD = bytes.fromhex("06072a8648ce3d0101")
_P = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"
_A = "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"
_B = "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"
_SEED = "c49d360886e704936a6678e1139d26b7819f7e90"
_G = (
    "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
_N = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
"""The parameters of P-256: FIPS 186-4 D.1.2.3; their form: RFC 3279 2.3.5."""


class OddForm(StrEnum):
    """One part of a certificate in another form than the profiles'."""

    COMPRESSED_POINT = "compressed_point"
    EXPLICIT_CURVE = "explicit_curve"
    EXPLICIT_CURVE_SEED = "explicit_curve_seed"
    EXPLICIT_CURVE_COMPRESSED = "explicit_curve_compressed"
    GENERALIZED_TIME = "generalized_time"
    NAMED_BITS = "named_bits"


def in_odd_form(certificate: bytes, form: OddForm, sign: SignRaw) -> bytes:
    """The same certificate with one part in another form, signed by the issuer's key.

    Args:
        certificate: DER, honestly made.
        form: which part, and how.
        sign: the issuer's key: octets in, raw 64-octet r||s out.
    """
    tbs = members(members(certificate)[0])
    public, times = 6, 4  # after version, serial, algorithm and issuer; see keys.octets
    match form:
        case OddForm.GENERALIZED_TIME:
            tbs[times] = value(0x30, b"".join(map(_generalized, members(tbs[times]))))
        case OddForm.NAMED_BITS:
            tbs[-1] = _unused_bits(tbs[-1])
        case _:
            tbs[public] = _public_key(tbs[public], form)
    return assemble(value(0x30, b"".join(tbs)), sign)


def _public_key(public_key: bytes, form: OddForm) -> bytes:
    point = public_key[len(PUBLIC_KEY_START) :]
    x, odd = point[:32], point[63] & 1
    short = bytes((2 | odd,)) + x
    whole = b"\x04" + point
    match form:
        case OddForm.COMPRESSED_POINT:
            parameters, written = _P256, short
        case OddForm.EXPLICIT_CURVE_SEED:
            parameters, written = _explicit(seed=True), whole
        case OddForm.EXPLICIT_CURVE_COMPRESSED:
            parameters, written = _explicit(seed=False), short
        case _:
            parameters, written = _explicit(seed=False), whole
    algorithm = value(0x30, _EC_PUBLIC_KEY + parameters)
    return value(0x30, algorithm + value(0x03, b"\x00" + written))


def _explicit(*, seed: bool) -> bytes:
    curve = value(0x04, bytes.fromhex(_A)) + value(0x04, bytes.fromhex(_B))
    if seed:
        curve += value(0x03, b"\x00" + bytes.fromhex(_SEED))
    field = _PRIME_FIELD + value(0x02, b"\x00" + bytes.fromhex(_P))
    return value(
        0x30,
        b"\x02\x01\x01"
        + value(0x30, field)
        + value(0x30, curve)
        + value(0x04, b"\x04" + bytes.fromhex(_G))
        + value(0x02, b"\x00" + bytes.fromhex(_N))
        + b"\x02\x01\x01",
    )


def _generalized(time: bytes) -> bytes:
    """UTCTime as GeneralizedTime; one that is GeneralizedTime stays."""
    if time[0] != 0x17:
        return time
    at = datetime.strptime(content(time).decode(), "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return value(0x18, f"{at:%Y%m%d%H%M%S}Z".encode())


def _unused_bits(extensions: bytes) -> bytes:
    """KeyUsage with its trailing zero bits written: `03 02 00 80` for `03 02 07 80`."""
    for bit in range(8):
        named = bytes((3, 2, bit, 1 << bit))
        if bit and named in extensions:
            return extensions.replace(named, bytes((3, 2, 0, 1 << bit)), 1)
    return extensions
