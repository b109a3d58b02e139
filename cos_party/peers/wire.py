"""The bodies that go over the link: strict models, nothing unknown accepted.

Octets travel as standard padded base64. Formats are this project's own: the interface
specification of the real systems is not published (December 2022 consultation, section 7).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter

from cos_party.registration_copy import (
    MeterPoint,
    Participant,
    SupplyPeriod,
)
from services.chassis.data.canonical import canonical
from services.link.bodies import Eui, Strict, Version, octets, text
from services.link.register_digest import digest, total


def _is_base64(carried: str) -> str:
    try:
        data = octets(carried)
    except ValueError:
        raise ValueError("not padded base64") from None
    if text(data) != carried:
        raise ValueError("not the one way to write these octets in base64")
    return carried


LONGEST_BASE64: Final = 400_000
"""Characters of the longest document: a service request or a GBCS message."""
Base64 = Annotated[str, Field(max_length=LONGEST_BASE64), AfterValidator(_is_base64)]


class Body(Strict):
    """What every body is: a version, exact types, no unknown member."""

    version: Version


class CosCommandBody(Body):
    """`cos-command`: the supplier's service request, exactly the bytes it signed."""

    transaction: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")
    service_request: Base64


class DeviceReturnBody(Body):
    """`device-response` and `device-alert`: a GBCS message, exactly the bytes the device sent."""

    transaction: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")
    message: Base64


class Position(Strict):
    """How far a copy of the register goes; registration's own word, given back to it."""

    base: int = Field(ge=0)
    number: int = Field(ge=0)
    mpxn: str = Field(max_length=13)


class _Participant(Strict):
    id: str
    name: str
    euis: list[Eui]


class _Registration(Strict):
    participant: str
    effective_from: AwareDatetime
    effective_to: AwareDatetime | None


class _MeterPoint(Strict):
    mpxn: str
    devices: list[Eui]
    registrations: list[_Registration]


class RegistrationExtract(Body):
    """The answer to `registration-extract`: the whole register, or a page of it.

    Attributes:
        number: the extract's number, as registration gave it.
        unchanged: the caller's extract is the current one.
        participants: those that changed; with the last page.
        meter_points: those of this page.
        goes_on: whether the page goes on from the caller's position; else it begins anew, and
            nothing that the caller held counts beside it.
        more: whether more pages follow.
        next: the caller's position after this page; None: it asks for everything again.
        register_digest: what registration holds at that number (`services.link.register_digest`).
        lease: seconds for which this is registration's word.
    """

    number: int = Field(ge=0, lt=1 << 63)
    unchanged: bool
    participants: list[_Participant]
    meter_points: list[_MeterPoint]
    goes_on: bool = False
    more: bool = False
    next: Position | None = None
    register_digest: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    lease: Annotated[float, Field(ge=0, strict=False)] = 0.0

    @cached_property
    def people(self) -> dict[str, str]:
        """Participants by identifier, as canonical JSON."""
        return {p.id: canonical(p.model_dump(mode="json")) for p in self.participants}

    @cached_property
    def homes(self) -> dict[str, str]:
        """Meter points by MPxN, as canonical JSON."""
        return {m.mpxn: canonical(m.model_dump(mode="json")) for m in self.meter_points}

    @cached_property
    def digest(self) -> str:
        """What the rows of this page say, in 64 hex digits."""
        return digest(total([*self.people.values(), *self.homes.values()]))


def participant_of(document: str) -> Participant:
    """A participant from its canonical JSON."""
    read = _Participant.model_validate_json(document)
    return Participant(read.id, read.name, frozenset(read.euis))


def meter_point_of(document: str) -> MeterPoint:
    """A meter point from its canonical JSON."""
    read = _MeterPoint.model_validate_json(document)
    return MeterPoint(
        read.mpxn,
        frozenset(read.devices),
        tuple(
            SupplyPeriod(
                r.participant,
                r.effective_from.astimezone(UTC),
                None if r.effective_to is None else r.effective_to.astimezone(UTC),
            )
            for r in read.registrations
        ),
    )


_POINTS: Final = TypeAdapter(list[_MeterPoint])
SLICE: Final = 200
"""Meter points that are read at a time."""


def read_extract(body: Mapping[str, Any]) -> RegistrationExtract:
    """An extract, read and made ready: its rows are text by then.

    The libraries that read it let nobody else work meanwhile. So it is read in slices, and may be
    read in a thread: others are served in between.

    Raises:
        ValidationError, TypeError, ValueError: it is none.
    """
    points = body.get("meter_points")
    if not isinstance(points, list):
        return RegistrationExtract.model_validate_json(json.dumps(dict(body)))
    found = RegistrationExtract.model_validate_json(json.dumps({**body, "meter_points": []}))
    read: list[_MeterPoint] = []
    for at in range(0, len(points), SLICE):
        read += _POINTS.validate_json(json.dumps(points[at : at + SLICE]))
    found = found.model_copy(update={"meter_points": read})
    _ = found.people, found.homes
    return found
