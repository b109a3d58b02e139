"""The outbox: what must be done outside, written in the same transaction as why.

What it guarantees: an entry that was committed is handled at least once, across crashes; a handler
that fails is tried again after a growing pause (the machine's clock, not the lab's); one that
cannot succeed ends as "dead", visible on the lab port, never silently.

One party's trouble is nobody else's: whoever puts an entry names the lane in which it waits, and
each kind has a pool of places (`services.chassis.data.outbox_entry.Pool`). One peer's entries have
their share of the places and no more, however many of them wait; free places go round the lanes;
and notices never take the places of work. The bounds hold for each worker.

What it leaves to others: exactly once. A crash between a handler's effect and the mark leads to a
second delivery; receivers recognise it (`services.chassis.data.inbox`). Entries are independent:
their order is not kept when one of them fails.

States: ``waiting`` (due at ``due_at``), ``claimed`` (a worker has it until ``lease_until``),
``done``, ``dead``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import structlog
from sqlalchemy import func, select
from sqlalchemy import update as sql_update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError

from services.chassis.data.canonical import canonical
from services.chassis.data.connection import StoreConnection
from services.chassis.data.outbox_entry import (
    NOTICES,
    WORK,
    OutboxItem,
    Pool,
    Retry,
    TryLater,
    Undeliverable,
    item_of,
    outbox_table,
    shown,
)
from services.chassis.data.outbox_lanes import Turns
from services.chassis.data.store import Database, StoreError
from services.chassis.time.clock import Clock

STORE_PAUSE: Final = timedelta(seconds=1)  # before a store that failed is tried again

_log = structlog.get_logger(__name__)

__all__ = [
    "NOTICES",
    "WORK",
    "Outbox",
    "OutboxItem",
    "Pool",
    "Retry",
    "TryLater",
    "Undeliverable",
]

Entries: TypeAlias = list[dict[str, Any]]
Handler = Callable[[OutboxItem], Awaitable[None]]
OnDead = Callable[[StoreConnection, OutboxItem, str], Awaitable[None]]


class Outbox:
    """The outbox of one service and its worker."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        retry: Retry | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._retry = retry or Retry()
        self._handlers: dict[str, Handler] = {}
        self._pools: dict[str, Pool] = {}
        self._on_dead: dict[str, OnDead] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Condition()
        self._running: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._looked_at = clock.now()
        self._worker: asyncio.Task[None] | None = None

    def register(
        self, kind: str, handler: Handler, on_dead: OnDead | None = None, *, pool: Pool = WORK
    ) -> None:
        """Say who does things of this kind.

        Args:
            kind: Name of the kind.
            handler: Does one thing; raises when it could not.
            on_dead: What else happens, in the same transaction, when one is given up.
            pool: In whose places they are done.

        Raises:
            StoreError: The kind is taken.
        """
        if kind in self._handlers:
            raise StoreError(f"two outbox handlers for {kind}")
        self._handlers[kind] = handler
        self._pools[kind] = pool
        if on_dead is not None:
            self._on_dead[kind] = on_dead

    async def put(
        self, conn: StoreConnection, kind: str, key: str, payload: dict[str, Any], *, lane: str
    ) -> None:
        """Write one thing to do in the caller's transaction. The same kind and key again: nothing.

        Args:
            conn: The transaction.
            kind: Who does it.
            key: What makes it this one.
            payload: JSON values the handler needs.
            lane: Whom doing it occupies, and for whom it is done: ``peer`` or ``peer/owner``.

        Raises:
            StoreError: Nobody does things of this kind.
        """
        if kind not in self._handlers:
            raise StoreError(f"no outbox handler for {kind}")
        now = self._clock.now()
        await conn.execute(
            insert(outbox_table)
            .values(
                kind=kind,
                key=key,
                pool=self._pools[kind].name,
                lane=lane,
                payload=canonical(payload),
                state="waiting",
                attempts=0,
                due_at=now,
                created_at=now,
            )
            .on_conflict_do_nothing()
        )
        self._database.on_commit(self.wake)

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def start(self) -> None:
        """Start the worker. With SQLite the store has one process, so old claims fall free."""
        if self._database.dialect == "sqlite":
            async with self._database.begin() as conn:
                await conn.execute(
                    sql_update(outbox_table)
                    .where(outbox_table.c.state == "claimed")
                    .values(state="waiting", lease=None, lease_until=None)
                )
        self._worker = asyncio.create_task(self._work(), name="outbox")

    async def stop(self) -> None:
        """Stop the worker; what it had claimed will be delivered again."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
            self._worker = None
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._turns.clear()

    async def run_due(self) -> int:
        """Handle everything that is due now, once each; the number of attempts made."""
        made = 0
        while items := await self._claim():
            made += len(items)
            async with asyncio.TaskGroup() as group:
                for item in items:
                    group.create_task(self._handle(item))
        return made

    async def idle(self, *, deferred: bool = False) -> None:
        """Return when nothing is running and nothing is due.

        Args:
            deferred: Also wait for entries whose next attempt lies in the future.
        """
        while True:
            if self._worker is None:
                await self.run_due()
            async with self._settled:
                busy, later = await self._pending()
                if not busy and not (deferred and later):
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._retry.first.total_seconds()):
                        await self._settled.wait()

    async def list(self, state: str | None = None, limit: int = 200) -> Entries:
        """The latest entries, newest first, without their payloads."""
        query = select(outbox_table).order_by(outbox_table.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(outbox_table.c.state == state)
        async with self._database.connect() as conn:
            rows = (await conn.execute(query)).all()
        return [shown(row) for row in rows]

    async def revive(self, item_id: int) -> bool:
        """Try a dead entry again from the start; False if there is no such dead entry."""
        async with self._database.begin() as conn:
            found = await conn.execute(
                sql_update(outbox_table)
                .where(outbox_table.c.id == item_id, outbox_table.c.state == "dead")
                .values(state="waiting", attempts=0, due_at=self._clock.now(), ended_at=None)
            )
            self._database.on_commit(self.wake)
        return found.rowcount == 1

    async def complete(self, conn: StoreConnection, item: OutboxItem) -> bool:
        """Mark an item done in the caller's transaction, so that effect and mark are one.

        A handler may call this itself; otherwise it is done after the handler returns.
        Returns False if the claim is no longer ours.
        """
        return await self._end(conn, item, state="done", ended_at=self._clock.now())

    async def _claim(self) -> Sequence[OutboxItem]:
        """Take what is due and has a place, lane by lane."""
        self._looked_at = now = self._clock.now()
        lost = (outbox_table.c.state == "claimed", outbox_table.c.lease_until <= now)
        async with self._database.connect() as conn:  # a look before taking the write lock
            fallen = (await conn.execute(select(outbox_table.c.id).where(*lost).limit(1))).first()
            chosen = [] if fallen else await self._choose(conn, now)
        if not fallen and not chosen:
            return []
        lease = secrets.token_hex(8)
        async with self._database.begin() as conn:
            if fallen:
                await conn.execute(
                    sql_update(outbox_table)
                    .where(*lost)
                    .values(state="waiting", lease=None, lease_until=None)
                )
                chosen = await self._choose(conn, now)
            rows = (
                await conn.execute(
                    sql_update(outbox_table)
                    .where(outbox_table.c.id.in_(chosen), outbox_table.c.state == "waiting")
                    .values(
                        state="claimed",
                        attempts=outbox_table.c.attempts + 1,
                        lease=lease,
                        lease_until=now + self._retry.lease,
                    )
                    .returning(outbox_table)
                )
            ).all()
        items = [item_of(row, lease) for row in sorted(rows, key=lambda row: row.id)]
        self._turns.take(items)
        return items

    async def _choose(self, conn: StoreConnection, now: datetime) -> Sequence[int]:
        """The numbers of the entries that are due and have a place."""
        return [
            number
            for pool in set(self._pools.values())
            for number in await self._turns.choose(conn, pool, self._handlers, now)
        ]

    async def _handle(self, item: OutboxItem) -> None:
        try:
            await self._attempt(item)
        finally:
            self._turns.give_back(item)
        async with self._settled:
            self._settled.notify_all()

    async def _attempt(self, item: OutboxItem) -> None:
        try:
            async with asyncio.timeout(self._retry.lease.total_seconds() * 0.9):
                await self._handlers[item.kind](item)
        except Undeliverable as error:
            await self._give_up(item, str(error))
        except Exception as error:  # noqa: BLE001 - any failure of a handler means: later
            reason = str(error) if isinstance(error, TryLater) else type(error).__name__
            _log.debug("outbox handler failed", kind=item.kind, exc_info=True)
            await self._defer(item, reason)
        else:
            async with self._database.begin() as conn:
                await self.complete(conn, item)

    async def _defer(self, item: OutboxItem, reason: str) -> None:
        if item.attempts >= self._retry.attempts:
            await self._give_up(item, reason)
            return
        due = self._clock.now() + self._retry.pause(item.attempts)
        async with self._database.begin() as conn:
            await self._end(conn, item, state="waiting", due_at=due, last_error=reason)
        _log.info(
            "outbox entry deferred",
            kind=item.kind,
            entry=item.key,
            attempts=item.attempts,
            reason=reason,
        )

    async def _give_up(self, item: OutboxItem, reason: str) -> None:
        async with self._database.begin() as conn:
            ours = await self._end(
                conn, item, state="dead", last_error=reason, ended_at=self._clock.now()
            )
            if ours and item.kind in self._on_dead:
                await self._on_dead[item.kind](conn, item, reason)
        _log.error(
            "outbox entry given up",
            kind=item.kind,
            entry=item.key,
            attempts=item.attempts,
            reason=reason,
        )

    async def _end(self, conn: StoreConnection, item: OutboxItem, **values: Any) -> bool:
        """End our claim; False if it is no longer ours (the lease passed to another worker)."""
        found = await conn.execute(
            sql_update(outbox_table)
            .where(
                outbox_table.c.id == item.id,
                outbox_table.c.state == "claimed",
                outbox_table.c.lease == item.lease,
            )
            .values(lease=None, lease_until=None, **values)
        )
        return found.rowcount == 1

    async def _pending(self) -> tuple[bool, bool]:
        """Whether anything is claimed or due, and whether anything waits for later."""
        query = select(outbox_table.c.state, func.min(outbox_table.c.due_at)).where(
            outbox_table.c.state.in_(("waiting", "claimed")),
            outbox_table.c.kind.in_(self._handlers),
        )
        async with self._database.connect() as conn:
            rows = (await conn.execute(query.group_by(outbox_table.c.state))).all()
        found: dict[str, datetime | str] = {row[0]: row[1] for row in rows}
        due = found.get("waiting")
        if isinstance(due, str):
            due = datetime.fromisoformat(due)
        now = self._clock.now()  # after the look: what was put just before it was due by then
        return "claimed" in found or (due is not None and due <= now), due is not None

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                items = await self._take_on()
                if not items:
                    await self._sleep(await self._next_look())
            except SQLAlchemyError as error:
                # A busy or full store must not end the worker: nothing would be sent any more.
                _log.error("outbox cannot use the store", error=type(error).__name__)
                await self._sleep(STORE_PAUSE)

    async def _take_on(self) -> Sequence[OutboxItem]:
        """Start a task for each item there is room for."""
        items = await self._claim()
        for item in items:
            task = asyncio.create_task(self._handle(item), name=f"outbox {item.kind}")
            self._running.add(task)
            task.add_done_callback(self._ended)
        return items

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("outbox could not record an outcome", error=type(error).__name__)

    async def _next_look(self) -> timedelta:
        """How long there is nothing to do unless woken.

        What was due at the last look has no place yet: whatever gives one back wakes the worker.
        """
        async with self._database.connect() as conn:
            query = select(func.min(outbox_table.c.due_at)).where(
                outbox_table.c.state == "waiting",
                outbox_table.c.due_at > self._looked_at,
                outbox_table.c.kind.in_(self._handlers),
            )
            due = (await conn.execute(query)).scalar_one()
        pause = self._retry.cap
        if due is not None:
            moment = datetime.fromisoformat(due) if isinstance(due, str) else due
            pause = min(pause, max(timedelta(milliseconds=5), moment - self._clock.now()))
        return pause

    async def _sleep(self, pause: timedelta) -> None:
        """Until woken, or for that long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause.total_seconds()):
                await self._wake.wait()
