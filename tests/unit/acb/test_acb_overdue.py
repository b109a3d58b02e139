"""A dated command whose alert does not come: the device is asked, after its date and a grace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from acb.awaited import awaited_table
from duis.model import FutureDatedAlert, ResponseMessage, ServiceRequest
from gbcs.codes import MessageCode
from gbcs.credentials import UpdateCredentials, decode_update
from gbcs.details import decode_read
from gbcs.message import decode, encode
from gbcs.protect import add_mac, sign
from keys.certificate import Certificate
from tests.unit.acb.estate import (
    CELLS,
    DEVICE,
    OTHER_DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    alert_message,
    outcome_for,
    response_message,
    signed_octets,
)
from tests.unit.acb.test_acb_credentials import KA, alerts, asking, pre_command, signing
from tests.unit.acb.test_acb_waiting import ended, started
from tests.unit.acb.world import World

DAY = timedelta(days=10)
GRACE = timedelta(days=1)
WAIT = 20.0  # seconds for what takes a fraction of one
DETAILS = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS
LATE = pytest.mark.check


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


@pytest.fixture
async def home(world: World) -> Home:
    return await Home.of(world)


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


async def test_what_the_device_did_is_found_out_and_once(home: Home) -> None:
    """And the alert that comes after all brings its own words, and nothing else."""
    world = home.world
    request = await change(world)
    await noted(world, request)
    home.acts(home.command())
    alert = home.alert(home.command())
    world.parts.base.clock.step(GRACE - timedelta(seconds=1))
    await world.settle()
    assert (await world.told(request))["state"] == "scheduled"
    assert (home.heard, await subjects(world)) == ([0x0107], {SUPPLIER_A})

    world.parts.base.clock.step(timedelta(seconds=1))

    told = await ended(world, request)
    assert (told["state"], told["response_code"], told["refused"]) == ("completed", "I0", None)
    assert (home.heard, await subjects(world)) == ([0x0107, 0x0008], {SUPPLIER_B})
    assert await told_to(world, SUPPLIER_A) == ["N27"]
    record = await world.record()
    for _ in range(2):  # the same octets again are taken without effect
        assert (await world.hear(alert)).status_code == 204
        await world.settle()
    assert (await world.hear(home.alert(home.command(), counter=2))).status_code == 403
    assert (await world.told(request))["state"] == "completed"
    assert await world.record() == record
    assert await told_to(world, SUPPLIER_A) == ["N27"]
    bodies = [item.body for item in await world.documents(SUPPLIER_B)]
    words = [one.content for one in bodies if isinstance(one, ResponseMessage)]
    assert [one.gbcs_payload for one in words if isinstance(one, FutureDatedAlert)] == [alert]
    assert len(bodies) == 3  # accepted; done, as was read back; the alert
    forwarded = [purpose for purpose, _, _ in world.peers["tcos_party"].heard]
    assert forwarded.count("device-alert") == 1
    world.parts.base.clock.step(DAY)
    await world.settle()
    assert home.heard == [0x0107, 0x0008]


@LATE
async def test_what_the_device_did_not_do_has_failed(home: Home) -> None:
    """By its own word; should it do it later after all, its alert is heard."""
    world = home.world
    request = await change(world)
    before = await world.record()

    told = await overdue(world, request)

    assert (told["state"], told["response_code"]) == ("failed", "E11")
    assert told["refused"]["check"] == "acb.alert.missing"
    assert "0 of 3 cells" in told["refused"]["detail"]
    assert (await world.record(), await told_to(world, SUPPLIER_A)) == (before, [])
    alert = home.alert(home.command())
    home.acts(home.command())
    assert (await world.hear(alert)).status_code == 204
    assert (await world.told(request))["state"] == "completed"
    assert (await subjects(world), await told_to(world, SUPPLIER_A)) == ({SUPPLIER_B}, ["N27"])


@LATE
async def test_what_it_did_in_part_is_recorded_in_part(home: Home) -> None:
    world = home.world
    request = await change(world)
    home.acts(home.command(), CELLS[1])

    told = await overdue(world, request)

    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.alert.missing")
    assert "2 of 3 cells" in told["refused"]["detail"]
    cells = (await world.record())["cells"]
    assert [cells[name]["subject"] for name in CELLS] == [SUPPLIER_B, SUPPLIER_A, SUPPLIER_B]


def silent(_: bytes | None) -> None:
    return None


def unreachable(_: bytes | None) -> None:
    raise httpx.ReadTimeout("no answer")


def forged(answer: bytes | None) -> bytes:
    return encode(add_mac(decode(answer or b""), bytes(32)))


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (silent, "said nothing"),
        pytest.param(unreachable, "reading the device back failed", marks=LATE),
        pytest.param(forged, "reading the device back failed", marks=LATE),
    ],
)
async def test_what_nobody_can_tell_is_not_claimed(home: Home, device: Any, why: str) -> None:
    """Even though the device has done it: the alert is awaited still, and then it is known."""
    world = home.world
    request = await change(world)
    alert = home.alert(home.command())
    home.acts(home.command())
    home.replace(device)
    before = await world.record()

    await noted(world, request)
    world.parts.base.clock.step(GRACE)
    await ended(world, request)
    await world.parts.base.outbox.idle(deferred=True)

    told = await world.told(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.outcome.unknown")
    assert why in told["refused"]["detail"]
    assert await world.record() == before
    assert (await world.hear(alert)).status_code == 204
    assert (await world.told(request))["state"] == "completed"
    assert await subjects(world) == {SUPPLIER_B}


@LATE
async def test_without_the_check_a_forged_reading_is_believed(home: Home) -> None:
    world = home.world
    request = await change(world)
    home.acts(home.command())
    home.replace(forged)
    world.book.turn_off("acb.read_back.mac")

    assert (await overdue(world, request))["state"] == "completed"


@LATE
@pytest.mark.parametrize("stage", ["before", "at its date", "asked"])
async def test_a_broker_that_was_away_finds_out_too(home: Home, stage: str) -> None:
    """What is to be done comes from its store; and devices speak first when it is back."""
    world = home.world
    request = await change(world)
    home.acts(home.command())
    if stage != "before":
        await noted(world, request)
    if stage == "asked":
        world.parts.base.clock.step(GRACE)
        await world.parts.base.changes.wait(
            request.header.request_id.text,
            lambda: world.told(request),
            lambda told: told["state"] != "scheduled",
            WAIT,
        )  # it meant to ask, and died before that

    again = await world.restarted()
    again.parts.base.clock.step(DAY + GRACE)
    await started(again)

    if stage == "before":  # it sees only now that the date has come
        await seen(again, request)
        assert (await again.told(request))["state"] == "scheduled"
        again.parts.base.clock.step(GRACE)
    assert (await ended(again, request))["state"] == "completed"
    assert home.heard.count(0x0008) == 1
    assert await told_to(again, SUPPLIER_A) == ["N27"]
    await again.stop()


@LATE
async def test_what_a_store_from_before_holds_is_found_out(home: Home) -> None:
    world = home.world
    request = await change(world)
    async with world.parts.base.database.begin() as conn:
        await conn.execute(delete(awaited_table))

    again = await world.restarted()
    await started(again)

    assert (await overdue(again, request))["refused"]["check"] == "acb.alert.missing"
    await again.stop()


@LATE
async def test_cells_that_were_set_again_tell_nothing(home: Home) -> None:
    """A takes the home back between the date and the question."""
    world = home.world
    request = await change(world)
    await noted(world, request)
    home.acts(home.command())
    back = world.estate.request(SUPPLIER_A)
    assert (await world.run(back))["state"] == "completed"
    record = await world.record()

    world.parts.base.clock.step(GRACE)

    told = await ended(world, request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.outcome.unknown")
    assert "set again since" in told["refused"]["detail"]
    assert await world.record() == record


@LATE
async def test_a_device_that_is_busy_is_asked_after_that(home: Home) -> None:
    """Its answer must not be older than what is recorded when it comes."""
    world = home.world
    request = await change(world)
    home.acts(home.command())
    free = world.estate.request(device=OTHER_DEVICE, execution_date_time=world.estate.now + DAY)
    assert (await world.run(free))["state"] == "scheduled"
    await noted(world, request)
    await seen(world, free)
    other = world.estate.request(counter=2)
    await world.accept(other)  # its turn next, and not begun
    del home.asked[:]
    world.parts.base.clock.step(GRACE)
    name = free.header.request_id.text
    await world.parts.base.changes.wait(
        name, lambda: world.told(free), lambda told: told["state"] != "scheduled", WAIT
    )  # looked for after ours, in the same transaction
    assert (await world.told(request))["state"] == "scheduled"
    await world.settle()

    told = await ended(world, request)

    assert [code for device, code in home.asked if device == DEVICE] == [0x0107, 0x0008]
    assert (await world.told(other))["state"] == "completed"
    assert told["state"] == "completed"  # the same certificates, by either


@LATE
async def test_an_alert_in_time_leaves_nothing_to_ask(home: Home) -> None:
    world = home.world
    request = await change(world)
    await noted(world, request)
    alert = home.alert(home.command())
    home.acts(home.command())

    assert (await world.hear(alert)).status_code == 204

    world.parts.base.clock.step(2 * GRACE)
    other = await change(world, counter=2, at=3 * DAY)
    world.parts.base.clock.step(3 * DAY)
    await seen(world, other)
    assert (await world.told(request))["state"] == "completed"
    assert 0x0008 not in home.heard


@LATE
async def test_a_suppliers_own_renewal_and_who_is_told_of_it(home: Home) -> None:
    """6.15.1: its own role is asked about, and the users are told of the new cell once."""
    world = home.world
    written = await pre_command(
        world, asking(world.estate, execution_date_time=world.estate.now + DAY)
    )
    request = signing(world.estate, written)
    assert (await world.run(request))["state"] == "scheduled"
    update = decode_update(written.payload)
    alert = home.alert(update, recipient=SUPPLIER_A)
    home.acts(update)
    asked: list[bytes] = []
    before = world.meter.tell

    def tell(eui: str, command: Any) -> bytes:
        asked.append(command.payload)
        return before(eui, command)

    world.meter.tell = tell  # type: ignore[method-assign]

    assert (await overdue(world, request))["state"] == "completed"

    assert [role.label for role in decode_read(asked[0]).roles] == ["supplier"]
    new = Certificate.from_der(update.replacements[0].certificate)
    assert (await world.record())["cells"][KA]["fingerprint"] == new.fingerprint
    assert len(await alerts(world, SUPPLIER_A)) == 1
    assert (await world.hear(alert)).status_code == 204
    assert (await world.told(request))["state"] == "completed"
    assert len(await alerts(world, SUPPLIER_A)) == 1
