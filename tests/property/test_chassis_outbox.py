"""Crashes anywhere: the outbox delivers each thing at least once, the inbox makes it exactly once.

A crash is an exception that no handler may catch, thrown at a named point, after which the outbox
and the store are abandoned as they are and opened anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Column, Integer, MetaData, Table, Text, insert, select

from services.chassis.data.inbox import first_time
from services.chassis.data.outbox import Outbox, OutboxItem, Pool, Retry, TryLater
from services.chassis.data.store import Database

own = MetaData()
effects = Table("effect", own, Column("id", Integer, primary_key=True), Column("key", Text))
RETRY = Retry(first=timedelta(seconds=1), cap=timedelta(seconds=4), attempts=1000)
POOL = Pool("sending", places=3, share=2)
LANES = ("a", "b/x", "b/y")
POINTS = ("before delivery", "after the receiver", "before the mark")


class Crash(BaseException):
    """The process ends here."""


class Held:
    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class CrashingOutbox(Outbox):
    """Ends the process just before it would have marked an item."""

    crash_at: str | None = None

    async def complete(self, conn: Any, item: OutboxItem) -> bool:
        if self.crash_at == "before the mark":
            raise Crash
        return await super().complete(conn, item)


class TwoSystems(RuleBasedStateMachine):
    """A sender with an outbox and a receiver with an inbox, each with a store of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runner = asyncio.Runner()
        self.clock = Held()
        self.promised: list[str] = []
        self.deliveries: dict[str, int] = {}
        self.at_work: Counter[str] = Counter()
        self.most = 0
        self.failures = 0
        self.crash_at: str | None = None
        self.runner.run(self.open())

    async def open(self) -> None:
        self.sender = await Database.open(self.folder / "sender.sqlite3")
        self.receiver = await Database.open(self.folder / "receiver.sqlite3")
        await self.receiver.create_all(own)
        self.outbox = CrashingOutbox(self.sender, self.clock, retry=RETRY)
        self.outbox.register("send", self.deliver, pool=POOL)

    async def restart(self) -> None:
        await self.sender.close()
        await self.receiver.close()
        self.crash_at = None
        await self.open()
        await self.outbox.start()
        await self.outbox.stop()

    async def deliver(self, item: OutboxItem) -> None:
        peer = item.lane.partition("/")[0]
        self.at_work[peer] += 1
        self.most = max(self.most, self.at_work[peer])
        try:
            await asyncio.sleep(0)  # so that all that were claimed together are at work together
            await self.receive(item)
        finally:
            self.at_work[peer] -= 1

    async def receive(self, item: OutboxItem) -> None:
        if self.crash_at == "before delivery":
            raise Crash
        if self.failures:
            self.failures -= 1
            raise TryLater("the receiver is away")
        self.deliveries[item.key] = self.deliveries.get(item.key, 0) + 1
        async with self.receiver.begin() as conn:
            if await first_time(conn, "sender", item.key):
                await conn.execute(insert(effects).values(key=item.key))
        if self.crash_at == "after the receiver":
            raise Crash

    async def run_until_crash(self) -> None:
        self.outbox.crash_at = self.crash_at
        crashed = False
        try:
            await self.outbox.run_due()
        except* Crash:
            crashed = True
        if crashed:
            await self.restart()

    async def effects(self) -> list[str]:
        async with self.receiver.connect() as conn:
            return list((await conn.execute(select(effects.c.key))).scalars())

    async def promise(self, key: str, lane: str, *, keep: bool) -> None:
        with contextlib.suppress(ZeroDivisionError):
            async with self.sender.begin() as conn:
                await self.outbox.put(conn, "send", key, {"key": key}, lane=lane)
                if not keep:
                    raise ZeroDivisionError

    @rule(keep=st.booleans(), lane=st.sampled_from(LANES))
    def put(self, keep: bool, lane: str = "a") -> None:
        key = f"k{len(self.promised)}" if keep else "never"
        self.runner.run(self.promise(key, lane, keep=keep))
        if keep:
            self.promised.append(key)

    @rule(failures=st.integers(0, 4))
    def receiver_goes_away(self, failures: int) -> None:
        self.failures = failures

    @rule(point=st.sampled_from(POINTS))
    def arm_a_crash(self, point: str) -> None:
        self.crash_at = point

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)

    @rule()
    def work(self) -> None:
        self.runner.run(self.run_until_crash())

    @rule()
    def power_is_lost(self) -> None:
        self.runner.run(self.restart())

    @precondition(lambda self: self.promised)
    @rule()
    def in_the_end_everything_was_done_once(self) -> None:
        self.failures, self.crash_at = 0, None
        for _ in range(5):
            self.clock.at += timedelta(seconds=120)
            self.runner.run(self.run_until_crash())
        assert sorted(self.runner.run(self.effects())) == sorted(self.promised)
        assert set(self.deliveries) == set(self.promised)
        rows = self.runner.run(self.outbox.list())
        assert {row["state"] for row in rows} == {"done"}

    @invariant()
    def nothing_is_done_twice_or_unasked(self) -> None:
        done = self.runner.run(self.effects())
        assert len(set(done)) == len(done)
        assert set(done) <= set(self.promised)

    @invariant()
    def no_peer_has_more_than_its_share(self) -> None:
        assert self.most <= POOL.share

    def teardown(self) -> None:
        self.runner.run(self.sender.close())
        self.runner.run(self.receiver.close())
        self.runner.close()
        shutil.rmtree(self.folder)


TwoSystems.TestCase.settings = settings(
    max_examples=examples(15), stateful_step_count=12, deadline=None
)
TestTwoSystems = TwoSystems.TestCase


def test_a_crash_before_the_mark_delivers_twice_and_acts_once() -> None:
    """The story behind the machine, once, by name."""
    machine = TwoSystems()
    try:
        machine.put(keep=True)
        machine.arm_a_crash("before the mark")
        machine.work()
        machine.in_the_end_everything_was_done_once()
        assert machine.deliveries == {"k0": 2}
        assert machine.runner.run(machine.effects()) == ["k0"]
    finally:
        machine.teardown()
