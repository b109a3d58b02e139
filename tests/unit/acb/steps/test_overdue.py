"""A dated command whose alert does not come: the device is asked, after its date and a grace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from acb.store.awaited import awaited_table
from duis.model import FutureDatedAlert, ResponseMessage
from gbcs.message import decode, encode
from gbcs.protect import add_mac
from tests.unit.acb.estate import CELLS, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.keeping import (
    DAY,
    GRACE,
    WAIT,
    Home,
    change,
    noted,
    overdue,
    seen,
    subjects,
    told_to,
)
from tests.unit.acb.steps.test_waiting import ended, started

LATE = pytest.mark.check


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
