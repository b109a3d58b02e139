"""What registration knows: who supplies which MPxN from when until when, and with which devices.

The bodies that go over the link and the form of the estate file are this project's own: the
interfaces of the real registration systems to a CoS Party are not public
(docs/sources.md#party-checks).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.chassis.data.canonical import canonical
from services.link.bodies import Eui, Strict, Version

Mpxn = Annotated[str, Field(pattern=r"^[0-9]{6,13}$")]
"""An MPAN core has 13 digits, an MPRN 6 to 10."""
ParticipantId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class Participant(Strict):
    """A market participant, and every entity identifier it uses."""

    id: ParticipantId
    name: str = Field(min_length=1, max_length=80)
    euis: list[Eui]


class SupplyPeriod(Strict):
    """`participant` supplies from `effective_from` until before `effective_to` (None: open)."""

    participant: ParticipantId
    effective_from: AwareDatetime
    effective_to: AwareDatetime | None


class MeterPoint(Strict):
    """An MPxN, the devices that belong to it, and its registrations, earliest first."""

    mpxn: Mpxn
    devices: list[Eui]
    registrations: list[SupplyPeriod]


class Register(BaseModel):
    """Everything registration knows, at one number. In the estate file other facts stand beside."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    participants: list[Participant]
    meter_points: list[MeterPoint]

    def point(self, mpxn: str) -> MeterPoint | None:
        """The meter point of that MPxN."""
        return next((point for point in self.meter_points if point.mpxn == mpxn), None)

    def as_json(self) -> dict[str, Any]:
        """The two lists, JSON-ready."""
        values: dict[str, Any] = self.model_dump(mode="json")
        return values

    @property
    def digest(self) -> str:
        """What it says, in 64 hex digits: SHA-256 of both lists in canonical JSON."""
        return hashlib.sha256(canonical(self.as_json()).encode()).hexdigest()


class ExtractQuestion(Strict):
    """Body of `registration-extract`: the extract the caller holds, if any.

    Attributes:
        known: its number.
        digest: what it says (`Register.digest`); without it the number alone is compared.
    """

    version: Version
    known: int | None = Field(ge=0)
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")


class NewRegistration(Strict):
    """Body of ``POST /lab/registrations``: who supplies an MPxN from when on."""

    mpxn: Mpxn
    participant: ParticipantId
    effective_from: Annotated[AwareDatetime, Field(strict=False)]  # text, over HTTP


class Devices(Strict):
    """Body of ``PUT /lab/meter-points/{mpxn}``."""

    devices: list[Eui]


class ParticipantFacts(Strict):
    """Body of ``PUT /lab/participants/{id}``."""

    name: str = Field(min_length=1, max_length=80)
    euis: list[Eui]
