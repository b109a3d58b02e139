"""Registration's settings: those of every party, and where its first data comes from."""

from __future__ import annotations

from pathlib import Path

from services.chassis.settings import Settings


class RegistrationSettings(Settings):
    """Settings of registration.

    Attributes:
        estate: The file with participants, meter points and registrations, read at the first
            start; None: ``estate.json`` in the data folder, else in the folder above it.
    """

    estate: Path | None = None

    @property
    def estate_file(self) -> Path:
        """Where the estate file is."""
        if self.estate is not None:
            return self.estate
        own = self.data / "estate.json"
        return own if own.is_file() else self.data.resolve().parent / "estate.json"
