"""Alerts that overtake what tells the broker of a change: who is responsible is not known yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from gbcs.message import decode
from tests.unit.acb.estate import DEVICE, OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.meters import Meters
from tests.unit.acb.services.test_dated_services import executed
from tests.unit.acb.steps.test_device_alerts import alert, alerts
from tests.unit.acb.world import World

RECIPIENT = "acb.device_alert.recipient"
NOBODY = "0253494ddddddddd"
DAY = timedelta(days=10)


async def test_an_alert_to_the_new_supplier_is_told_to_come_again(world: World) -> None:
    """The meter has changed hands, and its answer is still on its way: nothing is lost."""
    honest, heard = world.meter.hear, dict[str, tuple[int, str]]()
    posted = {
        "to the new one": alert(world.estate, recipient=SUPPLIER_B),
        "to a stranger": alert(world.estate, recipient=NOBODY),
        "by another": alert(world.estate, recipient=SUPPLIER_B, signer=OTHER_DEVICE),
    }

    async def hear(eui: str, octets: bytes) -> bytes | None:
        answer = await honest(eui, octets)
        for name, message in posted.items():
            told = await world.hear(message)
            heard[name] = (told.status_code, told.json()["check"])
        return answer

    world.meter.hear = hear  # type: ignore[method-assign]
    assert (await world.run(world.estate.request()))["state"] == "completed"

    assert heard == {
        "to the new one": (503, RECIPIENT),
        "to a stranger": (403, RECIPIENT),
        "by another": (403, "acb.device_alert.signature"),
    }
    assert await alerts(world, SUPPLIER_B) == []
    assert (await world.hear(posted["to the new one"])).status_code == 204
    (told,) = await alerts(world, SUPPLIER_B)
    assert (told.response_id.target, told.response_id.originator) == (SUPPLIER_B, DEVICE)
    assert [(await world.hear(posted["to a stranger"])).status_code for _ in range(2)] == [403] * 2


@pytest.mark.check
async def test_without_the_check_it_is_passed_on_at_once(world: World) -> None:
    honest, statuses = world.meter.hear, list[int]()
    world.book.turn_off(RECIPIENT)

    async def hear(eui: str, octets: bytes) -> bytes | None:
        answer = await honest(eui, octets)
        told = await world.hear(alert(world.estate, recipient=SUPPLIER_B))
        statuses.append(told.status_code)
        return answer

    world.meter.hear = hear  # type: ignore[method-assign]
    await world.run(world.estate.request())

    assert statuses == [204]
    assert len(await alerts(world, SUPPLIER_B)) == 1


@pytest.mark.check
async def test_a_dated_change_is_only_under_way_once_its_date_has_come(world: World) -> None:
    """Before that day no honest meter speaks to the new supplier; on it, 8F66 may be overtaken."""
    request = world.estate.request(execution_date_time=world.estate.now + DAY)
    assert (await world.run(request))["state"] == "scheduled"
    early = alert(world.estate, recipient=SUPPLIER_B)
    assert (await world.hear(early)).status_code == 403

    world.parts.base.clock.step(DAY)

    assert (await world.hear(early)).status_code == 503
    command = decode(world.meter.heard[-1])
    done = executed(world, command, counter=6, recipient=command.header.originator)
    assert (await world.hear(done)).status_code == 204
    assert (await world.hear(early)).status_code == 204
    assert len(await alerts(world, SUPPLIER_B)) == 1
    late = alert(world.estate, counter=8, recipient=SUPPLIER_A)
    assert (await world.hear(late)).status_code == 403  # it is no longer A's, and will not be


@pytest.mark.check
async def test_an_outcome_that_overtakes_its_acceptance_settles_it(world: World) -> None:
    """8F66 while the answer that accepted the command is in flight: heard, and not undone by it."""
    honest, statuses = world.meter.hear, list[int]()

    async def hear(eui: str, octets: bytes) -> bytes | None:
        answer = await honest(eui, octets)
        command = decode(octets)
        done = executed(world, command, recipient=command.header.originator)
        statuses.append((await world.hear(done)).status_code)
        return answer

    world.meter.hear = hear  # type: ignore[method-assign]
    request = world.estate.request(execution_date_time=world.estate.now + DAY)

    told = await world.run(request)

    assert (told["state"], statuses) == ("completed", [204])
    assert (await world.record())["cells"]["supplier/digitalSignature/management"][
        "subject"
    ] == SUPPLIER_B


@pytest.mark.check
async def test_a_real_meter_says_it_again_until_the_broker_knows(
    world: World, meters: Meters
) -> None:
    """Changed hands, its answer on the way, and a stranger speaks to it: B hears of that."""
    around, outbox = world.around, meters.service.base.outbox
    around.wire.hosts["acb"] = httpx.ASGITransport(world.service.interface)
    attempts: list[Any] = []

    async def over_wan(request: httpx.Request) -> httpx.Response:
        answer = await meters.over_wan(request)
        await answer.aread()
        spoilt = request.content[:-1] + bytes([request.content[-1] ^ 1])
        forged = httpx.Request("POST", request.url, content=spoilt, headers=request.headers)
        assert (await meters.over_wan(forged)).status_code == 204
        await outbox.run_due()
        attempts.extend(await outbox.list())
        return answer

    around.wire.hosts["meter_sim"] = httpx.MockTransport(over_wan)
    assert (await world.run(world.estate.request()))["state"] == "completed"
    assert [(entry["state"], entry["last_error"]) for entry in attempts] == [
        ("waiting", "answered 503")
    ]

    await outbox.idle(deferred=True)

    (told,) = await alerts(world, SUPPLIER_B)
    assert told.body is not None
    assert told.response_id.target == SUPPLIER_B
