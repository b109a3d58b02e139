"""What falls due is done soon after: by the clock, after a change of it, and after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.time.clock import LabClock
from services.chassis.time.due_watch import DueWatch

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC)
LIMIT = 20  # seconds for what takes next to none


@dataclass
class Kept:
    """Something that is kept until a moment, and how often somebody came for it."""

    clock: LabClock
    due: datetime | None = None
    fails: int = 0
    looked: int = 0
    done: list[datetime] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def act(self) -> None:
        async with self.changed:
            self.looked += 1
            if self.fails:
                self.fails -= 1
                self.changed.notify_all()
                raise OSError("no more space")
            if self.due is not None and self.due <= self.clock.now():
                self.done.append(self.due)
                self.due = None
            self.changed.notify_all()

    async def next_due(self) -> datetime | None:
        return self.due

    async def until_looked(self, times: int) -> None:
        async with asyncio.timeout(LIMIT), self.changed:
            await self.changed.wait_for(lambda: self.looked >= times)


@pytest.fixture
async def kept(logs_as_they_come: None) -> AsyncIterator[Kept]:
    clock = LabClock()
    clock.set(NOON)
    kept = Kept(clock)
    watch = DueWatch(clock, kept.act, kept.next_due)
    await watch.start()
    await kept.until_looked(1)
    yield kept
    await watch.stop()


async def test_nothing_is_done_before_its_time_and_then_it_is(kept: Kept) -> None:
    kept.due = NOON + timedelta(days=1)

    kept.clock.step(timedelta(hours=23))
    await kept.until_looked(2)
    assert kept.done == []
    kept.clock.step(timedelta(hours=1))
    await kept.until_looked(3)

    assert kept.done == [NOON + timedelta(days=1)]


async def test_a_failure_is_not_the_last_word(kept: Kept) -> None:
    kept.due, kept.fails = NOON, 1

    kept.clock.step(timedelta(0))
    await kept.until_looked(2)
    assert kept.done == []
    kept.clock.step(timedelta(0))  # sooner than it would look by itself
    await kept.until_looked(3)

    assert kept.done == [NOON]


async def test_a_running_clock_is_waited_for(kept: Kept) -> None:
    """Nobody touches the clock again: it looks when the moment has come, by itself."""
    kept.due = NOON + timedelta(milliseconds=50)

    kept.clock.resume()
    async with asyncio.timeout(LIMIT), kept.changed:
        await kept.changed.wait_for(lambda: kept.done)

    assert kept.done == [NOON + timedelta(milliseconds=50)]
