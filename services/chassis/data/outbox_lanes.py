"""Whose turn it is in an outbox: which lanes have something due, and how many places each gets.

A lane is ``peer`` or ``peer/owner``: whom its entries occupy, and for whom. One that stands still
keeps the places it has, up to the share of its pool (`Pool`), and nobody else's; what waits behind
it is not looked at. The worker keeps the entries that wait in mind; the store keeps them for the
next process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from heapq import heapify, heappop, heappush, heapreplace

from services.chassis.data.outbox_entry import OutboxItem, Pool, Waiting, peer_of


class Turns:
    """Who has places now, and who had the last turn."""

    def __init__(self) -> None:
        self._held: dict[int, OutboxItem] = {}
        self._served: dict[tuple[str, str], int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._held)

    def take(self, items: Iterable[OutboxItem]) -> None:
        """These have places from now on."""
        for item in items:
            self._held[item.id] = item

    def give_back(self, item: OutboxItem) -> None:
        """This one has its place no more."""
        self._held.pop(item.id, None)

    def held(self, number: int) -> OutboxItem | None:
        """The entry of this number, if it has a place."""
        return self._held.get(number)

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

    def choose(self, pool: Pool, agenda: Agenda) -> list[Waiting]:
        """The entries of a pool that are due and for which there is a place: taken out."""
        lanes = agenda.lanes(pool) if self.room(pool) else ()
        self._forget(pool, lanes)
        return [
            entry
            for lane, places in sorted(self.share(pool, lanes).items())
            for entry in agenda.take(pool, lane, places)
        ]

    def _forget(self, pool: Pool, lanes: Collection[str]) -> None:
        """Keep in mind only the turns of these lanes of a pool: nothing is due in any other."""
        known = {*lanes, *map(peer_of, lanes)}
        self._served = {
            (name, who): turn
            for (name, who), turn in self._served.items()
            if name != pool.name or who in known
        }


class Agenda:
    """The entries that wait: those that are due by lane, the oldest first, and the others."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()
        self._later: list[tuple[datetime, int, Waiting]] = []
        self._ready: dict[str, dict[str, list[tuple[datetime, int, Waiting]]]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, entry: Waiting) -> None:
        """This one waits from now on; once, however often it is said."""
        if entry.id in self._numbers:
            return
        self._numbers.add(entry.id)
        heappush(self._later, (entry.due_at, entry.id, entry))

    def ripen(self, now: datetime) -> bool:
        """Let what is due by now have its turn; whether anything is due."""
        while self._later and self._later[0][0] <= now:
            ripe = heappop(self._later)
            lanes = self._ready.setdefault(ripe[2].pool, {})
            heappush(lanes.setdefault(ripe[2].lane, []), ripe)
        return bool(self._ready)

    def lanes(self, pool: Pool) -> Collection[str]:
        """The lanes of a pool in which an entry is due."""
        return self._ready.get(pool.name, {}).keys()

    def take(self, pool: Pool, lane: str, most: int) -> list[Waiting]:
        """Take out the oldest that are due in a lane, so many at most."""
        lanes = self._ready[pool.name]
        entries = lanes[lane]
        taken = [heappop(entries)[2] for _ in range(min(most, len(entries)))]
        self._numbers.difference_update(entry.id for entry in taken)
        if not entries:
            del lanes[lane]
        if not lanes:
            del self._ready[pool.name]
        return taken

    def next_due(self) -> datetime | None:
        """When the next of those that are not due will be."""
        return self._later[0][0] if self._later else None
