"""Whatever the network does, no Command is obeyed twice or out of order, and none is invented."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from gbcs.codes import AlertCode, Cra
from gbcs.message import decode
from gbcs.payloads.alerts import decode_generic_alert
from meter_sim.lab.faults import KINDS, WAYS
from services.chassis.faults.orders import Kind
from tests.unit.meter_sim.estate import DEVICE, NOW, Estate
from tests.unit.meter_sim.running import Running, drawn

ESTATE = Estate()
COMMANDS = [ESTATE.command(counter=number).data for number in range(1, 9)]
NAMES = [f"{name}_{way}" for name in KINDS.values() for way in WAYS.values()]
COUNTS = st.fixed_dictionaries(
    {name: st.integers(0, 3) for name in NAMES}
    | {"seed": st.integers(0, 1 << 30), "delay_seconds": st.sampled_from([0.0, 30.0])}
)
ORDERED = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 20))


async def snapshot(meters: Running) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Device and trace of one moment: what the WAN still carries may arrive between two answers."""
    path = f"/lab/devices/{DEVICE}/trace"
    trace, device, again = None, {}, (await meters.get(path))["entries"]
    while trace != again:
        trace = again
        device = await meters.device()
        again = (await meters.get(path))["entries"]
    return device, again


async def carried_on(meters: Running) -> None:
    """What was delayed has arrived; what waits to be overtaken may wait for ever."""
    faults, path = meters.service.base.faults, f"/lab/devices/{DEVICE}/wan"
    while (await meters.get(path))["on_the_way"] > sum(
        len(one.held) for one in faults.listed() if one.order.kind is Kind.REORDER
    ):
        await meters.settled()
    await meters.settled()


async def sent_through(order: dict[str, Any], folder: Path) -> None:
    meters = await Running.start(ESTATE, folder)
    try:
        await meters.install()
        path = f"/lab/devices/{DEVICE}/wan"
        assert (await meters.lab.put(path, json=order)).status_code == 200
        at_once = [await meters.send(data) for data in COMMANDS]
        meters.service.base.clock.set(NOW + timedelta(minutes=1))
        await carried_on(meters)
        device, trace = await snapshot(meters)
    finally:
        await meters.stop()
    obeyed = [int(e["reference"].rpartition(":")[2]) for e in trace if e["kind"] == "answered"]
    assert obeyed == sorted(set(obeyed)), "each once, each newer than all before it"
    assert device["counters"]["credentials"] == ({"transitionalCoS": obeyed[-1]} if obeyed else {})
    answers = [one.content for one in at_once if one.status_code == 200] + meters.alerts
    said = [decode(one) for one in answers]
    alerts = [one for one in said if one.header.cra is Cra.ALERT]
    assert {one.header.counter for one in said if one not in alerts} <= set(obeyed)
    codes = [decode_generic_alert(one.payload).alert_code for one in alerts]
    assert codes in ([], [AlertCode.UNUSUAL_COMMANDS]), "so many repetitions are unusual"
    refused = {e["refused"]["check"] for e in trace if e["kind"] == "refused"}
    assert refused <= {"meter.counter"}


@settings(max_examples=examples(12), deadline=None)
@given(COUNTS)
def test_no_command_is_obeyed_twice_or_out_of_order(order: dict[str, Any]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(sent_through(order, Path(folder)))


@settings(max_examples=examples(100), deadline=None)
@given(ORDERED, st.integers(0, 60), st.none() | st.integers())
def test_exactly_as_many_are_taken_as_were_ordered(
    counts: dict[str, int], among: int, seed: int | None
):
    for part, way in WAYS.items():
        ordered = {kind: counts.get(f"{name}_{way}", 0) for kind, name in KINDS.items()}
        next_ones = max(among, sum(ordered.values()))
        befalls = drawn(part, next_ones + 1, **counts, among=among, seed=seed)
        assert {kind: befalls.count(kind) for kind in ordered} == ordered
        assert befalls[-1] is None
