"""What the devices of this process do with their private keys, all derived from one seed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from keys.certificate import Certificate
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys

SECRETS_IN_MEMORY = 10_000
"""Shared secrets kept: static for a pair of keys, and costlier to agree than all else of a MAC."""


class Fleet:
    """The keys of every device.

    Args:
        keys: the derivation, opened in main.
    """

    def __init__(self, keys: DeviceKeys) -> None:
        self.keys = keys
        self._secrets: OrderedDict[tuple[str, int, bytes], bytes] = OrderedDict()

    def __repr__(self) -> str:
        return "<Fleet>"

    def keys_of(self, eui: str, signing: int = 0, agreement: int = 0) -> DeviceOwnKeys:
        """What the device of this EUI-64 can do with its keys of these generations."""
        return DeviceOwnKeys(self, eui, signing, agreement)

    def public_key(self, eui: str, usage: Usage, generation: int = 0) -> EllipticCurvePublicKey:
        """The public half of one of its keys."""
        return self.keys.public_key(eui, usage, generation)

    def shared_secret(self, eui: str, peer: Certificate, generation: int = 0) -> bytes:
        """Z of the device's key agreement key and the peer's: 32 octets.

        Raises:
            KeyStoreError: the peer's certificate is not for key agreement.
        """
        pair = (eui, generation, peer.der)
        if pair not in self._secrets:
            self._secrets[pair] = self.keys.key_agreement(eui, generation).shared_secret(peer)
            if len(self._secrets) > SECRETS_IN_MEMORY:
                self._secrets.popitem(last=False)
        return self._secrets[pair]


@dataclass(frozen=True, slots=True)
class DeviceOwnKeys:
    """One device's keys, as meter_sim.device.model.OwnKeys asks for them."""

    fleet: Fleet
    eui: str
    signing: int = 0
    agreement: int = 0

    def sign(self, data: bytes) -> bytes:
        """ECDSA P-256 / SHA-256 over `data`: 64 octets r||s."""
        return self.fleet.keys.signer(self.eui, self.signing).sign(data)

    def shared_secret(self, peer: Certificate) -> bytes:
        """Z, 32 octets."""
        return self.fleet.shared_secret(self.eui, peer, self.agreement)

    def public_key(self, usage: Usage, generation: int) -> EllipticCurvePublicKey:
        """The public half of any of its key pairs."""
        return self.fleet.public_key(self.eui, usage, generation)

    def certification_request(self, usage: Usage, generation: int) -> bytes:
        """A PKCS #10 request (DER) for any of its key pairs."""
        return self.fleet.keys.certification_request(self.eui, usage, generation)
