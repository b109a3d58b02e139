"""The two operations on a P-256 private key held in this process's memory.

The key objects stay inside these classes: nothing returns them, prints them or pickles them.
"""

from __future__ import annotations

from functools import partial
from typing import NoReturn

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from keys.certificate import Certificate
from keys.errors import KeyStoreError
from keys.kept import Kept
from keys.roles import Usage
from keys.tally import COUNTS

_SIGNATURE = ec.ECDSA(hashes.SHA256())
_AGREEMENT = ec.ECDH()
SECRETS_KEPT = 4096
"""Shared secrets that a key agreement key keeps: Z is the same for a pair of keys, always."""


def sign_raw(private_key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Sign the octets: ECDSA P-256 with SHA-256, raw r||s of 64 octets (GBCS, IEEE P1363)."""
    COUNTS["sign"] += 1
    der = private_key.sign(data, _SIGNATURE)  # 30 len | 02 len r | 02 len s; all lengths below 128
    size = der[3]
    return _thirty_two(der[4 : 4 + size]) + _thirty_two(der[6 + size :])


def _thirty_two(integer: bytes) -> bytes:
    """The content of a positive INTEGER of at most 256 bits as 32 octets."""
    return integer[-32:].rjust(32, b"\x00")


def agree(private_key: ec.EllipticCurvePrivateKey, peer: Certificate) -> bytes:
    """Agree Z with the peer: ECDH P-256, the 32-octet x-coordinate.

    Raises:
        KeyStoreError: the peer's certificate is not for key agreement on P-256.
    """
    require_agreement(peer)
    COUNTS["agree"] += 1
    return private_key.exchange(_AGREEMENT, peer.public_key)


def require_agreement(peer: Certificate) -> None:
    """Refuse a peer that no key is agreed with.

    Raises:
        KeyStoreError: its certificate is not for key agreement on P-256.
    """
    if peer.usage is not Usage.KEY_AGREEMENT:
        raise KeyStoreError(f"the peer's certificate is for {peer.usage}, not keyAgreement")
    if not isinstance(peer.public_key.curve, ec.SECP256R1):
        raise KeyStoreError("the peer's key is not on P-256")


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

    __slots__ = ("__agreed",)

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        super().__init__(private_key)
        self.__agreed: Kept[bytes, bytes] = Kept(SECRETS_KEPT)

    def shared_secret(self, peer: Certificate) -> bytes:
        """Agree Z with the peer: ECDH P-256, the 32-octet x-coordinate.

        Z is kept under the peer's public key; whether its certificate allows it is asked each time.

        Raises:
            KeyStoreError: the peer's certificate is not for key agreement on P-256.
        """
        require_agreement(peer)
        return self.__agreed.of(peer.octets.public_key, partial(self._agree, peer))
