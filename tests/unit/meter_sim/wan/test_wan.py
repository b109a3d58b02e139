"""The network loses, delays, duplicates and reorders as it is told, counted and by seed; undone by
reset. A device obeys each Command once, whatever the network does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from gbcs.message import decode
from meter_sim.lab.faults import KINDS, WAYS
from services.chassis.faults.orders import Kind, Part
from tests.unit.meter_sim.estate import DEVICE, NOW, SUPPLIER_A, SUPPLIER_B, TCOS, Estate
from tests.unit.meter_sim.running import Running, drawn

SUPPLIER = "supplier/digitalSignature/management"
WAN = f"/lab/devices/{DEVICE}/wan"
QUIET = {f"{name}_{way}": 0 for name in KINDS.values() for way in WAYS.values()}


async def disturb(meters: Running, **order: Any) -> dict[str, Any]:
    answer = await meters.lab.put(WAN, json=order)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def supplier(meters: Running) -> str:
    return str((await meters.device())["cells"][SUPPLIER]["subject"])


async def arrived(meters: Running, count: int) -> list[int]:
    """The counters of what came late, once that many have."""
    while len(meters.alerts) < count:
        meters.alerted.clear()
        await asyncio.wait_for(meters.alerted.wait(), 10)
    await meters.service.base.outbox.idle()
    return [decode(said).header.counter for said in meters.alerts]


async def later(meters: Running, seconds: float) -> None:
    meters.service.base.clock.set(NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("way", WAYS.values())
async def test_what_is_delayed_arrives_by_the_devices_clock(
    meters: Running, estate: Estate, way: str
):
    await meters.install()
    await disturb(meters, **{f"delay_{way}": 1}, delay_seconds=60)

    assert (await meters.send(estate.command().data)).status_code == 204

    assert await supplier(meters) == (SUPPLIER_A if way == "messages" else SUPPLIER_B)
    assert (await meters.get(WAN))["on_the_way"] == 1
    await later(meters, 59)
    await meters.settled()
    assert meters.alerts == []
    await later(meters, 60)
    assert await arrived(meters, 1) == [6001]
    assert await supplier(meters) == SUPPLIER_B
    assert (await meters.get(WAN))["on_the_way"] == 0
    kinds = [e["kind"] for e in (await meters.get(f"/lab/trace/{TCOS}:{DEVICE}:6001"))["entries"]]
    assert "fault" in kinds


async def test_a_message_that_arrives_twice_is_obeyed_once(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, duplicate_messages=1)
    assert (await meters.send(estate.command().data)).status_code == 200
    trace = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    assert [entry["kind"] for entry in trace] == ["answered", "refused"]
    assert trace[1]["refused"]["check"] == "meter.counter"
    assert meters.alerts == []


async def test_the_twin_a_device_without_counters_obeys_the_duplicate_too(
    meters: Running, estate: Estate
):
    await meters.install()
    await meters.switch("meter.counter", enabled=False)
    await disturb(meters, duplicate_messages=1)
    assert (await meters.send(estate.command().data)).status_code == 200
    trace = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    assert [entry["kind"] for entry in trace] == ["answered", "answered"]
    assert await arrived(meters, 1) == [6001]


async def test_an_answer_that_arrives_twice_is_one_answer(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, duplicate_answers=1)
    answer = await meters.send(estate.command().data)
    await arrived(meters, 1)
    assert meters.alerts == [answer.content]
    trace = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    assert [entry["kind"] for entry in trace] == ["answered"]


async def test_a_command_that_is_overtaken_is_too_old(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, reorder_messages=1)
    assert (await meters.send(estate.command(counter=6001).data)).status_code == 204
    assert await supplier(meters) == SUPPLIER_A
    second = await meters.send(estate.command(counter=6002).data)
    assert decode(second.content).header.counter == 6002
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert [one["refused"]["check"] for one in refusals] == ["meter.counter"]
    assert refusals[0]["reference"].endswith(":6001")


async def test_the_twin_an_overtaken_command_is_obeyed_where_counters_are_off(
    meters: Running, estate: Estate
):
    await meters.install()
    await meters.switch("meter.counter", enabled=False)
    await disturb(meters, reorder_messages=1)
    await meters.send(estate.command(counter=6001).data)
    assert (await meters.send(estate.command(counter=6002).data)).status_code == 200
    assert await arrived(meters, 1) == [6001]


async def test_answers_in_the_other_order(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, reorder_answers=1)
    assert (await meters.send(estate.command(counter=6001).data)).status_code == 204
    second = await meters.send(estate.command(counter=6002).data)
    assert decode(second.content).header.counter == 6002
    assert await arrived(meters, 1) == [6001]


async def test_it_is_counted_and_then_over(meters: Running, estate: Estate):
    await meters.install()
    told = await disturb(meters, lose_messages=1, delay_messages=1, delay_seconds=5, among=3)
    assert told["left"] == QUIET | {"lose_messages": 1, "delay_messages": 1}
    codes = [(await meters.send(estate.command(counter=n).data)).status_code for n in range(1, 5)]
    assert codes == [204, 204, 200, 200]
    assert (await meters.get(WAN))["left"] == QUIET


async def test_reset_ends_it_and_loses_what_is_on_the_way(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, delay_messages=2, delay_seconds=60, lose_answers=3)
    await meters.send(estate.command().data)
    assert (await meters.lab.post("/lab/reset")).status_code < 300
    shown = await meters.get(WAN)
    assert (shown["left"], shown["on_the_way"]) == (QUIET, 0)
    await later(meters, 3600)
    await meters.settled()
    assert await supplier(meters) == SUPPLIER_A
    await later(meters, 0)
    assert (await meters.send(estate.command().data)).status_code == 200


async def test_what_is_on_the_way_to_a_scrapped_device_is_lost(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, delay_messages=1, delay_seconds=60)
    await meters.send(estate.command().data)
    await meters.lab.delete(f"/lab/devices/{DEVICE}")
    await meters.install()
    assert (await meters.get(WAN))["on_the_way"] == 0
    await later(meters, 61)
    await meters.settled()
    assert await supplier(meters) == SUPPLIER_A


async def test_what_is_no_message_is_lost_late_as_it_would_be_refused_at_once(meters: Running):
    await meters.install()
    await disturb(meters, delay_messages=1, delay_seconds=60)
    await meters.wan.post(
        f"/devices/{DEVICE}/messages", content=b"{}", headers={"content-type": "application/json"}
    )
    await later(meters, 61)
    await meters.settled()
    assert (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"] == []


@pytest.mark.parametrize(
    "order",
    [{"delay_seconds": -1}, {"among": -1}, {"reorder_messages": 1001}, {"seed": "x"}, {"drop": 1}],
)
async def test_nonsense_is_not_ordered(meters: Running, order: dict[str, Any]):
    await meters.install()
    answer: httpx.Response = await meters.lab.put(WAN, json=order)
    assert answer.status_code == 422
    assert (await meters.get(WAN))["left"] == QUIET


def test_a_seed_draws_the_same_ones_every_time_and_another_seed_others():
    counts = {"lose_messages": 5, "delay_messages": 3, "among": 30}
    first = drawn(Part.REQUEST, **counts, seed=1)
    assert first == drawn(Part.REQUEST, **counts, seed=1)
    assert first != drawn(Part.REQUEST, **counts, seed=2)
    assert (first.count(Kind.DROP), first.count(Kind.DELAY)) == (5, 3)
    assert first[30:] == [None] * 10
    unseeded = drawn(Part.REQUEST, **counts)
    assert unseeded[:9] == [Kind.DROP] * 5 + [Kind.DELAY] * 3 + [None]
    assert drawn(Part.ANSWER, **counts, seed=1) == [None] * 40


async def test_it_is_a_fault_like_any_other_addressed_by_device_in_any_spelling(
    meters: Running, estate: Estate
):
    other = "0253494dd0000002"
    await meters.install()
    await meters.install(eui=other)
    body = {"kind": "drop", "direction": "device", "part": "request"}
    spelling = {"device": "02-53-49-4D-D0-00-00-02"}
    armed = await meters.lab.post("/lab/faults", json=body | {"match": spelling})
    assert armed.status_code == 201, armed.text
    told = armed.json()["id"]
    assert armed.json()["weakened"] == [f"fault:{told}"]
    assert (await meters.get(f"/lab/devices/{other}/wan"))["left"]["lose_messages"] == 1

    assert (await meters.send(estate.command().data)).status_code == 200
    assert (await meters.get(f"/lab/faults/{told}"))["fired"] == 0
    lost = await meters.send(estate.command().data, eui=other)
    assert (lost.status_code, lost.content) == (204, b"")
    assert (await meters.get(f"/lab/faults/{told}"))["fired"] == 1
    assert (await meters.get(f"/lab/devices/{other}/trace"))["entries"] == []
    audit = [row["kind"] for row in (await meters.get("/lab/audit"))["rows"]]
    assert "lab.fault.fired" in audit


async def test_what_is_held_back_is_carried_on_when_it_is_released(meters: Running, estate: Estate):
    await meters.install()
    body = {"kind": "delay", "direction": "device", "part": "request"}
    fault = (await meters.lab.post("/lab/faults", json=body)).json()["id"]
    assert (await meters.send(estate.command().data)).status_code == 204
    assert await supplier(meters) == SUPPLIER_A
    assert (await meters.lab.post(f"/lab/faults/{fault}/release")).json()["released"] == 1
    assert await arrived(meters, 1) == [6001]
    assert await supplier(meters) == SUPPLIER_B


async def test_only_what_can_befall_a_device_is_ordered(meters: Running):
    body = {"kind": "bit_flip", "direction": "device", "part": "request"}
    refused = await meters.lab.post("/lab/faults", json=body)
    assert (refused.status_code, refused.json()["check"]) == (422, "lab.fault.place")


async def test_what_is_no_message_overtakes_nothing(meters: Running, estate: Estate):
    await meters.install()
    await disturb(meters, reorder_messages=1)
    await meters.send(estate.command(counter=6001).data)
    nothing = await meters.wan.post(f"/devices/{DEVICE}/messages", content=b"{}")
    assert nothing.status_code == 415
    assert (await meters.get(WAN))["on_the_way"] == 1
    assert (await meters.send(estate.command(counter=6002).data)).status_code == 200
    assert (await meters.get(WAN))["on_the_way"] == 0
