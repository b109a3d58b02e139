"""Reading one certificate."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys.certificate import (
    MAX_CERTIFICATE_OCTETS,
    NO_SUBJECT,
    Certificate,
    eui_octets,
    key_identifier,
    require_simulated,
)
from keys.errors import CertificateError, NotSimulated
from keys.hardware_module import (
    HARDWARE_MODULE_NAME,
    read_hardware_module_name,
    write_hardware_module_name,
)
from keys.roles import Usage
from tests.unit.keys.workshop import (
    BITS,
    COMMON,
    SUPPLIER,
    TEN_YEARS,
    UNIQUE,
    UNIT,
    UTF8,
    Workshop,
    hardware,
    issuing,
    new_key,
    organisation_subject,
    policy,
    role,
    root,
    usage,
)


def test_what_a_supplier_certificate_says(workshop: Workshop):
    key = new_key().public_key()
    certificate = workshop.leaf(
        subject=[(COMMON, "SIM-SUPPLIER-A", UTF8), *organisation_subject()], key=key, serial=77
    )
    assert certificate.serial == 77
    assert certificate.issuer == "CN=SIM-Z1,OU=07"
    assert (certificate.subject_eui, certificate.role) == (SUPPLIER, "02")
    assert certificate.subject_unique_id == bytes.fromhex(SUPPLIER)
    assert certificate.common_name == "SIM-SUPPLIER-A"
    assert certificate.usage is Usage.DIGITAL_SIGNATURE
    assert certificate.key_identifier == key_identifier(key)
    assert certificate.authority_key_identifier == workshop.issuing.certificate.key_identifier
    assert certificate.not_before == TEN_YEARS.not_before
    assert certificate.not_after == TEN_YEARS.not_after
    assert certificate.policies == ("2.999.1.1",)
    assert (certificate.is_authority, certificate.is_device) == (False, False)
    assert certificate.public_key == key
    assert certificate.fingerprint == hashlib.sha256(certificate.der).hexdigest()
    assert certificate.simulated


def test_what_an_authority_certificate_says(workshop: Workshop):
    certificate = workshop.issuing.certificate
    assert certificate.is_authority
    assert certificate.path_length == 0
    assert (certificate.subject_eui, certificate.role) == (None, "07")
    assert certificate.subject_unique_id == NO_SUBJECT == bytes(8)
    assert certificate.usage is Usage.KEY_CERT_SIGN
    assert not certificate.self_issued
    assert workshop.root.certificate.self_issued


def test_what_a_device_certificate_says(workshop: Workshop):
    certificate = workshop.device()
    assert certificate.is_device
    assert (certificate.subject, certificate.role) == ("", None)
    assert certificate.subject_eui == "0253494dd0000001"


def test_the_key_identifier_is_method_two():
    public_key = new_key().public_key()
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    low_60_bits = int.from_bytes(hashlib.sha1(point).digest(), "big") & ((1 << 60) - 1)
    assert key_identifier(public_key) == (0b0100 << 60 | low_60_bits).to_bytes(8, "big")


def test_pem_and_der_are_the_same_certificate(workshop: Workshop):
    certificate = workshop.leaf()
    for again in (
        Certificate.from_pem(certificate.to_pem()),
        Certificate.from_der(certificate.der),
    ):
        assert again == certificate
        assert hash(again) == hash(certificate)
    assert Certificate.from_pem(certificate.to_pem().decode()) == certificate
    assert workshop.leaf() != certificate


def test_a_certificate_does_not_change(workshop: Workshop):
    with pytest.raises(FrozenInstanceError):
        workshop.leaf().serial = 1  # type: ignore[misc]


def test_pem_is_exactly_one_certificate(workshop: Workshop):
    pem = workshop.leaf().to_pem()
    for bad in (pem + pem, b"", b"not PEM", pem[:40]):
        with pytest.raises(CertificateError):
            Certificate.from_pem(bad)


@pytest.mark.parametrize("extra", [b"\x00", b"\x05\x00"])
def test_nothing_may_follow(extra: bytes, workshop: Workshop):
    with pytest.raises(CertificateError, match="not readable"):
        Certificate.from_der(workshop.leaf().der + extra)


def test_a_monster_is_refused_by_its_length():
    with pytest.raises(CertificateError, match="longer than"):
        Certificate.from_der(bytes(MAX_CERTIFICATE_OCTETS + 1))


def test_a_length_that_is_not_minimal_is_refused(workshop: Workshop):
    der = workshop.leaf().der
    assert der[:2] == b"\x30\x82"
    with pytest.raises(CertificateError, match="not readable"):
        Certificate.from_der(b"\x30\x83\x00" + der[2:])


@pytest.mark.parametrize("version", [0, 1, 3])
def test_only_version_three_is_read(version: int, workshop: Workshop):
    der = workshop.leaf().der
    assert der.count(bytes.fromhex("a003020102")) == 1
    changed = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a0030201") + bytes([version]))
    with pytest.raises(CertificateError):
        Certificate.from_der(changed)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_a_serial_number_is_positive(workshop: Workshop):
    serial = (0x41 << 120) | 5
    der = workshop.leaf(serial=serial).der
    octets = serial.to_bytes(16, "big")
    assert der.count(octets) == 1
    with pytest.raises(CertificateError) as refused:
        Certificate.from_der(der.replace(octets, b"\x81" + octets[1:]))
    assert refused.value.field == "serialNumber"


def refused_field(workshop: Workshop, **changes: object) -> str:
    with pytest.raises(CertificateError) as refused:
        workshop.leaf(**changes)  # type: ignore[arg-type]
    return refused.value.field


def test_the_key_must_be_on_a_curve(workshop: Workshop):
    key = rsa.generate_private_key(65537, 2048)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(TEN_YEARS.not_before)
        .not_valid_after(TEN_YEARS.not_after)
    )
    with pytest.raises(CertificateError) as refused:
        Certificate.from_der(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    assert refused.value.field == "subjectPublicKeyInfo"


@pytest.mark.parametrize("octets", [7, 9, 20])
def test_key_identifiers_are_of_eight_octets(octets: int, workshop: Workshop):
    own = x509.SubjectKeyIdentifier(bytes(octets))
    theirs = x509.AuthorityKeyIdentifier(bytes(octets), None, None)
    assert refused_field(workshop, replace=[(own, False)]) == "subjectKeyIdentifier"
    assert refused_field(workshop, replace=[(theirs, False)]) == "authorityKeyIdentifier"


def test_the_subject_key_identifier_is_mandatory(workshop: Workshop):
    assert refused_field(workshop, skip=[x509.SubjectKeyIdentifier]) == "subjectKeyIdentifier"
    assert workshop.leaf(skip=[x509.AuthorityKeyIdentifier]).authority_key_identifier is None


def test_the_authority_key_identifier_is_bare(workshop: Workshop):
    names = [x509.DNSName("issuer")]
    full = x509.AuthorityKeyIdentifier(bytes(8), names, 1)
    assert refused_field(workshop, replace=[(full, False)]) == "authorityKeyIdentifier"


@pytest.mark.parametrize("value", [bytes(8), bytes(10), b"\x01" + bytes(7) + b"\x02"])
def test_the_unique_identifier_is_sixty_four_bits(value: bytes, workshop: Workshop):
    subject = [(UNIT, "02", UTF8), (UNIQUE, value, BITS)]
    with pytest.raises((CertificateError, ValueError)):
        workshop.leaf(subject=subject)


def test_two_units_or_identifiers_are_refused(workshop: Workshop):
    subject = organisation_subject()
    assert refused_field(workshop, subject=[subject[0], *subject]) == "name"
    assert refused_field(workshop, subject=[*subject, subject[1]]) == "x500UniqueIdentifier"


def test_a_role_is_two_upper_case_digits(workshop: Workshop):
    assert workshop.leaf(subject=role("7F")).role == "7F"
    for other in ("7f", "137", "2", "SIM-LINK"):
        assert workshop.leaf(subject=role(other)).role is None


def test_more_than_one_usage_is_no_usage(workshop: Workshop):
    def flags(**on: bool) -> x509.KeyUsage:
        names = (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        )
        return x509.KeyUsage(**{name: on.get(name, False) for name in names})

    for value, expected in (
        (flags(digital_signature=True), Usage.DIGITAL_SIGNATURE),
        (flags(digital_signature=True, key_agreement=True), None),
        (flags(digital_signature=True, content_commitment=True), None),
        (flags(key_agreement=True, encipher_only=True), None),
        (flags(crl_sign=True), None),
    ):
        certificate = workshop.leaf(extensions=[(value, True), policy()])
        assert certificate.usage is expected
    assert workshop.leaf(extensions=[policy()]).usage is None


def test_the_hardware_module_name_is_exactly_its_layout():
    serial = bytes.fromhex("0253494dd0000001")
    value = write_hardware_module_name(serial)
    assert read_hardware_module_name(value) == serial
    for bad in (
        b"",
        value[:-1],
        value + b"\x00",
        b"\x31" + value[1:],
        value.replace(b"\x04\x08", b"\x04\x07"),
        write_hardware_module_name(serial[:7]),
        b"\x30\x02\x05\x00",
        b"\x30\x00",
        b"\x30\x01\x06",
        b"\x30\x02\x06\x00",
        value.replace(b"\x06\x04", b"\x05\x04"),
    ):
        with pytest.raises(CertificateError):
            read_hardware_module_name(bad)


def test_a_broken_hardware_module_name_is_a_broken_certificate(workshop: Workshop):
    name = x509.OtherName(HARDWARE_MODULE_NAME, b"\x30\x02\x05\x00")
    with pytest.raises(CertificateError) as refused:
        workshop.device(names=[name])
    assert refused.value.field == "subjectAltName"


def test_a_device_has_one_name(workshop: Workshop):
    with pytest.raises(CertificateError, match="more than one hardwareModuleName"):
        workshop.device(names=[hardware(), hardware("0253494dd0000002")])


@pytest.mark.parametrize(
    "text", ["0253494D10000000", "02-53", "", "0253494d1000000", "\uff10253494d1000000"]
)
def test_entity_identifiers_are_written_one_way(text: str):
    with pytest.raises(CertificateError):
        eui_octets(text)
    assert eui_octets("0253494d10000000") == bytes.fromhex("0253494d10000000")


def test_both_marks_are_needed(workshop: Workshop):
    require_simulated(workshop.leaf())
    foreign = issuing(root("ZA"), "Z1")
    for unmarked in (
        workshop.leaf(issuer=foreign),
        workshop.leaf(replace=[policy("1.2.826.0.1.8641679.1.2.1.4")]),
        workshop.leaf(extensions=[usage(Usage.DIGITAL_SIGNATURE)]),
    ):
        assert not unmarked.simulated
        with pytest.raises(NotSimulated, match="only material issued by a SIM- authority"):
            require_simulated(unmarked)
