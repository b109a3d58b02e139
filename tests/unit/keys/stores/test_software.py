"""The key store: what it opens, what it refuses to open, and what it never gives away."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from keys.certificate import Certificate
from keys.errors import KeyStoreError, NotSimulated
from keys.roles import Usage
from keys.stores.software import SoftwareKeyStore, read_secret, write_secret
from keys.stores.store import KeyAgreement, KeyStore, Signer
from tests.unit.keys.workshop import Workshop, issuing, new_key, policy, root, usage

PASSPHRASE = b"a passphrase of the tests"


@pytest.fixture
def folder(tmp_path: Path, workshop: Workshop) -> Path:
    """A store with one key for signing and one for agreeing."""
    folder = tmp_path / "keys"
    store = SoftwareKeyStore.create(folder, PASSPHRASE)
    store.install("digital-signing", workshop.leaf(key=store.generate("digital-signing")))
    store.install("key-agreement", agreement_certificate(workshop, store.generate("key-agreement")))
    return folder


def agreement_certificate(workshop: Workshop, key: ec.EllipticCurvePublicKey) -> Certificate:
    return workshop.leaf(key=key, extensions=[usage(Usage.KEY_AGREEMENT), policy()])


def open_store(folder: Path) -> SoftwareKeyStore:
    return SoftwareKeyStore.open(folder, PASSPHRASE)


def test_a_signature_is_raw_and_of_the_certified_key(folder: Path):
    store: KeyStore = open_store(folder)
    signer: Signer = store.signer("digital-signing")
    signature = signer.sign(b"data")
    assert len(signature) == 64
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    public_key = signer.certificate.public_key
    public_key.verify(encode_dss_signature(r, s), b"data", ec.ECDSA(hashes.SHA256()))


def test_both_ends_agree_on_one_secret(folder: Path, tmp_path: Path, workshop: Workshop):
    other = SoftwareKeyStore.create(tmp_path / "other", PASSPHRASE)
    other.install("key-agreement", agreement_certificate(workshop, other.generate("key-agreement")))
    here: KeyAgreement = open_store(folder).key_agreement("key-agreement")
    there = other.key_agreement("key-agreement")
    z = here.shared_secret(there.certificate)
    assert z == there.shared_secret(here.certificate)
    assert len(z) == 32


def test_a_key_does_only_what_its_certificate_says(folder: Path, workshop: Workshop):
    store = open_store(folder)
    assert store.names() == ["digital-signing", "key-agreement"]
    with pytest.raises(KeyStoreError, match="not for signing"):
        store.signer("key-agreement")
    with pytest.raises(KeyStoreError, match="not for key agreement"):
        store.key_agreement("digital-signing")
    with pytest.raises(KeyStoreError, match="no certificate for 'link'"):
        store.signer("link")
    with pytest.raises(KeyStoreError, match="no device seed"):
        store.device_keys()
    with pytest.raises(KeyStoreError, match="not keyAgreement"):
        store.key_agreement("key-agreement").shared_secret(workshop.leaf())
    p384 = agreement_certificate(workshop, new_key(ec.SECP384R1()).public_key())
    with pytest.raises(KeyStoreError, match="not on P-256"):
        store.key_agreement("key-agreement").shared_secret(p384)


def test_files_are_encrypted_and_for_the_owner_alone(folder: Path):
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        assert load_pem_private_key(path.read_bytes(), PASSPHRASE)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o777, 0o500])
def test_a_folder_that_others_may_read_is_refused(mode: int, folder: Path):
    folder.chmod(mode)
    with pytest.raises(KeyStoreError, match=rf"keys has mode {mode:04o} where 0700 is required"):
        open_store(folder)
    folder.chmod(0o700)
    assert open_store(folder).names()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o400])
def test_a_key_that_others_may_read_is_refused(mode: int, folder: Path):
    path = folder / "key-agreement.key"
    path.chmod(mode)
    with pytest.raises(KeyStoreError, match=rf"key-agreement.key has mode {mode:04o}"):
        open_store(folder)
    path.chmod(0o600)
    assert open_store(folder).names()


def test_a_wrong_passphrase_opens_nothing_and_is_not_repeated(folder: Path):
    with pytest.raises(KeyStoreError) as refused:
        SoftwareKeyStore.open(folder, b"SECRET-AND-WRONG")
    assert str(refused.value) == "the passphrase does not open digital-signing.key"
    assert refused.value.__cause__ is None
    with pytest.raises(KeyStoreError, match="a passphrase is needed"):
        SoftwareKeyStore.open(folder, b"")


def write_key(folder: Path, name: str, key: object, encryption: object) -> None:
    path = folder / f"{name}.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))  # type: ignore[attr-defined]
    path.chmod(0o600)


def test_a_key_in_the_clear_is_refused(folder: Path):
    write_key(folder, "digital-signing", new_key(), NoEncryption())
    with pytest.raises(KeyStoreError, match=r"digital-signing\.key is not encrypted"):
        open_store(folder)


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(content: bytes, folder: Path):
    (folder / "digital-signing.key").write_bytes(content)
    with pytest.raises(KeyStoreError, match="does not open"):
        open_store(folder)


def test_a_key_on_another_curve_is_refused(folder: Path):
    write_key(
        folder, "digital-signing", new_key(ec.SECP384R1()), BestAvailableEncryption(PASSPHRASE)
    )
    with pytest.raises(KeyStoreError, match="is not a P-256 key"):
        open_store(folder)


def test_another_keys_certificate_is_refused(folder: Path, workshop: Workshop):
    pem = folder / "digital-signing.pem"
    right = pem.read_bytes()
    pem.write_bytes(workshop.leaf().to_pem())
    with pytest.raises(KeyStoreError, match="is another key's"):
        open_store(folder)
    pem.write_bytes(right)
    assert open_store(folder).names()


def test_a_key_without_its_certificate_is_refused(folder: Path):
    (folder / "digital-signing.pem").unlink()
    with pytest.raises(KeyStoreError, match="has no certificate beside it"):
        open_store(folder)


def test_an_unreadable_certificate_is_refused(folder: Path):
    (folder / "digital-signing.pem").write_text("nothing")
    with pytest.raises(KeyStoreError, match=r"digital-signing\.pem: not readable"):
        open_store(folder)


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path):
    (tmp_path / "keys").mkdir(mode=0o700)
    with pytest.raises(KeyStoreError, match="holds no keys"):
        open_store(tmp_path / "keys")
    with pytest.raises(KeyStoreError, match="other is missing"):
        open_store(tmp_path / "other")


def test_unmarked_material_is_neither_installed_nor_opened(folder: Path, workshop: Workshop):
    private_key = load_pem_private_key((folder / "digital-signing.key").read_bytes(), PASSPHRASE)
    key = private_key.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    unmarked = workshop.leaf(key=key, issuer=issuing(root("ZA"), "Z1"))
    before = (folder / "digital-signing.pem").read_bytes()
    with pytest.raises(NotSimulated):
        open_store(folder).install("digital-signing", unmarked)
    assert (folder / "digital-signing.pem").read_bytes() == before
    (folder / "digital-signing.pem").write_bytes(unmarked.to_pem())
    with pytest.raises(NotSimulated):
        open_store(folder)
    (folder / "digital-signing.pem").write_bytes(workshop.leaf(key=key).to_pem())
    assert open_store(folder).names()  # the same key with the marks is opened


def test_nothing_is_overwritten(folder: Path):
    with pytest.raises(KeyStoreError, match="exists and is not overwritten"):
        SoftwareKeyStore.create(folder, PASSPHRASE)
    before = (folder / "digital-signing.key").read_bytes()
    with pytest.raises(KeyStoreError, match="exists and is not overwritten"):
        open_store(folder).generate("digital-signing")
    assert (folder / "digital-signing.key").read_bytes() == before


@pytest.mark.parametrize("name", ["", "../escape", "Upper", "a b", "-x", "x" * 65, "a/b", "a.key"])
def test_a_name_cannot_leave_the_folder(name: str, folder: Path):
    with pytest.raises(KeyStoreError, match="is no name of a key"):
        open_store(folder).generate(name)


def test_a_renewed_certificate_takes_the_old_ones_place(folder: Path, workshop: Workshop):
    store = open_store(folder)
    old = store.certificate("digital-signing")
    renewed = workshop.leaf(key=old.public_key)
    store.install("digital-signing", renewed)
    assert store.signer("digital-signing").certificate == renewed != old
    assert open_store(folder).certificate("digital-signing") == renewed
    assert not list(folder.glob("*.new"))


def test_a_certificate_for_no_key_is_not_installed(folder: Path, workshop: Workshop):
    store = open_store(folder)
    store.generate("device-seed")
    for name in ("link", "device-seed"):
        with pytest.raises(KeyStoreError, match=f"no key '{name}'"):
            store.install(name, workshop.leaf())


def test_a_waiting_key_signs_only_until_it_has_its_certificate(folder: Path, workshop: Workshop):
    store = open_store(folder)
    key = store.generate("link")
    assert len(store.uncertified_signer("link").sign(b"to be certified")) == 64
    store.install("link", workshop.leaf(key=key))
    for name in ("link", "digital-signing", "unknown"):
        with pytest.raises(KeyStoreError, match="waits for its certificate"):
            store.uncertified_signer(name)


def test_a_device_seed_needs_no_certificate_and_stays_the_same(folder: Path):
    store = open_store(folder)
    store.generate("device-seed")
    again = open_store(folder)
    assert again.names() == ["device-seed", "digital-signing", "key-agreement"]
    eui = "0253494dd0000001"
    public = [s.device_keys().public_key(eui, Usage.KEY_AGREEMENT) for s in (store, again)]
    assert public[0] == public[1]
    with pytest.raises(KeyStoreError, match="no certificate for 'device-seed'"):
        again.signer("device-seed")


def test_no_secret_is_shown_or_pickled(folder: Path):
    store = open_store(folder)
    store.generate("device-seed")
    things = [
        store,
        store.signer("digital-signing"),
        store.key_agreement("key-agreement"),
        store.device_keys(),
        store.device_keys().signer("0253494dd0000001"),
    ]
    for thing in things:
        assert "0x" not in repr(thing)
        assert PASSPHRASE.decode() not in repr(thing)
        with pytest.raises((KeyStoreError, TypeError)):
            pickle.Pickler(io.BytesIO()).dump(thing)
    for thing in things[1:]:
        public = {name for name in dir(thing) if not name.startswith("_")}
        assert not any("private" in name or "seed" in name for name in public)


def test_a_secret_file_is_written_once_and_for_the_owner_alone(tmp_path: Path):
    path = tmp_path / "passphrase"
    write_secret(path, b"secret\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_secret(path) == b"secret"
    with pytest.raises(KeyStoreError, match="not overwritten"):
        write_secret(path, b"other")
    assert read_secret(path) == b"secret"
    path.chmod(0o640)
    with pytest.raises(KeyStoreError, match="mode 0640"):
        read_secret(path)
    path.chmod(0o600)
    path.write_bytes(b"\n")
    with pytest.raises(KeyStoreError, match="is empty"):
        read_secret(path)
    with pytest.raises(KeyStoreError, match="is missing"):
        read_secret(tmp_path / "nowhere")
