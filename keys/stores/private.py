"""The two operations on a P-256 private key held in this process's memory.

The key objects stay inside these classes: nothing returns them, prints them or pickles them.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from keys.certificate import Certificate
from keys.errors import KeyStoreError
from keys.roles import Usage
from keys.tally import COUNTS

_SIGNATURE = ec.ECDSA(hashes.SHA256())


def sign_raw(private_key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign the octets: ECDSA P-256 with SHA-256, raw r||s of 64 octets (GBCS, IEEE P1363)."""
    COUNTS["sign"] += 1
    r, s = decode_dss_signature(private_key.sign(data, _SIGNATURE))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def agree(private_key: ec.EllipticCurvePrivateKey, peer: Certificate) -> bytes:
    """Agree Z with the peer: ECDH P-256, the 32-octet x-coordinate.

    Raises:
        KeyStoreError: the peer's certificate is not for key agreement on P-256.
    """
    if peer.usage is not Usage.KEY_AGREEMENT:
        raise KeyStoreError(f"the peer's certificate is for {peer.usage}, not keyAgreement")
    if not isinstance(peer.public_key.curve, ec.SECP256R1):
        raise KeyStoreError("the peer's key is not on P-256")
    COUNTS["agree"] += 1
    return private_key.exchange(ec.ECDH(), peer.public_key)


def require_p256(private_key: object, name: str) -> ec.EllipticCurvePrivateKey:
    """The key of a file, if it is one on P-256.

    Raises:
        KeyStoreError: it is another.
    """
    if isinstance(private_key, ec.EllipticCurvePrivateKey) and isinstance(
        private_key.curve, ec.SECP256R1
    ):
        return private_key
    raise KeyStoreError(f"{name} is not a P-256 key")


class _Held:
    """A private key that does not leave."""

    __slots__ = ("__private_key",)

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self.__private_key = private_key

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise KeyStoreError("a private key does not leave its store")

    def __repr__(self) -> str:
        """Show nothing but what it is."""
        return f"<{type(self).__name__}>"

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self.__private_key.public_key()

    def _sign(self, data: bytes) -> bytes:
        return sign_raw(self.__private_key, data)

    def _agree(self, peer: Certificate) -> bytes:
        return agree(self.__private_key, peer)


class HeldSigner(_Held):
    """A signing key."""

    __slots__ = ()

    def sign(self, data: bytes) -> bytes:
        """Sign the octets: ECDSA P-256 with SHA-256, raw r||s of 64 octets."""
        return self._sign(data)


class HeldKeyAgreement(_Held):
    """A key agreement key."""

    __slots__ = ()

    def shared_secret(self, peer: Certificate) -> bytes:
        """Agree Z with the peer: ECDH P-256, the 32-octet x-coordinate.

        Raises:
            KeyStoreError: the peer's certificate is not for key agreement on P-256.
        """
        return self._agree(peer)
