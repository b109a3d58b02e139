"""A key store in a folder: encrypted private keys that open with one passphrase.

```
<folder>/            mode 0700
  <name>.key         encrypted PKCS#8, PEM, mode 0600
  <name>.pem         certificate, PEM
```
Opening refuses a folder or key file that others may read, a key that is not encrypted, a key
without its certificate or with another's, and material that is not marked simulated.
`device-seed` is the one key without a certificate: nothing is ever signed with it, device keys
are derived from it (see `keys.stores.device_keys`).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from keys.certificate import Certificate, require_simulated
from keys.errors import CertificateError, KeyStoreError
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys, seed_of
from keys.stores.private import HeldKeyAgreement, HeldSigner, require_p256
from keys.stores.store import DEVICE_SEED

FOLDER_MODE = 0o700
SECRET_MODE = 0o600
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


def read_secret(path: Path) -> bytes:
    """Read a passphrase or token file, refusing one that others may read.

    Raises:
        KeyStoreError: it is missing, empty or not mode 0600.
    """
    _require_mode(path, SECRET_MODE)
    secret = path.read_bytes().strip()
    if not secret:
        raise KeyStoreError(f"{path.name} is empty")
    return secret


def write_secret(path: Path, secret: bytes) -> None:
    """Write a new file of mode 0600; an existing one is never overwritten.

    Raises:
        KeyStoreError: the file exists.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE)
    except FileExistsError as error:
        raise KeyStoreError(f"{path.name} exists and is not overwritten") from error
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, SECRET_MODE)
        file.write(secret)


class SoftwareSigner(HeldSigner):
    """A signing key of a software store with its certificate."""

    __slots__ = ("_certificate",)

    def __init__(self, private_key: ec.EllipticCurvePrivateKey, certificate: Certificate) -> None:
        super().__init__(private_key)
        self._certificate = certificate

    @property
    def certificate(self) -> Certificate:
        """The certificate of the key."""
        return self._certificate


class SoftwareKeyAgreement(HeldKeyAgreement):
    """A key agreement key of a software store with its certificate."""

    __slots__ = ("_certificate",)

    def __init__(self, private_key: ec.EllipticCurvePrivateKey, certificate: Certificate) -> None:
        super().__init__(private_key)
        self._certificate = certificate

    @property
    def certificate(self) -> Certificate:
        """The certificate of the key."""
        return self._certificate


