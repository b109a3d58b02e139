"""6.21 with a date to come: the broker keeps the request until its day, whatever happens."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from acb.steps.outcome import Outcomes
from duis.model import CANCEL_DATE, ServiceRequest
from duis.request_id import RequestId
from gbcs.message import decode
from tests.unit.acb.estate import CELLS, DEVICE, SUPPLIER_A, SUPPLIER_B, Estate
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.services.test_credentials import alerts, dcc_controlled, handover
from tests.unit.acb.world import World

DAY = timedelta(days=10)
WAIT = 20.0  # seconds for what takes a fraction of one


def dated(
    estate: Estate, at: datetime | None = None, counter: int = 1, user: str = SUPPLIER_A
) -> ServiceRequest:
    plain = handover(estate, user, execution_date_time=at or estate.now + DAY)
    header = replace(plain.header, request_id=RequestId(user, DEVICE, counter))
    return replace(plain, header=header)


async def kept(world: World, request: ServiceRequest) -> dict[str, Any]:
    told = await world.run(request)
    assert told["state"] == "scheduled", told
    return told


async def turn(world: World, by: timedelta) -> None:
    """Turn the calendar, as the lab does, and let what is due be done."""
    world.parts.base.clock.step(by)


async def ended(world: World, request: ServiceRequest) -> dict[str, Any]:
    """The request once it has been let go, and all that follows has been done."""

    async def read() -> dict[str, Any]:
        return await world.told(request)

    name = request.header.request_id.text
    await world.parts.base.changes.wait(name, read, lambda told: told["state"] != "scheduled", WAIT)
    await world.settle()
    return await world.told(request)


async def started(world: World) -> None:
    """As the broker's process starts; what is in its outbox is done when a test says so."""
    await world.service.start()
    await world.parts.base.outbox.stop()


@pytest.fixture
async def ours(world: World, meters: Meters) -> World:
    """The device is the broker's, and the broker watches its calendar."""
    await dcc_controlled(world, meters)
    await started(world)
    return world


@pytest.mark.check
async def test_nothing_is_sent_before_its_day(ours: World, meters: Meters) -> None:
    before = await meters.cells()
    request = dated(ours.estate)
    told = await kept(ours, request)
    assert told["response"] is None

    await turn(ours, DAY - timedelta(seconds=1))
    await ours.settle()

    assert (await ours.told(request))["state"] == "scheduled"
    assert meters.heard == []
    assert await meters.cells() == before == await recorded(ours)


async def test_on_its_day_it_is_done(ours: World, meters: Meters) -> None:
    request = dated(ours.estate)
    await kept(ours, request)

    await turn(ours, DAY)

    told = await ended(ours, request)
    assert (told["state"], told["response_code"]) == ("completed", "I0")
    assert decode(meters.heard[0]).message_code == 0x0102
    assert await recorded(ours) == await meters.cells()
    cells = (await ours.record())["cells"]
    assert {cells[name]["subject"] for name in CELLS} == {SUPPLIER_A}
    assert len(await alerts(ours, SUPPLIER_A)) == 1


@pytest.mark.parametrize(
    "when", ["on its day", pytest.param("before its day", marks=pytest.mark.check)]
)
async def test_a_broker_that_was_away_keeps_it(ours: World, meters: Meters, when: str) -> None:
    """Its process died; the day comes before it is back, or after."""
    request = dated(ours.estate)
    await kept(ours, request)

    again = await ours.restarted()
    if when == "on its day":
        await turn(again, DAY)
        await started(again)
    else:
        await started(again)
        assert (await again.told(request))["state"] == "scheduled"
        await turn(again, DAY)

    assert (await ended(again, request))["state"] == "completed"
    assert len(meters.heard) == 1
    assert await recorded(again) == await meters.cells()
    await again.stop()


