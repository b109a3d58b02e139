"""One party's business does not harm another's: turns at a device, lanes, and what may be open."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from acb.model import FINAL
from acb.steps.lanes import DEVICES
from acb.store import records
from duis.gate import parse
from duis.model import ServiceRequest
from duis.xml import request_from_xml
from services.chassis.data.outbox import NOTICES
from tests.unit.acb.estate import DEVICE, OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.world import World

CHECK = "acb.user.open_requests"
SUPPLIER = "supplier/digitalSignature/management"


async def ended(world: World, request: ServiceRequest) -> dict[str, Any]:
    """What is told of a request once nothing more happens to it."""
    name = request.header.request_id.text
    told: dict[str, Any] = {"state": ""}
    while told["state"] not in {state.value for state in FINAL}:
        answer = await world.interface.get(f"/service-requests/{name}", params={"wait": 20})
        told = answer.json()
    return told


async def asked_in_order(world: World) -> list[tuple[str, int]]:
    """Whose requests the CoS Party was asked to sign, in order."""
    found = []
    for purpose, transaction, _ in world.peers["tcos_party"].heard:
        if purpose == "cos-command":
            async with world.parts.base.database.connect() as conn:
                ((body,),) = conn.driver.execute(
                    "select body from acb_request where transaction_id = ?", (transaction,)
                )
            name = request_from_xml(parse(body)).header.request_id
            found.append((name.originator, name.counter))
    return found


async def test_users_take_turns_at_a_device(world: World) -> None:
    """Whoever sends many requests for a home, with or without right, waits behind them alone."""
    for counter in (1, 2, 3, 4):
        await world.accept(world.estate.request(supplier=SUPPLIER_A, counter=counter))
    await world.accept(world.estate.request(supplier=SUPPLIER_B, counter=1))
    await world.settle()

    assert await asked_in_order(world) == [
        (SUPPLIER_A, 1),
        (SUPPLIER_B, 1),
        (SUPPLIER_A, 2),
        (SUPPLIER_A, 3),
        (SUPPLIER_A, 4),
    ]


async def test_the_record_follows_the_order_of_turns(world: World) -> None:
    """What was accepted earlier may come later: it is what the device holds then."""
    for counter in (1, 2):
        await world.accept(world.estate.request(supplier=SUPPLIER_A, counter=counter))
    await world.accept(world.estate.request(supplier=SUPPLIER_B, counter=1))
    await world.settle()

    async with world.parts.base.database.connect() as conn:
        held = world.meter.cells[DEVICE][SUPPLIER]
        record = await records.find_device(conn, DEVICE)
    assert record is not None
    assert held.subject_eui == SUPPLIER_A
    assert record.cells[SUPPLIER] == held


async def test_a_callback_that_never_answers_is_in_nobodys_way(world: World) -> None:
    """More documents wait for A than were sent at a time: B's home changes supplier meanwhile."""
    called, over = asyncio.Event(), asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        called.set()
        await over.wait()
        return httpx.Response(204)

    world.around.wire.hosts["users"] = httpx.MockTransport(never)
    await world.lab.put(f"/lab/users/{SUPPLIER_A}/callback", json={"callback_url": "http://users/"})
    await world.lab.put(f"/lab/users/{SUPPLIER_B}/callback", json={"callback_url": None})
    await world.parts.base.outbox.start()
    for counter in range(1, 13):
        request = world.estate.request(supplier=SUPPLIER_A, device=OTHER_DEVICE, counter=counter)
        await world.accept(request)
        assert (await ended(world, request))["state"] == "completed"
    request = world.estate.request()
    await world.accept(request)
    assert (await ended(world, request))["state"] == "completed"
    assert called.is_set()
    over.set()
    await world.parts.base.outbox.stop()


async def test_everything_waits_in_the_lane_of_whom_it_occupies(world: World) -> None:
    await world.run(world.estate.request())

    lanes = {entry["kind"]: entry["lane"] for entry in await world.parts.base.outbox.list()}

    assert lanes == {
        "cos-command": f"link:tcos_party/{SUPPLIER_B}",
        "deliver-command": f"user:{SUPPLIER_B}/{DEVICE}",
        "forward-to-cos-party": f"link:tcos_party/{DEVICE}",
        "user-document": f"callback:{SUPPLIER_A}",
    } | {"user-document": lanes["user-document"]}
    assert lanes["user-document"] in {f"callback:{SUPPLIER_A}", f"callback:{SUPPLIER_B}"}


async def test_devices_and_notices_have_places_of_their_own(world: World) -> None:
    """So ten devices that hang leave places to other homes of the same user."""
    pools = world.parts.base.outbox._pools
    devices = {"deliver-command", "read-back", "send-service-command"}
    notices = {"user-document", "forward-to-cos-party"}
    assert {kind for kind, pool in pools.items() if pool is DEVICES} == devices
    assert {kind for kind, pool in pools.items() if pool is NOTICES} == notices
    assert DEVICES.share > 10


async def fill(world: World) -> int:
    """As many requests of B for one device as may be under way; the next counter."""
    most = world.parts.settings.open_requests
    for counter in range(1, most + 1):
        await world.accept(world.estate.request(counter=counter))
    return most + 1


async def test_a_user_has_no_more_under_way_for_a_device_than_it_may(world: World) -> None:
    counter = await fill(world)
    request = world.estate.request(counter=counter)

    answer = await world.submit(world.estate.signed(request))

    assert answer.headers["cos-check"] == CHECK
    assert answer.headers["cos-party"] == "acb"
    assert (await world.told(request))["refused"]["check"] == CHECK
    other = world.estate.request(supplier=SUPPLIER_A, counter=1)
    await world.accept(other)  # another user is not concerned
    await world.settle()
    assert (SUPPLIER_B, counter) not in await asked_in_order(world)
    await world.accept(request)  # nothing was spent: it may be sent again once others ended


async def test_with_the_check_off_it_has(world: World) -> None:
    counter = await fill(world)
    await world.lab.put(f"/lab/checks/{CHECK}", json={"enabled": False})

    await world.accept(world.estate.request(counter=counter))
    await world.settle()

    assert (SUPPLIER_B, counter) in await asked_in_order(world)
