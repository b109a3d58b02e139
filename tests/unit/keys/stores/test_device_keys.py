"""Device keys from a seed, and the certification requests made with them."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from keys.certificate import Certificate
from keys.certification_request import (
    MAX_REQUEST_OCTETS,
    CertificationRequest,
    read_certification_request,
)
from keys.errors import CertificateError, KeyStoreError
from keys.key_usage import key_usage_extension
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys
from tests.unit.keys.workshop import Workshop, hardware, new_key, policy, usage

SEED = bytes(range(32))
EUI = "0253494dd0000001"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def hkdf(seed: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with an empty salt, written out."""
    key = hmac.digest(bytes(32), seed, "sha256")
    block, okm, counter = b"", b"", 1
    while len(okm) < length:
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        okm, counter = okm + block, counter + 1
    return okm[:length]


@pytest.mark.parametrize(
    ("kind", "octet"), [(Usage.DIGITAL_SIGNATURE, 0), (Usage.KEY_AGREEMENT, 1)]
)
@pytest.mark.parametrize("generation", [0, 1, (1 << 32) - 1])
def test_the_derivation_is_the_documented_one(kind: Usage, octet: int, generation: int):
    info = (
        b"SIM device key v1" + bytes([octet]) + bytes.fromhex(EUI) + generation.to_bytes(4, "big")
    )
    scalar = int.from_bytes(hkdf(SEED, info, 40), "big") % (ORDER - 1) + 1
    expected = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
    assert DeviceKeys(SEED).public_key(EUI, kind, generation) == expected


def test_every_device_usage_and_generation_has_its_own_key():
    keys = DeviceKeys(SEED)
    made = {
        hashlib.sha256(
            keys.public_key(eui, kind, generation).public_numbers().x.to_bytes(32, "big")
        ).digest()
        for eui in (EUI, "0253494dd0000002")
        for kind in (Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT)
        for generation in (0, 1)
    }
    assert len(made) == 8
    other = DeviceKeys(SEED[::-1])
    assert other.public_key(EUI, Usage.KEY_AGREEMENT) != keys.public_key(EUI, Usage.KEY_AGREEMENT)


def test_a_device_signs_and_agrees_with_its_keys(workshop: Workshop):
    keys = DeviceKeys(SEED)
    assert len(keys.signer(EUI).sign(b"response")) == 64
    other = "0253494dd0000002"

    def certificate(eui: str) -> Certificate:
        return workshop.leaf(
            key=keys.public_key(eui, Usage.KEY_AGREEMENT),
            extensions=[usage(Usage.KEY_AGREEMENT), policy()],
        )

    here = keys.key_agreement(EUI).shared_secret(certificate(other))
    assert here == keys.key_agreement(other).shared_secret(certificate(EUI))


def test_what_is_no_seed_device_or_generation_is_refused():
    for seed in (b"", bytes(31), bytes(33)):
        with pytest.raises(KeyStoreError, match="32 octets"):
            DeviceKeys(seed)
    keys = DeviceKeys(SEED)
    with pytest.raises(CertificateError):
        keys.signer(EUI.upper())
    for generation in (-1, 1 << 32):
        with pytest.raises(KeyStoreError, match="32 bits"):
            keys.signer(EUI, generation)
    with pytest.raises(KeyStoreError, match="no key for keyCertSign"):
        keys.public_key(EUI, Usage.KEY_CERT_SIGN)


@pytest.mark.parametrize("kind", [Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT])
def test_a_devices_request_is_read_back(kind: Usage):
    keys = DeviceKeys(SEED)
    request = read_certification_request(keys.certification_request(EUI, kind, 3))
    assert request == CertificationRequest(EUI, kind, keys.public_key(EUI, kind, 3))


def odd_request(
    *extensions: tuple[x509.ExtensionType, bool],
    subject: str | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    names = [] if subject is None else [x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    return builder.sign(key or new_key(), hashes.SHA256()).public_bytes(Encoding.DER)


def test_an_odd_request_is_refused_for_what_is_odd():
    signing = (key_usage_extension(Usage.DIGITAL_SIGNATURE), True)
    name = (x509.SubjectAlternativeName([hardware(EUI)]), True)
    assert read_certification_request(odd_request(signing, name)).eui == EUI
    cases = [
        (odd_request(signing, name, subject="meter"), "subject"),
        (odd_request(signing), "extensions"),
        (odd_request(signing, (name[0], False)), "extensions"),
        (odd_request(signing, name, (x509.OCSPNoCheck(), False)), "extensions"),
        (odd_request((key_usage_extension(Usage.KEY_CERT_SIGN), True), name), "keyUsage"),
        (
            odd_request(signing, (x509.SubjectAlternativeName([x509.DNSName("meter")]), True)),
            "subjectAltName",
        ),
        (odd_request(signing, name, key=new_key(ec.SECP384R1())), "subjectPKInfo"),
        (b"", ""),
    ]
    for der, field in cases:
        with pytest.raises(CertificateError) as refused:
            read_certification_request(der)
        assert refused.value.field == field


def test_a_monster_is_refused_by_its_length():
    with pytest.raises(CertificateError, match="longer than"):
        read_certification_request(bytes(MAX_REQUEST_OCTETS + 1))


def test_a_request_that_another_key_signed_is_refused():
    keys = DeviceKeys(SEED)
    der = bytearray(keys.certification_request(EUI, Usage.DIGITAL_SIGNATURE))
    at = der.find(bytes.fromhex(EUI))
    der[at + 7] ^= 1  # the next device's identifier, under this device's signature
    with pytest.raises(CertificateError) as refused:
        read_certification_request(bytes(der))
    assert refused.value.field == "signature"