@pytest.mark.check
async def test_letting_go_is_one_step(
    ours: World, meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails between the two halves: the request still waits, and is then let go once."""
    request = dated(ours.estate)
    await kept(ours, request)
    release, failed = Outcomes.release_device, asyncio.Event()

    async def fails_once(*args: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError("no more space")
        await release(*args)

    monkeypatch.setattr(Outcomes, "release_device", fails_once)
    await turn(ours, DAY)
    async with asyncio.timeout(WAIT):
        await failed.wait()
    assert (await ours.told(request))["state"] == "scheduled"

    await turn(ours, timedelta(0))  # any act on the clock has it look again

    assert (await ended(ours, request))["state"] == "completed"
    assert len(meters.heard) == 1


async def test_what_is_withdrawn_never_happens(ours: World, meters: Meters) -> None:
    request, withdrawal = dated(ours.estate), dated(ours.estate, CANCEL_DATE, 2)
    await kept(ours, request)

    told = await ours.run(withdrawal)

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    told = await ours.told(request)
    assert (told["state"], told["response_code"]) == ("failed", "E19")
    assert told["refused"]["check"] == "acb.schedule"
    await turn(ours, 2 * DAY)
    await ours.settle()
    assert meters.heard == []
    codes = [item.code for item in await ours.documents(SUPPLIER_A)]
    assert codes == ["I0", "E19"]


@pytest.mark.check
async def test_nothing_to_withdraw_is_nothing_done(ours: World, meters: Meters) -> None:
    told = await ours.run(dated(ours.estate, CANCEL_DATE))

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    assert meters.heard == []


@pytest.mark.check
async def test_the_newest_takes_the_place_of_the_older(ours: World, meters: Meters) -> None:
    first, second = dated(ours.estate), dated(ours.estate, ours.estate.now + 2 * DAY, 2)
    await kept(ours, first)
    await kept(ours, second)
    assert (await ours.told(first))["refused"]["check"] == "acb.schedule"

    await turn(ours, DAY)
    await ours.settle()
    assert meters.heard == []
    await turn(ours, DAY)

    assert (await ended(ours, second))["state"] == "completed"


@pytest.mark.check
async def test_nobody_withdraws_what_is_anothers(ours: World, meters: Meters) -> None:
    """Both may ask for a device that is the broker's; on the day the first has it."""
    first, second = dated(ours.estate), dated(ours.estate, user=SUPPLIER_B)
    await kept(ours, first)
    await kept(ours, second)
    await ours.run(dated(ours.estate, CANCEL_DATE, 2, SUPPLIER_B))
    third = dated(ours.estate, counter=3, user=SUPPLIER_B)
    await kept(ours, third)

    await turn(ours, DAY)

    assert (await ended(ours, first))["state"] == "completed"
    told = await ended(ours, third)
    assert (told["state"], told["refused"]["check"]) == ("refused", "acb.handover.holder")
    assert (await ours.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_A


@pytest.mark.check
async def test_what_was_quarantined_waits_once_released(ours: World, meters: Meters) -> None:
    assert (await ours.lab.put(f"/lab/thresholds/{SUPPLIER_A}", json={"most": 0})).is_success
    request = dated(ours.estate)
    answer = await ours.submit(ours.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.anomaly.threshold"

    released = await ours.lab.post("/lab/quarantine/1/release")

    assert released.is_success, released.text
    assert (await ours.told(request))["state"] == "scheduled"
    await turn(ours, DAY)
    assert (await ended(ours, request))["state"] == "completed"


@pytest.mark.check
async def test_a_past_date_is_refused(ours: World, meters: Meters) -> None:
    """With the check off it is done at once: there is nothing to wait for."""
    request = dated(ours.estate, ours.estate.now - DAY)

    answer = await ours.submit(ours.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.request.execution_date"

    ours.book.turn_off("acb.request.execution_date")
    ours.book.turn_off("acb.handover.certificates")  # they begin a day before the ceremony
    assert (await ours.run(request))["state"] == "completed"
