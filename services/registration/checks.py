"""What registration asks before it answers and before it changes.

Sections: ``extract`` (the interface), and for changes on the lab port ``registration``,
``meter_point`` and ``participant``. Turning one of the latter off lets a tester publish unsound
data and see which CoS Party notices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.chassis.checks import Check, CheckFailed, check
from services.registration.model import MeterPoint, NewRegistration, Participant, Register

SOURCE: Final = "reconstruction: docs/sources.md#party-checks"


@dataclass(frozen=True, slots=True)
class ExtractEvidence:
    """The number the caller holds, and ours."""

    known: int | None
    number: int


@dataclass(frozen=True, slots=True)
class RegistrationEvidence:
    """A wanted registration, what is registered now, and what time it is."""

    wanted: NewRegistration
    register: Register
    now: datetime

    @property
    def point(self) -> MeterPoint | None:
        """The meter point it is for."""
        return self.register.point(self.wanted.mpxn)


@dataclass(frozen=True, slots=True)
class MeterPointEvidence:
    """The devices wanted at an MPxN, and where each device belongs now."""

    mpxn: str
    devices: tuple[str, ...]
    belongs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ParticipantEvidence:
    """A wanted participant, and those there are."""

    wanted: Participant
    participants: tuple[Participant, ...]


@check("registration.extract.number", source=SOURCE, status=409)
def number(evidence: ExtractEvidence) -> None:
    """The caller does not hold a later extract than this service.

    A caller ahead of us has seen what we have lost; it keeps its copy until someone looks.
    """
    if evidence.known is not None and evidence.known > evidence.number:
        raise CheckFailed(
            "the caller holds a later extract than this service does",
            expected=f"at most {evidence.number}",
            found=str(evidence.known),
        )


@check("registration.change.participant", source=SOURCE, status=409, section="registration")
def participant(evidence: RegistrationEvidence) -> None:
    """The participant is known."""
    wanted = evidence.wanted.participant
    if all(known.id != wanted for known in evidence.register.participants):
        raise CheckFailed("no such participant", found=wanted)


@check("registration.change.meter_point", source=SOURCE, status=409, section="registration")
def meter_point(evidence: RegistrationEvidence) -> None:
    """The meter point is known."""
    if evidence.point is None:
        raise CheckFailed("no such meter point", found=evidence.wanted.mpxn)


@check("registration.change.order", source=SOURCE, status=409, section="registration")
def order(evidence: RegistrationEvidence) -> None:
    """A registration does not begin before one that has begun.

    What has begun stays in the record; what lies ahead may be replaced.
    """
    begun = [
        period.effective_from
        for period in (evidence.point.registrations if evidence.point else ())
        if period.effective_from <= evidence.now
    ]
    if begun and evidence.wanted.effective_from < max(begun):
        raise CheckFailed(
            "the registration would begin before one that has begun",
            expected=f"not before {max(begun).isoformat()}",
            found=evidence.wanted.effective_from.isoformat(),
        )


@check("registration.change.one_place", source=SOURCE, status=409, section="meter_point")
def one_place(evidence: MeterPointEvidence) -> None:
    """A device belongs to one meter point."""
    for device in evidence.devices:
        elsewhere = evidence.belongs.get(device, evidence.mpxn)
        if elsewhere != evidence.mpxn:
            raise CheckFailed(
                "the device belongs to another meter point",
                expected=f"{device} nowhere, or at {evidence.mpxn}",
                found=f"{device} at {elsewhere}",
            )


@check("registration.change.listed_once", source=SOURCE, status=409, section="meter_point")
def listed_once(evidence: MeterPointEvidence) -> None:
    """A device is named once."""
    if len(set(evidence.devices)) != len(evidence.devices):
        raise CheckFailed("a device is named twice")


@check("registration.change.own_euis", source=SOURCE, status=409, section="participant")
def own_euis(evidence: ParticipantEvidence) -> None:
    """An entity identifier is one participant's."""
    for other in evidence.participants:
        shared = sorted(set(other.euis) & set(evidence.wanted.euis))
        if shared and other.id != evidence.wanted.id:
            raise CheckFailed(
                "an entity identifier is another participant's",
                found=f"{shared[0]} of {other.id}",
            )


CHECKS: Final[tuple[Check[Any], ...]] = (
    number,
    participant,
    meter_point,
    order,
    listed_once,
    one_place,
    own_euis,
)
"""In the order in which they are made."""
