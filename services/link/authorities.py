"""The authorities that a party trusts, read once from its own folder.

```
trust/organisation-root.pem  organisation-issuing.pem  device-root.pem  device-issuing.pem
      infrastructure-root.pem
```
All of it is public. Nothing received over a wire ever becomes an anchor. The link's own pins, in
the same folder, are read by `services.link.trust`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keys.certificate import Certificate
from keys.errors import CertificateError, KeyStoreError


@dataclass(frozen=True, slots=True)
class Authorities:
    """Whose certificates users, CoS Parties, devices and links have: authorities, no leaf.

    Attributes:
        organisation_root: anchor of every organisation certificate.
        organisation_authorities: issuing authorities of organisations.
        device_root: anchor of every device certificate.
        device_authorities: issuing authorities of devices.
        infrastructure_root: issuer of link certificates, whose revocation list the link needs.
    """

    organisation_root: Certificate
    organisation_authorities: tuple[Certificate, ...]
    device_root: Certificate
    device_authorities: tuple[Certificate, ...]
    infrastructure_root: Certificate

    @classmethod
    def read(cls, folder: Path) -> Authorities:
        """Read the folder.

        Raises:
            KeyStoreError: a file is missing, not an authority's certificate, or not marked as
                simulated.
        """
        return cls(
            organisation_root=_read(folder / "organisation-root.pem"),
            organisation_authorities=(_read(folder / "organisation-issuing.pem"),),
            device_root=_read(folder / "device-root.pem"),
            device_authorities=(_read(folder / "device-issuing.pem"),),
            infrastructure_root=_read(folder / "infrastructure-root.pem"),
        )

    @property
    def all(self) -> tuple[Certificate, ...]:
        """Whose revocation lists count."""
        return (
            self.organisation_root,
            *self.organisation_authorities,
            self.device_root,
            *self.device_authorities,
            self.infrastructure_root,
        )

    @property
    def published_lists(self) -> dict[str, Certificate]:
        """Whose list the SMKI repository publishes under which name (the link's own three)."""
        return {
            "organisation": self.organisation_authorities[0],
            "device": self.device_authorities[0],
            "infrastructure": self.infrastructure_root,
        }


def _read(path: Path) -> Certificate:
    try:
        certificate = Certificate.from_pem(path.read_bytes())
    except OSError as error:
        raise KeyStoreError(f"{path} cannot be read ({error.strerror})") from None
    except CertificateError as error:
        raise KeyStoreError(f"{path}: {error}") from None
    if not certificate.is_authority or not certificate.simulated:
        raise KeyStoreError(f"{path} is not a simulated authority")
    return certificate
