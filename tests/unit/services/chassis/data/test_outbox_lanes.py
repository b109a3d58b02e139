"""One peer's trouble is its own: places are shared out by lane, and notices have places apart."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from services.chassis.data.outbox import NOTICES, WORK, Outbox, OutboxItem, Pool, Retry, TryLater
from services.chassis.data.store import Database

if TYPE_CHECKING:
    from conftest import HeldClock

SMALL = Pool("small", places=6, share=2)
RETRY = Retry(first=timedelta(seconds=60), cap=timedelta(seconds=60))


class Peers:
    """What entries are sent to: some never answer until they are let go."""

    def __init__(self) -> None:
        self.hang: set[str] = set()
        self.released = asyncio.Event()
        self.arrived: list[str] = []
        self.news = asyncio.Condition()

    async def __call__(self, item: OutboxItem) -> None:
        async with self.news:
            self.arrived.append(item.lane)
            self.news.notify_all()
        if item.lane.partition("/")[0] in self.hang:
            await self.released.wait()

    async def seen(self, *lanes: str) -> None:
        """Return once as many entries as that have arrived for each lane."""
        wanted = Counter(lanes)
        async with self.news:
            await self.news.wait_for(lambda: Counter(self.arrived) >= wanted)


@pytest.fixture
def peers() -> Peers:
    return Peers()


@pytest.fixture
def outbox(database: Database, held_clock: HeldClock, peers: Peers) -> Outbox:
    made = Outbox(database, held_clock, retry=RETRY)
    made.register("send", peers, pool=SMALL)
    made.register("tell", peers, pool=NOTICES)
    return made


NUMBERS = itertools.count()


async def put(database: Database, outbox: Outbox, *lanes: str, kind: str = "send") -> None:
    async with database.begin() as conn:
        for lane in lanes:
            await outbox.put(conn, kind, str(next(NUMBERS)), {}, lane=lane)


async def test_a_peer_that_never_answers_has_its_share_and_no_more(
    database: Database, outbox: Outbox, peers: Peers
) -> None:
    """Forty wait behind it; what is for another is taken on next all the same."""
    peers.hang = {"dead"}
    await put(database, outbox, *["dead"] * 40)
    await outbox.start()
    await peers.seen("dead", "dead")
    for _ in range(3):
        await put(database, outbox, "alive")
    await peers.seen("dead", "dead", "alive", "alive", "alive")
    await outbox.stop()
    assert Counter(peers.arrived) == {"dead": SMALL.share, "alive": 3}


async def test_what_is_told_takes_no_place_of_what_is_done(
    database: Database, outbox: Outbox, peers: Peers
) -> None:
    """As many callbacks as there are places stand still: work goes on."""
    hung = [f"user{number}" for number in range(NOTICES.places)]
    peers.hang = set(hung)
    await put(database, outbox, *hung, kind="tell")
    await outbox.start()
    await peers.seen(*hung)
    await put(database, outbox, "peer")
    await peers.seen(*hung, "peer")
    await outbox.stop()


async def test_a_place_that_becomes_free_goes_round_the_owners(
    database: Database, outbox: Outbox, peers: Peers
) -> None:
    """One of them sent forty before the others sent one."""
    await put(database, outbox, *["peer/many"] * 40)
    await put(database, outbox, "peer/one", "peer/other")
    first: list[str] = []
    for _ in range(2):
        items = await outbox._claim()
        first += [item.lane for item in items]
        for item in items:
            await outbox._handle(item)
    assert Counter(first) == {"peer/many": 2, "peer/one": 1, "peer/other": 1}


async def test_a_lane_keeps_the_order_of_what_is_due(
    database: Database, outbox: Outbox, peers: Peers, held_clock: HeldClock
) -> None:
    async with database.begin() as conn:
        for key in "abcd":
            await outbox.put(conn, "send", key, {}, lane="peer")
    items = [*await outbox._claim()]
    assert [item.key for item in items] == ["a", "b"]
    assert await outbox._claim() == []
    await outbox._handle(items[0])
    assert [item.key for item in await outbox._claim()] == ["c"]


async def test_a_failure_gives_the_place_to_the_next(
    database: Database, held_clock: HeldClock
) -> None:
    """What waits for another attempt waits outside: it holds no place, and nobody behind it."""
    tried: list[str] = []

    async def away(item: OutboxItem) -> None:
        tried.append(item.key)
        raise TryLater("away")

    outbox = Outbox(database, held_clock, retry=RETRY)
    outbox.register("send", away, pool=SMALL)
    await put(database, outbox, *["peer"] * 5)
    assert await outbox.run_due() == 5
    assert len(set(tried)) == 5
    assert await outbox.run_due() == 0


def test_no_pool_may_be_filled_by_one_peer() -> None:
    with pytest.raises(ValueError, match="leave places"):
        Pool("greedy", places=4, share=4)
    assert WORK.share < WORK.places
