"""The repository's settings: those of every party, and the folder it publishes."""

from __future__ import annotations

from pathlib import Path

from services.chassis.settings import Settings


class RepositorySettings(Settings):
    """Settings of the SMKI repository.

    Attributes:
        repository: Folder with ``certificates/*.pem`` and ``crl/<name>.crl``; None:
            ``<data>/repository``.
    """

    repository: Path | None = None

    @property
    def repository_folder(self) -> Path:
        """Where the repository folder is."""
        return self.repository or self.data / "repository"
