"""The party's own copy of the registration data, and the questions it may be asked.

Registration says which participant supplies which MPxN from when until when, which devices belong
to an MPxN, and which entity identifiers are a participant's. A CoS Party never takes the
requester's word for any of these: it keeps this copy and asks the copy
(docs/sources.md#party-checks).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Participant:
    """A market participant: its identifier, its name, and every entity identifier it uses."""

    id: str
    name: str
    euis: frozenset[str]


@dataclass(frozen=True, slots=True)
class SupplyPeriod:
    """One registration: `participant` supplies from `effective_from` until before `effective_to`.

    `effective_to` of None means until further notice.
    """

    participant: str
    effective_from: datetime
    effective_to: datetime | None

    def covers(self, moment: datetime) -> bool:
        """Whether the registration is in force at `moment` (start included, end not)."""
        if moment < self.effective_from:
            return False
        return self.effective_to is None or moment < self.effective_to

    def ends_after(self, moment: datetime) -> bool:
        """Whether the registration is in force at `moment` or will be at some later time."""
        return self.effective_to is None or moment < self.effective_to


@dataclass(frozen=True, slots=True)
class MeterPoint:
    """An MPxN, the devices that belong to it and its registrations."""

    mpxn: str
    devices: frozenset[str]
    registrations: tuple[SupplyPeriod, ...]


@dataclass(frozen=True, slots=True)
class RegistrationCopy:
    """One numbered extract of the registration data, and when it was last confirmed.

    Attributes:
        number: the extract's number as registration gave it.
        confirmed_at: when registration last said that this is the current extract (UTC).
        participants: by participant identifier.
        meter_points: by MPxN.
    """

    number: int
    confirmed_at: datetime
    participants: dict[str, Participant]
    meter_points: dict[str, MeterPoint]

    def participants_of(self, eui: str) -> frozenset[str]:
        """The identifiers of every participant that uses the entity identifier `eui`."""
        return frozenset(p.id for p in self.participants.values() if eui in p.euis)

    def euis_with(self, eui: str) -> frozenset[str]:
        """Every entity identifier of the participant(s) that use `eui`, `eui` included."""
        found: set[str] = set()
        for participant in self.participants.values():
            if eui in participant.euis:
                found |= participant.euis
        return frozenset(found)

    def suppliers_at(self, mpxn: str, moment: datetime) -> tuple[str, ...]:
        """The participants registered for `mpxn` at `moment`: one in sound data, perhaps none."""
        point = self.meter_points.get(mpxn)
        if point is None:
            return ()
        return tuple(p.participant for p in point.registrations if p.covers(moment))

    def suppliers_from(self, mpxn: str, moment: datetime) -> tuple[str, ...]:
        """The participants registered for `mpxn` at `moment` or to be registered later."""
        point = self.meter_points.get(mpxn)
        if point is None:
            return ()
        return tuple(p.participant for p in point.registrations if p.ends_after(moment))
