"""What an outbox holds: its table, one thing to do, and when to try again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Column, Integer, Table, Text, UniqueConstraint

from services.chassis.store import UtcDateTime, metadata

outbox_table: Final = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("lease", Text),
    Column("lease_until", UtcDateTime),
    Column("last_error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("kind", "key"),
)


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
        payload: JSON values the handler needs.
        attempts: How often it has been tried, this time included.
        lease: The claim under which it is being handled.
    """

    id: int
    kind: str
    key: str
    payload: dict[str, Any]
    attempts: int
    lease: str


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try again, and when to give up.

    Attributes:
        first: Pause after the first failure.
        cap: Longest pause.
        attempts: Failures after which an entry is dead.
        lease: How long one attempt may take; a crashed worker's claims fall free after it.
    """

    first: timedelta = timedelta(milliseconds=200)
    cap: timedelta = timedelta(seconds=30)
    attempts: int = 40
    lease: timedelta = timedelta(seconds=60)

    def pause(self, attempts: int) -> timedelta:
        """Pause after that many failures: doubles each time, up to the cap."""
        return min(self.cap, self.first * (1 << min(max(attempts, 1) - 1, 30)))
