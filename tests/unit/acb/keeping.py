"""A device that keeps dated commands, and a broker that watches its calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from duis.model import ServiceRequest
from gbcs.codes import MessageCode
from gbcs.message import decode, encode
from gbcs.payloads.credentials import UpdateCredentials, decode_update
from gbcs.protect import sign
from keys.certificate import Certificate
from tests.unit.acb.estate import (
    CELLS,
    DEVICE,
    alert_message,
    outcome_for,
    response_message,
    signed_octets,
)
from tests.unit.acb.steps.test_waiting import ended, started
from tests.unit.acb.world import World

DAY = timedelta(days=10)
GRACE = timedelta(days=1)
WAIT = 20.0  # seconds for what takes a fraction of one
DETAILS = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS


@dataclass
class Home:
    """A device that keeps what it is sent for its date, and a broker that watches its calendar."""

    world: World
    heard: list[int]
    asked: list[tuple[str, int]]

    @classmethod
    async def of(cls, world: World) -> Home:
        honest, heard = world.meter.hear, list[int]()
        asked_of: list[tuple[str, int]] = []
        key = world.estate.device_keys.signer(DEVICE)

        async def hear(eui: str, octets: bytes) -> bytes | None:
            asked = decode(octets)
            heard.append(asked.message_code)
            asked_of.append((eui, asked.message_code))
            if asked.message_code != MessageCode.SUPPLIER_BY_SUPPLIER:
                return await honest(eui, octets)
            header = asked.header
            said = response_message(
                None, counter=header.counter, recipient=header.originator, other=header.other
            )
            return encode(sign(said, key.sign))

        world.meter.hear = hear  # type: ignore[method-assign]
        await started(world)
        return cls(world, heard, asked_of)

    def replace(self, behaviour: Any) -> None:
        """What the device does when it is asked what its cells hold."""
        before = self.world.meter.hear

        async def hear(eui: str, octets: bytes) -> bytes | None:
            if decode(octets).message_code != DETAILS:
                return await before(eui, octets)
            answer: bytes | None = behaviour(await before(eui, octets))
            return answer

        self.world.meter.hear = hear  # type: ignore[method-assign]

    def command(self) -> UpdateCredentials:
        """The last dated command of a change of supplier that it heard."""
        return decode_update(decode(self.world.meter.heard[-1]).payload)

    def acts(self, update: UpdateCredentials, *without: str) -> None:
        """The day has come for the device, and nobody hears of it."""
        cells = self.world.meter.cells[DEVICE]
        for item in update.replacements:
            if item.cell.name not in without:
                cells[item.cell.name] = Certificate.from_der(item.certificate)

    def alert(self, update: UpdateCredentials, counter: int = 1, **header: Any) -> bytes:
        """What it says of that."""
        outcome = outcome_for(update, dict(self.world.meter.cells[DEVICE]))
        message = alert_message(
            outcome, at=update.execution_date_time or "", counter=counter, **header
        )
        return signed_octets(message, self.world.estate.device_keys.signer(DEVICE).sign)


async def change(world: World, counter: int = 1, at: timedelta | None = DAY) -> ServiceRequest:
    date = None if at is None else world.estate.now + at
    request = world.estate.request(counter=counter, execution_date_time=date)
    told = await world.run(request)
    assert told["state"] == ("completed" if at is None else "scheduled"), told
    return request


async def noted(world: World, request: ServiceRequest) -> None:
    """Turn the calendar to the date, and wait until the broker has seen that."""
    world.parts.base.clock.step(DAY)
    await seen(world, request)


async def seen(world: World, request: ServiceRequest) -> None:
    async def trace() -> list[dict[str, Any]]:
        return await world.trace(request)

    def has_come(entries: list[dict[str, Any]]) -> bool:
        return any(entry["kind"] == "due" for entry in entries)

    name = request.header.request_id.text
    assert has_come(await world.parts.base.changes.wait(name, trace, has_come, WAIT))


async def overdue(world: World, request: ServiceRequest) -> dict[str, Any]:
    """The date, the grace, and what follows."""
    await noted(world, request)
    world.parts.base.clock.step(GRACE)
    return await ended(world, request)


async def subjects(world: World) -> set[str]:
    cells = (await world.record())["cells"]
    return {cells[name]["subject"] for name in CELLS}


async def told_to(world: World, user: str) -> list[str]:
    """The DCC alerts that a user is owed."""
    return [getattr(item.body, "alert_code", "") for item in await world.documents(user)]
