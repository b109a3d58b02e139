"""Who we are on the link: a system name and the signer that holds its link key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from keys.stores.store import Signer
from services.chassis.time.clock import Clock
from services.link.errors import LinkSetupError
from services.link.wire import profile
from services.link.wire.signing import Stamp


@dataclass(frozen=True, slots=True)
class LinkIdentity:
    """A system and its link key. The key is never one that signs anything else.

    Raises:
        LinkSetupError: the certificate is not simulated material or names another system.
    """

    system: str
    signer: Signer

    def __post_init__(self) -> None:
        """Refuse a certificate that is not this system's simulated one."""
        certificate = self.signer.certificate
        if not certificate.simulated:
            raise LinkSetupError("the link certificate is not marked as simulated")
        if certificate.common_name != self.system:
            raise LinkSetupError(
                f"the link certificate names {certificate.common_name!r}, not {self.system!r}"
            )

    @property
    def key_id(self) -> str:
        """Key identifier of the link certificate, 16 hexadecimal digits."""
        return self.signer.certificate.key_identifier.hex()

    def sign(self, data: bytes) -> bytes:
        """ECDSA P-256 with SHA-256, raw r||s."""
        return self.signer.sign(data)

    def stamp(self, clock: Clock) -> Stamp:
        """A new stamp for one signature: now, with a nonce of its own."""
        return Stamp(
            key_id=self.key_id,
            nonce=secrets.token_urlsafe(profile.NONCE_OCTETS),
            created=int(clock.now().timestamp()),
        )
