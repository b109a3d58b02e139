"""Private keys of simulated parties in the clear, for third-party tools that check a MAC.

A MAC can only be checked by somebody who holds one of the two private keys that made it. Real
systems never let them out; this simulation may, because its keys are good for nothing. Only the
command line's export uses this module (an import contract holds that), and everything it writes
begins with a warning.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keys.certificate import Certificate, require_simulated
from keys.errors import KeyStoreError
from keys.roles import Usage
from keys.stores.software import SoftwareKeyStore, _open_key

WARNING = (
    b"SIMULATED KEY, DISCLOSED ON PURPOSE. Useless for anything real; never use it as a secret.\n"
)


def unsafe_private_key(folder: Path, passphrase: bytes, name: str) -> bytes:
    """A key of a software store as unencrypted PEM behind a warning.

    Raises:
        KeyStoreError: no such key, or the passphrase does not open it.
        NotSimulated: its certificate is not marked simulated.
    """
    try:
        require_simulated(Certificate.from_pem((folder / f"{name}.pem").read_bytes()))
        return _clear(_open_key(folder / f"{name}.key", passphrase))
    except FileNotFoundError as error:
        raise KeyStoreError(f"no key {name!r} in {folder.name}") from error


def unsafe_device_key(
    store: SoftwareKeyStore, eui: str, usage: Usage, generation: int = 0
) -> bytes:
    """A simulated device's key as unencrypted PEM behind a warning.

    Raises:
        KeyStoreError: the store holds no device seed.
        CertificateError: the EUI-64 is not 16 lower-case hexadecimal digits.
    """
    return _clear(store.device_keys()._derive(eui, usage, generation))  # noqa: SLF001 - see the module


def _clear(private_key: ec.EllipticCurvePrivateKey) -> bytes:
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return WARNING + pem
