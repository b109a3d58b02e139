"""The folder of keys by entity identifier, and the disclosure that fills one."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys.certificate import Certificate
from keys.errors import CertificateError, KeyStoreError, NotSimulated
from keys.issuing.authorities import DEVICE_ISSUING, Authorities
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.roles import Usage
from keys.stores.disclosure import WARNING, unsafe_device_key, unsafe_private_key
from keys.stores.folder import KeyFolder
from keys.stores.software import SoftwareKeyStore, read_secret
from tests.unit.keys.workshop import Workshop, new_key, policy

METER = "0253494dd0000001"
ACB = "0253494d00000002"


@pytest.fixture
def folder(ceremony: Path, tmp_path: Path) -> KeyFolder:
    """The broker's and a meter's certificates, and the broker's key agreement key."""
    published = ceremony / "smki_repository" / "repository" / "certificates"
    names = {
        f"{ACB}-ds": "acb-digital-signing",
        f"{ACB}-ka": "acb-key-agreement",
        f"{METER}-ds": f"device-{METER}-digital-signing",
        f"{METER}-ka": f"device-{METER}-key-agreement",
    }
    for target, source in names.items():
        (tmp_path / f"{target}.pem").write_bytes((published / f"{source}.pem").read_bytes())
    passphrase = read_secret(ceremony / "acb" / "passphrase")
    for target, name in ((f"{ACB}-ka", "key-agreement"), (f"{ACB}-ds", "digital-signing")):
        pem = unsafe_private_key(ceremony / "acb" / "keys", passphrase, name)
        (tmp_path / f"{target}.key").write_bytes(pem)
    return KeyFolder(tmp_path)


def device_store(ceremony: Path) -> SoftwareKeyStore:
    folder = ceremony / "meter_sim"
    return SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase"))


def test_certificates_are_found_by_entity_and_use(folder: KeyFolder):
    certificate = folder.certificate(ACB, "ds")
    assert certificate is not None
    assert (certificate.subject_eui, certificate.role) == (ACB, "04")
    assert folder.signing_certificate(ACB) == certificate.der
    assert folder.certificate(ACB, "pp-ka") is None
    assert folder.signing_certificate("0253494d00000009") is None


def test_either_ends_key_gives_the_one_secret(folder: KeyFolder, ceremony: Path):
    acb = folder.certificate(ACB, "ka")
    assert acb is not None
    expected = device_store(ceremony).device_keys().key_agreement(METER).shared_secret(acb)
    assert folder.shared_secret(ACB, METER) == expected
    assert folder.shared_secret(METER, ACB) == expected
    (folder.path / f"{ACB}-ka.key").unlink()
    assert folder.shared_secret(ACB, METER) is None
    disclosed = unsafe_device_key(device_store(ceremony), METER, Usage.KEY_AGREEMENT)
    (folder.path / f"{METER}-ka.key").write_bytes(disclosed)
    assert folder.shared_secret(ACB, METER) == expected


def test_a_signer_signs_for_its_certificate(folder: KeyFolder):
    sign = folder.signer(ACB)
    certificate = folder.certificate(ACB, "ds")
    assert sign is not None
    assert certificate is not None
    signature = sign(b"payload")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    certificate.public_key.verify(encode_dss_signature(r, s), b"payload", ec.ECDSA(hashes.SHA256()))
    assert folder.signer(METER) is None


def test_files_that_are_something_else_are_refused(folder: KeyFolder):
    (folder.path / f"{METER}-ds.pem").write_text("nothing")
    with pytest.raises(CertificateError):
        folder.certificate(METER, "ds")
    p384 = new_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (b"", b"nothing", p384):
        (folder.path / f"{ACB}-ds.key").write_bytes(content)
        with pytest.raises(KeyStoreError):
            folder.signer(ACB)
    (folder.path / f"{METER}-ka.pem").unlink()
    (folder.path / f"{METER}-ka.pem").mkdir()
    with pytest.raises(CertificateError):
        folder.certificate(METER, "ka")


def test_what_is_disclosed_says_so(ceremony: Path):
    store = device_store(ceremony)
    passphrase = read_secret(ceremony / "acb" / "passphrase")
    for pem in (
        unsafe_device_key(store, METER, Usage.DIGITAL_SIGNATURE),
        unsafe_private_key(ceremony / "acb" / "keys", passphrase, "link"),
    ):
        assert pem.startswith(WARNING + b"-----BEGIN PRIVATE KEY-----")


def test_only_simulated_keys_that_are_there_are_disclosed(data: Path, workshop: Workshop):
    keys, passphrase = data / "acb" / "keys", read_secret(data / "acb" / "passphrase")
    with pytest.raises(KeyStoreError, match="no key 'nothing'"):
        unsafe_private_key(keys, passphrase, "nothing")
    with pytest.raises(KeyStoreError, match="does not open"):
        unsafe_private_key(keys, b"wrong", "link")
    key = Certificate.from_pem((keys / "link.pem").read_bytes()).public_key
    (keys / "link.pem").write_bytes(
        workshop.leaf(key=key, replace=[policy("1.2.826.0.1.8641679.1.2.1.4")]).to_pem()
    )
    with pytest.raises(NotSimulated):
        unsafe_private_key(keys, passphrase, "link")
    (keys / "link.pem").write_bytes(workshop.leaf(key=key).to_pem())
    assert unsafe_private_key(keys, passphrase, "link").startswith(WARNING)


def test_a_key_in_der_is_read(folder: KeyFolder):
    pem = folder.path / f"{ACB}-ds.key"
    key = new_key()
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        pem.write_bytes(key.private_bytes(Encoding.DER, form, NoEncryption()))
        signer = folder.signer(ACB)
        assert signer is not None
        r_and_s = signer(b"octets")
        der = encode_dss_signature(
            *(int.from_bytes(r_and_s[at : at + 32], "big") for at in (0, 32))
        )
        key.public_key().verify(der, b"octets", ec.ECDSA(hashes.SHA256()))


def test_a_certificate_in_der_is_read(folder: KeyFolder):
    known = folder.certificate(ACB, "ds")
    assert known is not None
    (folder.path / f"{ACB}-ds.pem").write_bytes(known.der)
    assert folder.certificate(ACB, "ds") == known


def test_names_in_upper_case_are_found(folder: KeyFolder):
    known = folder.certificate(ACB, "ds")
    for path in list(folder.path.iterdir()):
        path.rename(path.with_name(path.stem.upper() + path.suffix))
    assert folder.certificate(ACB, "ds") == known
    assert folder.shared_secret(ACB, METER) is not None


def test_a_key_that_is_written_otherwise_is_not_used(folder: KeyFolder, ceremony: Path):
    for use in ("ds", "ka"):
        known = folder.certificate(METER, use)  # type: ignore[arg-type]
        assert known is not None
        authority = Authorities.open(ceremony).issuer(DEVICE_ISSUING)
        der = in_odd_form(known.der, OddForm.COMPRESSED_POINT, authority.sign)
        (folder.path / f"{METER}-{use}.pem").write_bytes(der)
        with pytest.raises(CertificateError, match="compressed point"):
            folder.certificate(METER, use)  # type: ignore[arg-type]
    with pytest.raises(CertificateError, match="compressed point"):
        folder.shared_secret(ACB, METER)
