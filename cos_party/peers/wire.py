"""The bodies that go over the link: strict models, nothing unknown accepted.

Octets travel as standard padded base64. Formats are this project's own: the interface
specification of the real systems is not published (December 2022 consultation, section 7).
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, Field, TypeAdapter

from cos_party.registration_copy import (
    MeterPoint,
    Participant,
    RegistrationCopy,
    SupplyPeriod,
)
from services.chassis.data.canonical import canonical
from services.link.bodies import Eui, Strict, Version, octets, text


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
LongBase64 = Annotated[str, Field(max_length=8 * 1024 * 1024), AfterValidator(_is_base64)]
"""A revocation list may be long; nothing else is."""


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


_NEVER: Final = datetime.min.replace(tzinfo=UTC)


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
    """The answer to `registration-extract`."""

    number: int = Field(ge=0, lt=1 << 63)
    unchanged: bool
    participants: list[_Participant]
    meter_points: list[_MeterPoint]

    @cached_property
    def digest(self) -> str:
        """What it says, in 64 hex digits: SHA-256 of both lists in canonical JSON."""
        people = canonical([p.model_dump(mode="json") for p in self.participants])
        points = ",".join([canonical(m.model_dump(mode="json")) for m in self.meter_points])
        said = f'{{"meter_points":[{points}],"participants":{people}}}'
        return hashlib.sha256(said.encode()).hexdigest()

    @cached_property
    def document(self) -> str:
        """All of it as JSON, as the store keeps it."""
        head = self.model_dump_json(exclude={"meter_points"})
        points = ",".join([m.model_dump_json() for m in self.meter_points])
        return f'{head[:-1]},"meter_points":[{points}]}}'

    def copy_at(self, confirmed_at: datetime) -> RegistrationCopy:
        """The extract as the party's own copy, confirmed at that time."""
        return replace(self._copy, confirmed_at=confirmed_at)

    @cached_property
    def _copy(self) -> RegistrationCopy:
        return RegistrationCopy(
            number=self.number,
            confirmed_at=_NEVER,
            participants={
                p.id: Participant(p.id, p.name, frozenset(p.euis)) for p in self.participants
            },
            meter_points={
                m.mpxn: MeterPoint(
                    m.mpxn,
                    frozenset(m.devices),
                    tuple(
                        SupplyPeriod(
                            r.participant,
                            r.effective_from.astimezone(UTC),
                            None if r.effective_to is None else r.effective_to.astimezone(UTC),
                        )
                        for r in m.registrations
                    ),
                )
                for m in self.meter_points
            },
        )


_POINTS: Final = TypeAdapter(list[_MeterPoint])
SLICE: Final = 200
"""Meter points that are read at a time."""


def read_extract(body: Mapping[str, Any]) -> RegistrationExtract:
    """An extract, read and made ready: digest, text and copy are worked out by then.

    A register of many homes takes long to read, and the libraries that do it let nobody else work
    meanwhile. So it is read in slices, and may be read in a thread: others are served in between.
    The meter points are in the text and in the copy from then on, and no longer beside them.

    Raises:
        ValidationError, TypeError, ValueError: it is none.
    """
    points = body.get("meter_points")
    if not isinstance(points, list):
        return RegistrationExtract.model_validate_json(json.dumps(dict(body)))
    found = RegistrationExtract.model_validate_json(json.dumps({**body, "meter_points": []}))
    read: list[_MeterPoint] = []
    with _uncollected():
        for at in range(0, len(points), SLICE):
            read += _POINTS.validate_json(json.dumps(points[at : at + SLICE]))
        found = found.model_copy(update={"meter_points": read})
        _ = found.digest, found.document, found.copy_at(_NEVER)
        del read
        return found.model_copy(update={"meter_points": []})


@contextmanager
def _uncollected() -> Iterator[None]:
    """No search for garbage meanwhile: every new slice would have all of them searched again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class CertificatesAnswer(Body):
    """The answer to `smki-certificates`: certificates as DER in base64."""

    certificates: list[Base64]


class RevocationAnswer(Body):
    """The answer to `smki-revocation`: lists by name; null where the known one is current."""

    lists: dict[str, LongBase64 | None]
