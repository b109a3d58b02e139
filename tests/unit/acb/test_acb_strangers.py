"""What strangers can have the broker write down: not without end, and nobody else pays for it."""

from __future__ import annotations

import pytest

from services.chassis.strangers import RECORD, Strangers
from tests.unit.acb.world import World
from tests.unit.link.estate import HeldClock

BODY = 50_000
"""Octets of what a stranger sends."""
ROOM = 3
"""How many such messages a stranger may leave in these tests."""


@pytest.fixture
async def poor(world: World) -> World:
    """A broker whose purse for strangers is soon empty, and never fills again."""
    purse = ROOM * (BODY + RECORD)
    world.parts.base.audit.strangers = Strangers(HeldClock(), purse=purse, per_second=1)
    return world


async def kept(world: World, name: str) -> int:
    """How many traces of that name there are."""
    traces = world.parts.base.traces
    found = [
        entry
        for subject in await traces.list(1000)
        for entry in await traces.read(subject["subject"])
    ]
    return len([entry for entry in found if entry["name"] == name])


async def test_requests_of_strangers_are_refused_by_name_but_leave_only_so_much(
    poor: World,
) -> None:
    for number in range(5 * ROOM):
        document = b"<a>" + str(number).encode() + b"x" * (BODY - 20) + b"</a>"
        answer = await poor.submit(document)
        assert (answer.status_code, answer.json()["check"]) == (400, "acb.request.wellformed")
    assert await kept(poor, "service-request") == ROOM
    assert await kept(poor, "acb.request.wellformed") == ROOM


async def test_noise_of_the_wan_is_refused_by_name_but_leaves_only_so_much(poor: World) -> None:
    for number in range(5 * ROOM):
        answer = await poor.hear(number.to_bytes(4, "big") + bytes(BODY - 4))
        assert (answer.status_code, answer.json()["check"]) == (403, "acb.response.decode")
    assert await kept(poor, "acb.response.decode") == ROOM


async def test_whoever_is_known_is_served_all_the_same(poor: World) -> None:
    """With an empty purse there is no trace of how a request arrived; all else is as ever."""
    while poor.parts.base.audit.strangers.afford():
        pass
    request = poor.estate.request()
    assert (await poor.run(request))["state"] == "completed"
    kinds = [entry["kind"] for entry in await poor.trace(request)]
    assert kinds[0] == "checked"


async def test_whoever_is_known_pays_nothing(world: World) -> None:
    """The purse holds one request, and no more."""
    purse = len(world.estate.signed(world.estate.request())) + RECORD + 100
    world.parts.base.audit.strangers = Strangers(HeldClock(), purse=purse, per_second=1)
    for counter in (1, 2, 3):
        request = world.estate.request(counter=counter)
        await world.accept(request)
        assert (await world.trace(request))[0]["kind"] == "received"
