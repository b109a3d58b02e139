"""The published test certificates read as the profiles say, and are refused as keys of ours."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from keys.certificate import Certificate, key_identifier, require_simulated
from keys.certification_request import read_certification_request
from keys.errors import NotSimulated, PathError, PathFailure
from keys.path import validate_path
from keys.profile_rules import Profile, ProfileRule, broken_rules, profile_of
from keys.roles import Usage
from keys.stores.folder import KeyFolder
from keys.stores.software import SoftwareKeyStore

COMMAND = "CS02bSupplierByTransCoS_6.23_IMMEDIATE_SUCCESS_COMMAND_GBCS.HEX"
CSR_RESPONSE = "CS02c_6.17_SUCCESS_RESPONSE_GBCS.HEX"
IN_FORCE = datetime(2020, 1, 1, tzinfo=UTC)
ISSUED_BY_ANOTHER_Z1 = {"90b3d51f30010008-ds", "90b3d51f30010008-ka"}
"""The load controller's name issuer Z1 but are not signed by it.

They write that name as UTF8String and have no authority key identifier."""
FROM_A_TOOL = {ProfileRule.AUTHORITY_KEY_IDENTIFIER, ProfileRule.ISSUER_NAME}
USES = {"ds": Usage.DIGITAL_SIGNATURE, "ka": Usage.KEY_AGREEMENT, "pp-ka": Usage.KEY_AGREEMENT}


def message(shared: Path, name: str) -> bytes:
    return bytes.fromhex(re.sub(r"\s", "", (shared / "rtds" / name).read_text()))


def der_at(data: bytes, start: int) -> bytes:
    return data[start : start + 4 + int.from_bytes(data[start + 2 : start + 4], "big")]


@pytest.fixture(scope="module")
def z1(shared_dir: Path) -> Certificate:
    """The published issuing authority, as the last certificate of the published CoS command."""
    data = message(shared_dir, COMMAND)
    name = b"\x13\x02ZA"  # issuer CN=ZA, PrintableString
    start = data.rfind(b"\x30\x82", 0, data.find(name) - 30)
    return Certificate.from_der(der_at(data, data.rfind(b"\x30\x82", 0, start)))


@pytest.fixture(scope="module")
def published(shared_dir: Path) -> dict[str, Certificate]:
    found = {}
    for folder in ("rtds", "duis"):
        for path in sorted((shared_dir / folder / "keystore").glob("*.pem")):
            if b"BEGIN CERTIFICATE" in path.read_bytes():
                found[path.stem] = Certificate.from_pem(path.read_bytes())
    return found


def rtds(published: dict[str, Certificate], prefix: str) -> dict[str, Certificate]:
    return {name: c for name, c in published.items() if name.startswith(prefix)}


def test_all_of_them_are_there(published: dict[str, Certificate]):
    assert len(published) == 29


def test_every_key_identifier_is_method_two(published: dict[str, Certificate], z1: Certificate):
    for certificate in [*published.values(), z1]:
        assert certificate.key_identifier == key_identifier(certificate.public_key)
        assert certificate.key_identifier[0] >> 4 == 0b0100


def test_they_are_read_and_written_alike(published: dict[str, Certificate]):
    for certificate in published.values():
        assert Certificate.from_pem(certificate.to_pem()).der == certificate.der


def test_organisations_obey_their_profile(published: dict[str, Certificate]):
    organisations = rtds(published, "90b3")
    assert len(organisations) == 16
    for name, certificate in organisations.items():
        assert profile_of(certificate) is Profile.ORGANISATION
        broken = {item.rule for item in broken_rules(certificate, Profile.ORGANISATION)}
        assert broken == (FROM_A_TOOL if name in ISSUED_BY_ANOTHER_Z1 else set())
        assert certificate.usage is USES[name.split("-", 1)[1]]
        assert certificate.issuer == "CN=Z1,OU=07"
        if (
            name != "90b3d51f30000007-ka"
        ):  # really supplier 2's (docs/sources.md#devices-as-they-are)
            assert certificate.subject_eui == name[:16]


def test_roles_are_as_published(published: dict[str, Certificate]):
    roles = {name[:16]: certificate.role for name, certificate in rtds(published, "90b3").items()}
    assert roles == {
        "90b3d51f30000001": "01",
        "90b3d51f30000002": "04",
        "90b3d51f30000004": "05",
        "90b3d51f30000007": "02",
        "90b3d51f30010000": "02",
        "90b3d51f30010008": "08",
        "90b3d51f30020000": "03",
        "90b3d51f30030000": "02",
    }


def test_devices_obey_their_profile(published: dict[str, Certificate]):
    devices = rtds(published, "00db")
    assert len(devices) == 10
    for name, certificate in devices.items():
        assert profile_of(certificate) is Profile.DEVICE
        assert broken_rules(certificate, Profile.DEVICE) == ()
        assert certificate.subject_eui == name[:16]
        assert (certificate.subject, certificate.role) == ("", None)
        assert certificate.issuer == "CN=E357"


def test_the_authority_obeys_its_profile(z1: Certificate):
    assert z1.subject == "CN=Z1,OU=07"
    assert z1.issuer == "CN=ZA,OU=00"
    assert z1.key_identifier.hex() == "4f5688d7ec933be2"
    assert z1.authority_key_identifier is not None
    assert z1.authority_key_identifier.hex() == "48cf1b32697c4669"
    assert broken_rules(z1, Profile.ISSUING) == ()


def test_xml_signers_break_only_the_rules_on_their_issuer(published: dict[str, Certificate]):
    signers = {name: c for name, c in published.items() if "xml-sign" in name}
    assert {c.role for c in signers.values()} == {"87", "89"}
    for certificate in signers.values():
        assert profile_of(certificate) is Profile.XML_SIGNING
        found = {broken.rule for broken in broken_rules(certificate, Profile.XML_SIGNING)}
        assert found == FROM_A_TOOL


def test_paths_to_the_published_authority(published: dict[str, Certificate], z1: Certificate):
    for name, certificate in rtds(published, "90b3").items():
        if name in ISSUED_BY_ANOTHER_Z1:
            with pytest.raises(PathError) as refused:
                validate_path(certificate, [], z1, at=IN_FORCE)
            assert refused.value.failure is PathFailure.UNKNOWN_ISSUER
        else:
            assert validate_path(certificate, [], z1, at=None) == (certificate, z1)


def test_the_published_certificates_have_expired(
    published: dict[str, Certificate], z1: Certificate
):
    certificate = published["90b3d51f30030000-ds"]
    assert validate_path(certificate, [], z1, at=IN_FORCE)
    with pytest.raises(PathError) as refused:
        validate_path(certificate, [], z1, at=datetime(2026, 6, 1, tzinfo=UTC))
    assert refused.value.failure is PathFailure.EXPIRED


def test_a_published_device_has_no_published_authority(
    published: dict[str, Certificate], z1: Certificate
):
    with pytest.raises(PathError) as refused:
        validate_path(published["00db1234567890a0-ds"], [], z1, at=IN_FORCE)
    assert refused.value.failure is PathFailure.UNKNOWN_ISSUER


def test_none_of_them_is_simulated(published: dict[str, Certificate], z1: Certificate):
    for certificate in [*published.values(), z1]:
        with pytest.raises(NotSimulated):
            require_simulated(certificate)


def test_a_store_refuses_published_keys(shared_dir: Path, tmp_path: Path):
    source = shared_dir / "rtds" / "keystore" / "90b3d51f30000004-ds"
    pem = source.with_suffix(".key").read_bytes()
    key = load_pem_private_key(pem[pem.find(b"-----BEGIN") :], None)
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    path = folder / "digital-signing.key"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    path.chmod(0o600)
    (folder / "digital-signing.pem").write_bytes(source.with_suffix(".pem").read_bytes())
    with pytest.raises(NotSimulated, match="CN=Z1,OU=07"):
        SoftwareKeyStore.open(folder, b"secret")


def test_the_published_folder_agrees_the_published_secret(shared_dir: Path):
    folder = KeyFolder(shared_dir / "rtds" / "keystore")
    secret = folder.shared_secret("90b3d51f30000002", "00db1234567890a0")
    assert secret is not None
    # Known answer: docs/sources.md#mac, CoS immediate command.
    assert secret.hex() == "ed342441df01551a6beaff3b54adc981f4c6a7e71dff4c3e1cc80b3c9f4e5ac0"


def test_the_published_certification_request_is_read(shared_dir: Path):
    data = message(shared_dir, CSR_RESPONSE)
    # CertificationRequestInfo begins version 0, empty subject; its SEQUENCE encloses it.
    info = data.find(bytes.fromhex("0201003000"))
    assert info > 0
    for start in range(info - 10, info):
        if data[start] == 0x30 and _reads(data, start):
            request = read_certification_request(_tlv(data, start))
            break
    else:
        pytest.fail("no certification request found")
    assert request.eui == "00db1234567890a0"
    assert request.usage in {Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT}


def _tlv(data: bytes, start: int) -> bytes:
    first = data[start + 1]
    octets = first & 0x7F if first & 0x80 else 0
    length = int.from_bytes(data[start + 2 : start + 2 + octets], "big") if octets else first
    return data[start : start + 2 + octets + length]


def _reads(data: bytes, start: int) -> bool:
    """Whether the SEQUENCE here is the outer one: an inner SEQUENCE, then version 0."""
    body = _tlv(data, start)[2 + (data[start + 1] & 0x7F if data[start + 1] & 0x80 else 0) :]
    return body[:1] == b"\x30" and bytes.fromhex("0201003000") in body[:9]
