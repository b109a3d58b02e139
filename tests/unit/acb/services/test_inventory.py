"""8.2 Read Inventory: answered by the broker itself, at once, to those who may see the device."""

from __future__ import annotations

from typing import Any

import pytest

from duis.model import Header, Inventory, ReadInventory, ResponseMessage, ServiceRequest
from duis.request_id import RequestId
from tests.unit.acb.estate import ACB, DEVICE, OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.world import World


def search(
    user: str = SUPPLIER_A, counter: int = 1, target: str = ACB, **key: Any
) -> ServiceRequest:
    header = Header(RequestId(user, target, counter), 8, "8.2", "8.2")
    return ServiceRequest(header, ReadInventory(**(key or {"device": DEVICE})))


async def ask(world: World, request: ServiceRequest) -> tuple[str | None, str, Inventory | None]:
    """Check that refused (if one did), response code, and the inventory."""
    answer = await world.submit(world.estate.signed(request))
    assert answer.status_code == 200, answer.text
    response = world.read(answer.content)
    assert response.request_id == request.header.request_id
    content = response.body.content if isinstance(response.body, ResponseMessage) else None
    assert content is None or isinstance(content, Inventory)
    return answer.headers.get("cos-check"), response.code, content


async def test_the_holder_of_a_cell_reads_what_the_record_says(world: World) -> None:
    record = await world.record()

    check, code, found = await ask(world, search())

    assert (check, code) == (None, "I0")
    assert found is not None
    (device,) = found.devices
    assert (device.device, device.device_type, device.status) == (DEVICE, "ESME", "Commissioned")
    assert device.import_mpxn == record["mpxns"][0]
    told = await world.told(search())
    assert (told["state"], told["response_code"], told["acknowledgement"]) == (
        "completed",
        "I0",
        None,
    )
    assert world.meter.heard == []


async def test_a_meter_point_finds_its_devices(world: World) -> None:
    mpxn = (await world.record(OTHER_DEVICE))["mpxns"][0]
    _, _, found = await ask(world, search(mpxn=mpxn))
    assert found is not None
    assert [item.device for item in found.devices] == [OTHER_DEVICE]


REFUSED = [
    ("acb.inventory.target", search(target=DEVICE), "E5", True),
    ("acb.inventory.key", search(uprn=1), "E080202", False),
    ("acb.inventory.found", search(device="0253494dd00000ff"), "E080201", False),
    ("acb.inventory.visible", search(SUPPLIER_B), "E080201", True),
]


@pytest.mark.parametrize(("check", "request_", "code", "succeeds"), REFUSED)
async def test_who_is_refused_and_what_the_check_is_for(
    world: World, check: str, request_: ServiceRequest, code: str, succeeds: bool
) -> None:
    refused = await ask(world, request_)
    assert refused == (check, code, None)
    assert (await world.told(request_))["refused"]["check"] == check

    world.book.turn_off(check)
    assert check in world.book.off
    if not succeeds:  # there is then nothing to say: another check says so
        assert (await ask(world, request_))[0] in {"acb.inventory.found", "acb.inventory.visible"}
        return
    name, code, found = await ask(world, request_)
    assert (name, code) == (None, "I0")
    assert found is not None
    assert [item.device for item in found.devices] == [DEVICE]


async def test_its_own_checks_are_in_the_trace_and_others_are_set_aside(world: World) -> None:
    await ask(world, search())
    said = {v["check"]: v for event in await world.trace(search()) for v in event["verdicts"] or ()}
    assert said["acb.inventory.visible"]["outcome"] == "passed"
    for check in ("acb.device.known", "acb.device.status", "acb.device.cos_party"):
        assert said[check]["outcome"] == "not_applicable"


async def test_a_search_that_was_quarantined_is_answered_once_it_is_released(world: World) -> None:
    await world.lab.put(f"/lab/thresholds/{SUPPLIER_A}", json={"most": 0})
    assert (await world.submit(world.estate.signed(search()))).headers["cos-check"]
    held = (await world.lab.get("/lab/quarantine")).json()["quarantined"][0]

    await world.lab.post(f"/lab/quarantine/{held['quarantine_ref']}/release")
    await world.settle()

    assert (await world.told(search()))["state"] == "completed"
    answers = [item.body for item in await world.documents(SUPPLIER_A)]
    assert any(
        isinstance(body, ResponseMessage) and isinstance(body.content, Inventory)
        for body in answers
    )


async def test_the_same_search_twice_is_a_duplicate(world: World) -> None:
    await ask(world, search())
    assert (await ask(world, search()))[0] == "acb.request.duplicate"
