"""Whose turn it is in an outbox: which lanes have something due, and how many places each gets.

A lane is ``peer`` or ``peer/owner``: whom its entries occupy, and for whom. One that stands still
keeps the places it has, up to the share of its pool (`Pool`), and nobody else's; what waits behind
it is not looked at. Looking costs one step in an index for each lane, however many entries wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select, union_all

from services.chassis.data.connection import StoreConnection
from services.chassis.data.outbox_entry import OutboxItem, Pool, outbox_table, peer_of

WAITING: Final = "waiting"


class Turns:
    """Who has places now, and who had the last turn."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], OutboxItem] = {}
        self._served: dict[tuple[str, str], int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._held)

    def take(self, items: Iterable[OutboxItem]) -> None:
        """These have places from now on."""
        for item in items:
            self._held[item.id, item.lease] = item

    def give_back(self, item: OutboxItem) -> None:
        """This one has its place no more."""
        self._held.pop((item.id, item.lease), None)

    def clear(self) -> None:
        """Nobody has a place."""
        self._held.clear()

    def room(self, pool: Pool) -> int:
        """How many places of a pool are free."""
        return pool.places - sum(item.pool == pool.name for item in self._held.values())

    def share(self, pool: Pool, lanes: Collection[str]) -> Counter[str]:
        """Give the free places of a pool to lanes that have something due.

        Each place goes to the peer with the fewest places, then to its lane with the fewest; among
        equals, to whom the last turn is longest ago. No peer gets more than its share.
        """
        held = [item for item in self._held.values() if item.pool == pool.name]
        peers = Counter(peer_of(item.lane) for item in held)
        mine = Counter(item.lane for item in held)
        given: Counter[str] = Counter()

        def rank(who: str, places: int) -> tuple[int, int, str]:
            return places, self._served.get((pool.name, who), 0), who

        of_peer: dict[str, list[tuple[int, int, str]]] = {}
        for lane in lanes:
            of_peer.setdefault(peer_of(lane), []).append(rank(lane, mine[lane]))
        ready = [rank(peer, peers[peer]) for peer in of_peer if peers[peer] < pool.share]
        for heap in (ready, *of_peer.values()):
            heapify(heap)
        for _ in range(self.room(pool)):
            if not ready:
                break
            peer = heappop(ready)[2]
            lane = of_peer[peer][0][2]
            self._turn += 1
            self._served[pool.name, peer] = self._served[pool.name, lane] = self._turn
            peers[peer] += 1
            mine[lane] += 1
            given[lane] += 1
            heapreplace(of_peer[peer], rank(lane, mine[lane]))
            if peers[peer] < pool.share:
                heappush(ready, rank(peer, peers[peer]))
        return given

    async def choose(
        self, conn: StoreConnection, pool: Pool, kinds: Collection[str], now: datetime
    ) -> Sequence[int]:
        """The numbers of the entries of a pool that are due and for which there is a place."""
        if not self.room(pool):
            return ()
        lanes = (await conn.execute(lanes_due(pool, kinds, now))).scalars().all()
        self._forget(pool, lanes)
        given = self.share(pool, lanes)
        if not given:
            return ()
        return list((await conn.execute(first_due(pool, given, kinds, now))).scalars())

    def _forget(self, pool: Pool, lanes: Collection[str]) -> None:
        """Keep in mind only the turns of these lanes of a pool: nothing is due in any other."""
        known = {*lanes, *map(peer_of, lanes)}
        self._served = {
            (name, who): turn
            for (name, who), turn in self._served.items()
            if name != pool.name or who in known
        }


def lanes_due(pool: Pool, kinds: Collection[str], now: datetime) -> Select[Any]:
    """The lanes of a pool in which an entry is due."""
    column = outbox_table.c
    here = (column.state == WAITING, column.pool == pool.name)
    first = select(func.min(column.lane).label("lane")).where(*here)
    lanes = first.cte("lanes", recursive=True)
    following = select(func.min(column.lane)).where(*here, column.lane > lanes.c.lane)
    lanes = lanes.union_all(select(following.scalar_subquery()).where(lanes.c.lane.is_not(None)))
    due = select(column.id).where(*_due(pool, lanes.c.lane, kinds, now)).exists()
    return select(lanes.c.lane).where(lanes.c.lane.is_not(None), due)


def first_due(
    pool: Pool, given: Counter[str], kinds: Collection[str], now: datetime
) -> Select[Any]:
    """The numbers of as many entries of each lane as it was given places, the oldest due first."""
    column = outbox_table.c
    each = [
        select(column.id)
        .where(*_due(pool, lane, kinds, now))
        .order_by(column.due_at, column.id)
        .limit(places)
        .subquery()
        for lane, places in sorted(given.items())
    ]
    return select(union_all(*(select(one.c.id) for one in each)).subquery().c.id)


def _due(
    pool: Pool, lane: str | ColumnElement[str], kinds: Collection[str], now: datetime
) -> tuple[ColumnElement[bool], ...]:
    column = outbox_table.c
    return (
        column.state == WAITING,
        column.pool == pool.name,
        column.lane == lane,
        column.due_at <= now,
        column.kind.in_(kinds),
    )
