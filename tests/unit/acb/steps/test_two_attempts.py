"""Two attempts at one step at once: the machine's clock jumped, so a lease ended that was held."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from acb.model import State
from acb.steps.lanes import HAVE_SIGNED
from acb.store import requests as store
from services.link.opened import Opened
from tests.unit.acb.world import Answer, World


async def test_a_step_that_is_done_twice_at_once_does_not_end_the_request(world: World) -> None:
    """The CoS Party gives both attempts its one answer; the second finds the command finished."""
    await world.accept(world.estate.request())
    party, both, one_by_one = world.parties["tcos_party"], asyncio.Barrier(2), asyncio.Lock()
    kept: dict[str, Answer] = {}

    async def together(opened: Opened, body: Answer) -> Answer:
        return kept.setdefault(opened.message_id, await party.command(opened, body))

    world.peers["tcos_party"].handlers["cos-command"] = together
    outbox = world.parts.base.outbox
    ask = outbox._handlers[HAVE_SIGNED]
    link = world.parts.cos_parties["tcos_party"]
    have_signed = link.have_signed

    async def meeting(transaction: str, service_request: bytes) -> Any:
        async with one_by_one:
            signed = await have_signed(transaction, service_request)
        await both.wait()
        return signed

    link.have_signed = meeting  # type: ignore[method-assign]
    (item,) = await outbox._claim()
    assert item.kind == HAVE_SIGNED
    await asyncio.gather(outbox._handle(item), ask(replace(item, attempts=2)))
    async with world.parts.base.database.connect() as conn:
        tracked = await store.get_request(conn, item.payload["sequence"])
    assert tracked.state is State.SIGNED, tracked.refusal
    await outbox.idle()
    assert len(world.meter.heard) == 1
