"""A folder of keys by entity identifier, as published test material lays them out.

::

    <eui>-ds.pem      certificate for digital signing        <eui>-ds.key      its private key
    <eui>-ka.pem      for key agreement                      <eui>-ka.key
    <eui>-pp-ka.pem   for prepayment key agreement           <eui>-pp-ka.key

For reading messages, not for running a system: the private keys there are in the clear. Layout:
RTDS keystore. A file may have text before its PEM block, or be DER (a key: PKCS #8 or SEC 1).
Names are found in upper case too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
)

from keys.certificate import Certificate
from keys.encodings import certificate_of
from keys.errors import CertificateError, KeyStoreError
from keys.profile_rules import public_key_form
from keys.stores.private import agree, require_p256, sign_raw

Use = Literal["ds", "ka", "pp-ka"]
_PEM = b"-----BEGIN"


class KeyFolder:
    """The folder; files are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def certificate(self, eui: str, use: Use) -> Certificate | None:
        """The certificate of an entity for a use, or None where there is none.

        Raises:
            CertificateError: the file is no certificate, or its key is not written as GBCS has it.
        """
        path = self._file(f"{eui}-{use}.pem")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CertificateError(f"{path.name}: {error.strerror}") from error
        found = certificate_of(data)
        if fault := public_key_form(found):
            raise CertificateError(f"{path.name}: {fault}", "subjectPublicKeyInfo")
        return found

    def _file(self, name: str) -> Path:
        """The file of this name, in lower case or however it is written there."""
        path = self.path / name
        if not path.exists() and self.path.is_dir():
            for found in sorted(self.path.iterdir()):
                if found.name.lower() == name.lower():
                    return found
        return path

    def signing_certificate(self, entity: str) -> bytes | None:
        """The digital signing certificate (DER) of an entity, or None.

        Raises:
            CertificateError: the file is no certificate.
        """
        certificate = self.certificate(entity, "ds")
        return None if certificate is None else certificate.der

    def signer(self, entity: str) -> Callable[[bytes], bytes] | None:
        """What signs for an entity (octets in, raw 64-octet r||s out), or None without its key.

        Raises:
            KeyStoreError: the file is no P-256 key.
        """
        private_key = self._private(entity, "ds")
        return None if private_key is None else partial(sign_raw, private_key)

    def shared_secret(self, one: str, other: str) -> bytes | None:
        """Agree Z between two entities where a private key of either is there, else None.

        Raises:
            KeyStoreError: a file is no P-256 key, or a certificate not for key agreement.
            CertificateError: a file is no certificate.
        """
        for holder, peer in ((one, other), (other, one)):
            private_key = self._private(holder, "ka")
            certificate = self.certificate(peer, "ka")
            if private_key is not None and certificate is not None:
                return agree(private_key, certificate)
        return None

    def _private(self, eui: str, use: Use) -> ec.EllipticCurvePrivateKey | None:
        path = self._file(f"{eui}-{use}.key")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyStoreError(f"{path.name}: {error.strerror}") from error
        begin = data.find(_PEM)
        try:
            if begin < 0:
                private_key = load_der_private_key(data, None)
            else:
                private_key = load_pem_private_key(data[begin:], None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # The cause is left out: it may quote what it was given.
            raise KeyStoreError(
                f"{path.name} is no private key in PEM or DER, or is encrypted"
            ) from None
        return require_p256(private_key, path.name)
