"""What a party may do with its private keys: the protocols every key store answers.

No private key object leaves a store. A party's `main.py` opens one and hands the workflow a
signer. The software store is in `keys.stores.software`; a cryptographic module answers the same
protocols.
"""

from __future__ import annotations

from typing import Protocol

from keys.certificate import Certificate

DIGITAL_SIGNING = "digital-signing"
KEY_AGREEMENT = "key-agreement"
XML_SIGNING = "xml-signing"
LINK = "link"
DEVICE_SEED = "device-seed"


class Signer(Protocol):
    """A private key that signs, and the certificate that says whose it is."""

    @property
    def certificate(self) -> Certificate:
        """The certificate of the key."""

    def sign(self, data: bytes) -> bytes:
        """Sign the octets: ECDSA P-256 with SHA-256, raw r||s of 64 octets."""


class KeyAgreement(Protocol):
    """A private key that agrees secrets, and the certificate that says whose it is."""

    @property
    def certificate(self) -> Certificate:
        """The certificate of the key."""

    def shared_secret(self, peer: Certificate) -> bytes:
        """Agree Z with the peer: ECDH P-256, the 32-octet x-coordinate.

        Raises:
            KeyStoreError: the peer's certificate is not for key agreement on P-256.
        """


class KeyStore(Protocol):
    """A party's private keys by name."""

    def names(self) -> list[str]:
        """The names of the keys held, sorted."""

    def certificate(self, name: str) -> Certificate:
        """The certificate of a key.

        Raises:
            KeyStoreError: no such key.
        """

    def signer(self, name: str) -> Signer:
        """The signer of a key.

        Raises:
            KeyStoreError: no such key, or its certificate does not let it sign.
        """

    def key_agreement(self, name: str) -> KeyAgreement:
        """The key agreement of a key.

        Raises:
            KeyStoreError: no such key, or its certificate does not let it agree keys.
        """
