"""A change of supplier that waits in a device is its requester's: nobody else's takes it away."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from acb.rules import codes
from duis.model import CANCEL_DATE, ResponseMessage, ServiceRequest
from services.link.opened import Opened
from tests.unit.acb.estate import SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.world import Answer, World

DAY = timedelta(days=5)
CHECK = "acb.return.pending_change"


async def waits(world: World, supplier: str = SUPPLIER_A) -> ServiceRequest:
    """A supplier's dated change, kept by the device."""
    request = world.estate.request(supplier, counter=1, execution_date_time=world.estate.now + DAY)
    assert (await world.run(request))["state"] == "scheduled"
    return request


def another(world: World, at: datetime | None, counter: int = 1) -> ServiceRequest:
    """Another supplier's request for the same device."""
    return world.estate.request(SUPPLIER_B, counter=counter, execution_date_time=at)


def claiming(world: World, *displaced: ServiceRequest) -> None:
    """Have the CoS Party say, in its signed answer, whose place the next commands may take."""
    for peer in world.peers.values():
        honest = peer.handlers.get("cos-command")
        if honest is not None:
            names = [request.header.request_id.text for request in displaced]

            async def handle(
                opened: Opened, body: Answer, honest: Any = honest, names: Any = names
            ) -> Answer:
                return {**await honest(opened, body), "displaces": names}

            peer.handlers["cos-command"] = handle


async def told_of(world: World, user: str, request: ServiceRequest) -> list[str | None]:
    """The response codes of the answers that a user is owed to a request."""
    return [
        document.code
        for document in await world.documents(user)
        if document.request_id == request.header.request_id
        and isinstance(document.body, ResponseMessage)
    ]


@pytest.mark.parametrize("days", [None, 4, 6], ids=["withdrawn", "before", "after"])
async def test_nobody_else_takes_it_away(world: World, days: int | None) -> None:
    """Though a CoS Party signed it: by the broker's own record of who asked for what waits."""
    waiting = await waits(world)
    before = await world.told(waiting)
    heard = list(world.meter.heard)
    at = CANCEL_DATE if days is None else world.estate.now + timedelta(days=days)

    told = await world.run(another(world, at))

    assert (told["state"], told["refused"]["party"]) == ("refused", "acb")
    assert told["refused"]["check"] == CHECK
    assert world.meter.heard == heard
    assert await world.told(waiting) == before
    assert await told_of(world, SUPPLIER_A, waiting) == [codes.SUCCESS]


async def test_with_that_check_off_it_is_gone_and_its_asker_is_told(world: World) -> None:
    waiting = await waits(world)
    world.book.turn_off(CHECK)

    told = await world.run(another(world, CANCEL_DATE))

    assert told["state"] == "completed"
    lost = await world.told(waiting)
    assert (lost["state"], lost["refused"]["check"]) == ("failed", "acb.schedule")
    assert lost["response_code"] == codes.EXECUTION_DATE
    assert await told_of(world, SUPPLIER_A, waiting) == [codes.SUCCESS, codes.EXECUTION_DATE]


async def test_whom_registration_puts_before_it_may_by_the_cos_partys_word(world: World) -> None:
    """And only what that word names: somebody else's may not be meant by it."""
    waiting = await waits(world)
    claiming(world, another(world, None))
    told = await world.run(another(world, CANCEL_DATE, 1))
    assert told["refused"]["check"] == CHECK

    claiming(world, waiting)
    told = await world.run(another(world, world.estate.now + 2 * DAY, 2))

    assert told["state"] == "scheduled"
    assert (await world.told(waiting))["refused"]["check"] == "acb.schedule"
    assert await told_of(world, SUPPLIER_A, waiting) == [codes.SUCCESS, codes.EXECUTION_DATE]


async def test_what_is_done_at_once_and_what_is_ones_own_are_free(world: World) -> None:
    waiting = await waits(world, SUPPLIER_B)
    assert (await world.run(another(world, None, 2)))["state"] == "completed"
    assert (await world.told(waiting))["state"] == "scheduled"
    assert (await world.run(another(world, world.estate.now + 2 * DAY, 3)))["state"] == "scheduled"
    assert (await world.run(another(world, CANCEL_DATE, 4)))["state"] == "completed"


@pytest.mark.parametrize("said", [7, "name", [7], {"a": 1}])
async def test_an_answer_that_does_not_say_whose_place_is_taken(world: World, said: Any) -> None:
    for peer in world.peers.values():
        honest = peer.handlers.get("cos-command")
        if honest is not None:

            async def handle(opened: Opened, body: Answer, honest: Any = honest) -> Answer:
                return {**await honest(opened, body), "displaces": said}

            peer.handlers["cos-command"] = handle
    told = await world.run(another(world, None))
    assert told["refused"]["check"] == "acb.return.decode"
