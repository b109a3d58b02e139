"""What the broker trusts, read once from its trust folder.

```
trust/organisation-root.pem  organisation-issuing.pem
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
    """The organisation hierarchy: whose certificates users and CoS Parties have."""

    organisation_root: Certificate
    organisation_issuing: Certificate

    @classmethod
    def read(cls, folder: Path) -> Trust:
        """Read the folder.

        Raises:
            KeyStoreError: a file is missing, not a certificate, or not marked simulated.
        """
        return cls(
            organisation_root=_read(folder / "organisation-root.pem"),
            organisation_issuing=_read(folder / "organisation-issuing.pem"),
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
