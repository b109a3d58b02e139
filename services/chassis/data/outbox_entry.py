"""What an outbox holds: its table, one thing to do, where it may be done, and when to try again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Index, Integer, Row, Table, Text, UniqueConstraint

from services.chassis.data.store import UtcDateTime, metadata

outbox_table: Final = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("pool", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("last_error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("kind", "key"),
    Index("outbox_due", "state", "due_at"),
)


@dataclass(frozen=True, slots=True)
class Pool:
    """Places in which entries are handled side by side; other pools' entries do not take them.

    An entry's lane says whom it occupies and for whom: ``peer`` or ``peer/owner``. Of the places,
    the entries of one peer have `share` at most, however many wait. Places that become free go
    round the peers, and within a peer round its lanes.

    Attributes:
        name: As it is kept with each entry.
        places: How many entries are handled at a time.
        share: How many of them one peer may have.
    """

    name: str
    places: int
    share: int

    def __post_init__(self) -> None:
        """Refuse a pool that one peer could fill.

        Raises:
            ValueError: `share` leaves no place to others.
        """
        if not 0 < self.share < self.places:
            raise ValueError(f"pool {self.name}: one peer must leave places to others")


WORK: Final = Pool("work", places=24, share=8)
"""Where what is to be done is done, if nothing else is said."""

NOTICES: Final = Pool("notices", places=32, share=4)
"""Where others are told what was done: never in the way of work."""


def peer_of(lane: str) -> str:
    """Whom the entries of a lane occupy."""
    return lane.partition("/")[0]


class TryLater(Exception):  # noqa: N818 - an instruction to the outbox
    """A handler could not do it now. The reason is kept; never put a secret in it."""


class Undeliverable(Exception):  # noqa: N818 - an instruction to the outbox
    """A handler knows that it will never succeed. The reason is kept; never a secret."""


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One thing to do.

    Attributes:
        id: Number in this outbox.
        kind: Which handler does it.
        key: What makes it this one; receivers may use it to recognise a repetition.
        pool: Whose places it takes.
        lane: Whom it occupies, and for whom: ``peer/owner``.
        payload: JSON values the handler needs.
        attempts: How often it has been tried, this time included.
    """

    id: int
    kind: str
    key: str
    pool: str
    lane: str
    payload: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that waits, as the worker keeps it in mind: without its payload.

    Attributes:
        due_at: When it may be tried.
        attempts: How often it has been tried.
    """

    id: int
    kind: str
    key: str
    pool: str
    lane: str
    due_at: datetime
    attempts: int

    def item(self, payload: dict[str, Any]) -> OutboxItem:
        """As its handler gets it, for the next attempt."""
        return OutboxItem(
            self.id, self.kind, self.key, self.pool, self.lane, payload, self.attempts + 1
        )


def shown(row: Row[Any], held: OutboxItem | None) -> dict[str, Any]:
    """An entry as the lab port shows it, without its payload; `held` while it is being tried."""
    return {
        "id": row.id,
        "kind": row.kind,
        "key": row.key,
        "lane": row.lane,
        "state": row.state if held is None else "claimed",
        "attempts": row.attempts if held is None else held.attempts,
        "due_at": row.due_at.isoformat(),
        "last_error": row.last_error,
        "created_at": row.created_at.isoformat(),
        "ended_at": None if row.ended_at is None else row.ended_at.isoformat(),
    }


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again, and when to give up.

    Attributes:
        first: Pause after the first failure.
        cap: Longest pause.
        attempts: Failures after which an entry is dead.
        lease: How long one attempt may take.
    """

    first: timedelta = timedelta(milliseconds=200)
    cap: timedelta = timedelta(seconds=30)
    attempts: int = 40
    lease: timedelta = timedelta(seconds=60)

    def pause(self, attempts: int) -> timedelta:
        """Pause after that many failures: doubles each time, up to the cap."""
        return min(self.cap, self.first * (1 << min(max(attempts, 1) - 1, 30)))
