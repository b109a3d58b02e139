"""6.21: which floors a new supplier may have its own device begin with."""

from __future__ import annotations

import pytest

from tests.unit.acb.estate import CELLS, SUPPLIER_A
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.services.test_credentials import dcc_controlled, handover
from tests.unit.acb.world import World


async def test_a_floor_for_top_ups_needs_their_certificate(world: World, meters: Meters) -> None:
    """The broker refuses, and nothing was sent; without that check the meter takes it."""
    await dcc_controlled(world, meters)
    request = handover(world.estate, key_agreement_top_up=None)
    before = (await meters.cells(), await recorded(world))

    answer = await world.submit(world.estate.signed(request))

    assert answer.headers["cos-check"] == "acb.handover.top_up"
    assert meters.heard == []
    assert (await meters.cells(), await recorded(world)) == before
    world.book.turn_off("acb.handover.top_up")
    assert (await world.run(request))["state"] == "completed"
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_A


@pytest.mark.check
async def test_without_either_it_is_handed_over(world: World, meters: Meters) -> None:
    await dcc_controlled(world, meters)
    request = handover(world.estate, key_agreement_top_up=None, prepayment_top_up_floor=None)

    assert (await world.run(request))["state"] == "completed"
    assert await recorded(world) == await meters.cells()
