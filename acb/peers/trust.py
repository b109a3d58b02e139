"""What the broker trusts, read once from its trust folder.

```
trust/organisation-root.pem  organisation-issuing.pem  device-root.pem  device-issuing.pem
      infrastructure-root.pem
```
All of it is public. Nothing received over a wire ever becomes an anchor. The link's own anchors,
in the same folder, are read by `services.link.trust`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keys.certificate import Certificate
from keys.errors import CertificateError, KeyStoreError


@dataclass(frozen=True, slots=True)
class Trust:
    """The authorities: whose certificates users, CoS Parties, devices and links have."""

    organisation_root: Certificate
    organisation_issuing: Certificate
    device_root: Certificate
    device_issuing: Certificate
    infrastructure_root: Certificate

    @property
    def authorities(self) -> tuple[Certificate, ...]:
        """Whose revocation lists count."""
        return (
            self.organisation_root,
            self.organisation_issuing,
            self.device_root,
            self.device_issuing,
            self.infrastructure_root,
        )

    @property
    def list_authorities(self) -> dict[str, Certificate]:
        """Whose list the SMKI repository publishes under which name (the link's own three)."""
        return {
            "organisation": self.organisation_issuing,
            "device": self.device_issuing,
            "infrastructure": self.infrastructure_root,
        }

    @classmethod
    def read(cls, folder: Path) -> Trust:
        """Read the folder.

        Raises:
            KeyStoreError: a file is missing, not a certificate, or not marked simulated.
        """
        return cls(
            organisation_root=_read(folder / "organisation-root.pem"),
            organisation_issuing=_read(folder / "organisation-issuing.pem"),
            device_root=_read(folder / "device-root.pem"),
            device_issuing=_read(folder / "device-issuing.pem"),
            infrastructure_root=_read(folder / "infrastructure-root.pem"),
        )


def _read(path: Path) -> Certificate:
    try:
        certificate = Certificate.from_pem(path.read_bytes())
    except OSError as error:
        raise KeyStoreError(f"trust: {path.name} cannot be read ({error.strerror})") from None
    except CertificateError as error:
        raise KeyStoreError(f"trust: {path.name}: {error}") from None
    if not certificate.simulated:
        raise KeyStoreError(f"trust: {path.name} is not marked as simulated material")
    return certificate
