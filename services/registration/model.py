"""What registration knows: who supplies which MPxN from when until when, and with which devices.

The bodies that go over the link and the form of the estate file are this project's own: the
interfaces of the real registration systems to a CoS Party are not public
(docs/sources.md#party-checks).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from services.chassis.data.canonical import canonical
from services.link.bodies import Eui, Strict, Version
from services.link.register_digest import digest, total

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
        """What it says, in 64 hex digits (`services.link.register_digest`)."""
        said = self.as_json()
        return digest(total(map(canonical, [*said["participants"], *said["meter_points"]])))


class Position(Strict):
    """How far a copy goes, in the order in which meter points changed.

    Attributes:
        base: the number at which everything was last taken anew. From another one nobody goes on.
        number: the number of the change that wrote the last meter point there.
        mpxn: that meter point; ``~``, which none is after, where all of that number are there.
    """

    base: int = Field(ge=0)
    number: int = Field(ge=0)
    mpxn: str = Field(max_length=13, pattern=r"^([0-9]*|~)$")

    def at(self, number: int, mpxn: str) -> Position:
        """The same, further on."""
        return Position(base=self.base, number=number, mpxn=mpxn)


class ExtractQuestion(Strict):
    """Body of `registration-extract`: the extract the caller holds, if any.

    Attributes:
        known: its number.
        digest: what it says (`Register.digest`); without it the number alone is compared.
        paged: whether the answer may be a page of what changed; else it is the whole register,
            which fits into an answer up to some 30,000 meter points.
        after: where the caller's copy ends (`next` of the last page it took); None: at nothing.
        lease: whether the caller wants to know for how long the answer holds.
    """

    version: Version
    known: int | None = Field(ge=0)
    digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    paged: bool = False
    after: Position | None = None
    lease: bool = False


class NewRegistration(Strict):
    """Body of ``POST /lab/registrations``: who supplies an MPxN from when on."""

    mpxn: Mpxn
    participant: ParticipantId
    effective_from: Annotated[AwareDatetime, Field(strict=False)]  # text, over HTTP


class Devices(Strict):
    """Body of ``PUT /lab/meter-points/{mpxn}``."""

    devices: list[Eui]


def _as_text(told: object) -> list[MeterPoint]:
    """Read once more from JSON: strict models take text for a time only there."""
    return _POINTS.validate_json(json.dumps(told))


_POINTS: Final = TypeAdapter(list[MeterPoint])


class Homes(Strict):
    """Body of ``PUT /lab/meter-points``: many at once, as the estate file has them."""

    meter_points: Annotated[list[MeterPoint], BeforeValidator(_as_text), Field(max_length=10_000)]


class ParticipantFacts(Strict):
    """Body of ``PUT /lab/participants/{id}``."""

    name: str = Field(min_length=1, max_length=80)
    euis: list[Eui]
