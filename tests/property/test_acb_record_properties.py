"""Whatever suppliers ask, CoS Parties return and the WAN loses: record and meter agree.

One long life of one device: every example goes on where the last one ended.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.acb.estate import CELLS, DEVICE, SUPPLIER_A, SUPPLIER_B, Estate
from tests.unit.acb.meters import Meters, install_meters, recorded
from tests.unit.acb.world import World, make_world, plain_logs, provision

SUPPLIER_C = "0253494d30000000"


@dataclass(frozen=True)
class Change:
    """One request: by whom, with how many certificates, through what weather.

    `instead`: a supplier whose certificates a dishonest CoS Party puts in.
    """

    supplier: str
    all_cells: bool
    lose_messages: int
    lose_answers: int
    instead: str | None


suppliers = st.sampled_from([SUPPLIER_A, SUPPLIER_B, SUPPLIER_C])
changes = st.builds(
    Change,
    suppliers,
    st.booleans(),
    st.integers(0, 1),
    st.integers(0, 2),
    st.none() | st.none() | suppliers,
)


@dataclass
class Life:
    """A world with real meters, and a counter that never goes back."""

    world: World
    meters: Meters
    counter: Any


@pytest.fixture
async def life(tmp_path: Path, logs_as_they_come: None) -> AsyncIterator[Life]:
    plain_logs()
    estate = Estate.make(tmp_path / "data")
    world = await make_world(estate, tmp_path)
    await provision(world)
    meters = await install_meters(world.around, tmp_path)
    yield Life(world, meters, itertools.count(1))
    await world.stop()
    await meters.close()
    await world.close()


@settings(
    deadline=None,
    max_examples=examples(20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(change=changes)
async def test_record_and_meter_agree_after_every_change(life: Life, change: Change) -> None:
    world, meters = life.world, life.meters
    losses = {"lose_messages": change.lose_messages, "lose_answers": change.lose_answers}
    await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=losses)
    party = world.parties["tcos_party"]

    async def command(opened: Any, body: dict[str, Any]) -> dict[str, Any]:
        if change.instead is None:
            return await party.command(opened, body)
        party.counter += 1
        wrong = world.estate.request(supplier=change.instead, supplier_floor=floor)
        signed = party.signed(wrong, party.counter)
        return party.answer(body["transaction"], signed, party.counter)

    world.peers["tcos_party"].handlers["cos-command"] = command
    number = next(life.counter)
    floor = number * 10
    kept = {} if change.all_cells else {"key_agreement": None, "key_agreement_top_up": None}
    request = world.estate.request(
        supplier=change.supplier,
        counter=number,
        supplier_floor=floor,
        prepayment_top_up_floor=None,
        **kept,
    )
    before = await meters.cells()

    told = await world.run(request)

    after = await meters.cells()
    assert await recorded(world) == after
    honest = change.instead in {None, change.supplier if change.all_cells else None}
    if honest and told["state"] == "completed":
        expected = CELLS if change.all_cells else CELLS[:1]
        record = await world.record()
        assert {record["cells"][name]["subject"] for name in expected} == {change.supplier}
    else:
        assert told["refused"]["party"] == "acb"
        assert after == before