class SoftwareKeyStore:
    """A party's keys, opened once from a folder; see the module for the layout."""

    def __init__(self, folder: Path, passphrase: bytes) -> None:
        if not passphrase:
            raise KeyStoreError("a passphrase is needed")
        self._folder = folder
        self.__passphrase = passphrase
        self.__keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._certificates: dict[str, Certificate] = {}

    def __repr__(self) -> str:
        """Show the folder and the names of the keys."""
        return f"<SoftwareKeyStore {self._folder.name}: {', '.join(self.names())}>"

    @classmethod
    def create(cls, folder: Path, passphrase: bytes) -> SoftwareKeyStore:
        """Make a new, empty store.

        Raises:
            KeyStoreError: the folder exists.
        """
        try:
            folder.mkdir(mode=FOLDER_MODE)
        except FileExistsError as error:
            raise KeyStoreError(f"{folder.name} exists and is not overwritten") from error
        folder.chmod(FOLDER_MODE)
        return cls(folder, passphrase)

    @classmethod
    def open(cls, folder: Path, passphrase: bytes) -> SoftwareKeyStore:
        """Open a store and everything in it, or nothing.

        Raises:
            KeyStoreError: wrong mode bits, a wrong passphrase, an unencrypted key, a key without
                its certificate or with another's.
            NotSimulated: a certificate without the simulation marks.
            CertificateError: a certificate that cannot be read.
        """
        _require_mode(folder, FOLDER_MODE)
        store = cls(folder, passphrase)
        for path in sorted(folder.glob("*.key")):
            store._load(path.stem)
        if not store.names():
            raise KeyStoreError(f"{folder.name} holds no keys")
        return store

    def names(self) -> list[str]:
        """The names of the keys held, sorted."""
        return sorted(self.__keys)

    def certificate(self, name: str) -> Certificate:
        """The certificate of a key.

        Raises:
            KeyStoreError: no such key.
        """
        if name not in self._certificates:
            raise KeyStoreError(f"no certificate for {name!r} is held here")
        return self._certificates[name]

    def signer(self, name: str) -> SoftwareSigner:
        """The signer of a key.

        Raises:
            KeyStoreError: no such key, or its certificate is for key agreement.
        """
        certificate = self.certificate(name)
        if certificate.usage not in {Usage.DIGITAL_SIGNATURE, Usage.KEY_CERT_SIGN}:
            raise KeyStoreError(f"{name} is for {certificate.usage}, not for signing")
        return SoftwareSigner(self.__keys[name], certificate)

    def key_agreement(self, name: str) -> SoftwareKeyAgreement:
        """The key agreement of a key.

        Raises:
            KeyStoreError: no such key, or its certificate is for signing.
        """
        certificate = self.certificate(name)
        if certificate.usage is not Usage.KEY_AGREEMENT:
            raise KeyStoreError(f"{name} is for {certificate.usage}, not for key agreement")
        return SoftwareKeyAgreement(self.__keys[name], certificate)

    def device_keys(self) -> DeviceKeys:
        """The keys of simulated devices, derived from `device-seed`.

        Raises:
            KeyStoreError: no seed is held here.
        """
        if DEVICE_SEED not in self.__keys:
            raise KeyStoreError("no device seed is held here")
        return DeviceKeys(seed_of(self.__keys[DEVICE_SEED]))

    def generate(self, name: str) -> ec.EllipticCurvePublicKey:
        """Make a new P-256 key; it can be used once its certificate is installed.

        Returns:
            The public half, for the certificate.

        Raises:
            KeyStoreError: the name is taken or is no name.
        """
        if not _NAME.fullmatch(name):
            raise KeyStoreError(f"{name!r} is no name of a key")
        private_key = ec.generate_private_key(ec.SECP256R1())
        encryption = BestAvailableEncryption(self.__passphrase)
        write_secret(
            self._folder / f"{name}.key",
            private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
        )
        self.__keys[name] = private_key
        return private_key.public_key()

    def uncertified_signer(self, name: str) -> HeldSigner:
        """A signer for a key that has no certificate yet: a root's own certificate, a request.

        Raises:
            KeyStoreError: no such key, or it has its certificate already.
        """
        if name not in self.__keys or name in self._certificates or name == DEVICE_SEED:
            raise KeyStoreError(f"{name!r} is not a key that waits for its certificate")
        return HeldSigner(self.__keys[name])

    def install(self, name: str, certificate: Certificate) -> None:
        """Put a key's certificate beside it, replacing the one it had.

        Raises:
            KeyStoreError: no such key, or the certificate is another key's.
            NotSimulated: the certificate is not marked simulated.
        """
        if name not in self.__keys or name == DEVICE_SEED:
            raise KeyStoreError(f"no key {name!r} is held here")
        self._adopt(name, self.__keys[name], certificate)
        path = self._folder / f"{name}.pem"
        new = path.with_suffix(".pem.new")
        new.write_bytes(certificate.to_pem())
        new.replace(path)

    def _adopt(
        self, name: str, private_key: ec.EllipticCurvePrivateKey, certificate: Certificate
    ) -> None:
        require_simulated(certificate)
        if certificate.public_key != private_key.public_key():
            raise KeyStoreError(f"the certificate beside {name}.key is another key's")
        self.__keys[name] = private_key
        self._certificates[name] = certificate

    def _load(self, name: str) -> None:
        path = self._folder / f"{name}.key"
        _require_mode(path, SECRET_MODE)
        private_key = _open_key(path, self.__passphrase)
        if name == DEVICE_SEED:
            self.__keys[name] = private_key
            return
        try:
            certificate = Certificate.from_pem((self._folder / f"{name}.pem").read_bytes())
        except FileNotFoundError as error:
            raise KeyStoreError(f"{name}.key has no certificate beside it") from error
        except CertificateError as error:
            raise KeyStoreError(f"{name}.pem: {error}") from error
        self._adopt(name, private_key, certificate)


def open_store(folder: Path) -> SoftwareKeyStore:
    """The key store of a system or an organisation: `keys/` in its folder, `passphrase` beside it.

    Raises:
        KeyStoreError, NotSimulated, CertificateError: as `SoftwareKeyStore.open` and `read_secret`.
    """
    return SoftwareKeyStore.open(folder / "keys", read_secret(folder / "passphrase"))


def _require_mode(path: Path, mode: int) -> None:
    try:
        found = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError as error:
        raise KeyStoreError(f"{path.name} is missing") from error
    if found != mode:
        raise KeyStoreError(f"{path.name} has mode {found:04o} where {mode:04o} is required")


def _open_key(path: Path, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        private_key = load_pem_private_key(path.read_bytes(), passphrase)
    except TypeError as error:
        raise KeyStoreError(f"{path.name} is not encrypted") from error
    except (ValueError, UnsupportedAlgorithm):
        # The cause is left out: it may quote what it was given.
        raise KeyStoreError(f"the passphrase does not open {path.name}") from None
    return require_p256(private_key, path.name)
