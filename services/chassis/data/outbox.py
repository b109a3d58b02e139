"""The outbox: what must be done outside, written in the same transaction as why.

What it guarantees: an entry that was committed is handled at least once, across crashes; a handler
that fails is tried again after a growing pause (the machine's clock, not the lab's); one that
cannot succeed ends as "dead", visible on the lab port, never silently.

One party's trouble is nobody else's: whoever puts an entry names the lane in which it waits, and
each kind has a pool of places (`services.chassis.data.outbox_entry.Pool`). One peer's entries have
their share of the places and no more, however many of them wait; free places go round the lanes;
and notices never take the places of work. The bounds hold for each worker.

The worker keeps in mind what waits (a store has one process); the store is read again at a start.

What it leaves to others: exactly once. A crash between a handler's effect and the mark leads to a
second delivery; receivers recognise it (`services.chassis.data.inbox`). Entries are independent:
their order is not kept when one of them fails.

States: ``waiting`` (due at ``due_at``), ``claimed`` (waiting, and being tried), ``done``, ``dead``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

import structlog
from sqlalchemy import null, select, update
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
    Waiting,
    outbox_table,
    shown,
)
from services.chassis.data.outbox_lanes import Agenda, Turns
from services.chassis.data.prepared import Prepared, param
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

_column = outbox_table.c
_ADD: Final = Prepared(
    insert(outbox_table)
    .values(state="waiting", attempts=0)
    .on_conflict_do_nothing()
    .returning(_column.id),
    *("kind", "key", "pool", "lane", "payload", "due_at", "created_at"),
)
_PAYLOAD: Final = Prepared(
    select(_column.payload).where(_column.id == param("number"), _column.state == "waiting")
)
_WAITING: Final = Prepared(
    select(
        *(_column[name] for name in ("id", "kind", "key", "pool", "lane", "due_at", "attempts"))
    ).where(_column.state == "waiting")
)
_END: Final = Prepared(
    update(outbox_table).where(_column.id == param("number"), _column.state == "waiting"),
    *("state", "attempts", "due_at", "last_error", "ended_at"),
)
_DONE: Final = Prepared(
    update(outbox_table)
    .where(_column.id == param("number"), _column.state == "waiting")
    .values(state="done"),
    *("attempts", "ended_at"),
)
_REVIVE: Final = Prepared(
    update(outbox_table)
    .where(_column.id == param("number"), _column.state == "dead")
    .values(state="waiting", attempts=0, ended_at=null())
    .returning(*(_column[name] for name in ("id", "kind", "key", "pool", "lane", "attempts"))),
    "due_at",
)


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
        self._agenda = Agenda()
        self._known = False  # what waits in the store has been read
        self._done: set[int] = set()  # marked by their handlers, which have not returned yet
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
        now, pool = self._clock.now(), self._pools[kind].name
        added = await conn.execute(
            _ADD,
            {
                "kind": kind,
                "key": key,
                "pool": pool,
                "lane": lane,
                "payload": canonical(payload),
                "due_at": now,
                "created_at": now,
            },
        )
        number = added.scalar_one_or_none()
        if number is not None:
            entry = Waiting(number, kind, key, pool, lane, now, 0)
            self._database.on_commit(lambda: self._remember(entry))

    def _remember(self, entry: Waiting) -> None:
        if self._known and self._turns.held(entry.id) is None:  # else it is read with the others
            self._agenda.add(entry)
        self.wake()

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    async def start(self) -> None:
        """Read what waits from an earlier process, and start the worker."""
        await self._look()
        self._worker = asyncio.create_task(self._work(), name="outbox")

    async def stop(self) -> None:
        """Stop the worker; what it had under way is tried again after the next start."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
            self._worker = None
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._turns.clear()
        self._agenda, self._known = Agenda(), False

    async def _look(self) -> None:
        """Read what waits in the store, once."""
        if self._known:
            return
        async with self._database.connect() as conn:
            for row in (await conn.execute(_WAITING)).all():
                if row.kind in self._handlers:
                    self._agenda.add(Waiting(**row._asdict()))
        self._known = True

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
                busy = bool(len(self._turns)) or self._agenda.ripen(self._clock.now())
                if not busy and not (deferred and len(self._agenda)):
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._retry.first.total_seconds()):
                        await self._settled.wait()

    async def list(self, state: str | None = None, limit: int = 200) -> Entries:
        """The latest entries, newest first, without their payloads."""
        query = select(outbox_table).order_by(_column.id.desc()).limit(limit)
        if state is not None:
            query = query.where(_column.state == ("waiting" if state == "claimed" else state))
        async with self._database.connect() as conn:
            rows = (await conn.execute(query)).all()
        entries = [shown(row, self._turns.held(row.id)) for row in rows]
        return [entry for entry in entries if state is None or entry["state"] == state]

    async def revive(self, item_id: int) -> bool:
        """Try a dead entry again from the start; False if there is no such dead entry."""
        now = self._clock.now()
        async with self._database.begin() as conn:
            row = (await conn.execute(_REVIVE, {"number": item_id, "due_at": now})).one_or_none()
            if row is not None:
                entry = Waiting(**row._asdict(), due_at=now)
                self._database.on_commit(lambda: self._remember(entry))
        return row is not None

    async def complete(self, conn: StoreConnection, item: OutboxItem) -> bool:
        """Mark an item done in the caller's transaction, so that effect and mark are one.

        A handler may call this itself; otherwise it is done after the handler returns.
        Returns False if it has ended already.
        """
        found = await conn.execute(
            _DONE,
            {"number": item.id, "attempts": item.attempts, "ended_at": self._clock.now()},
        )
        if found.rowcount != 1:
            return False
        self._database.on_commit(lambda: self._done.add(item.id))
        return True

    async def _claim(self) -> Sequence[OutboxItem]:
        """Take what is due and has a place, lane by lane."""
        await self._look()
        if not self._agenda.ripen(self._clock.now()):
            return []
        chosen = [
            entry
            for pool in set(self._pools.values())
            for entry in self._turns.choose(pool, self._agenda)
        ]
        items = []
        try:
            async with self._database.connect() as conn:
                for entry in chosen:
                    found = await conn.execute(_PAYLOAD, {"number": entry.id})
                    payload = found.scalar_one_or_none()
                    if payload is not None:
                        items.append(entry.item(json.loads(payload)))
        except BaseException:
            for entry in chosen:
                self._agenda.add(entry)
            raise
        self._turns.take(items)
        return items

    async def _handle(self, item: OutboxItem) -> None:
        try:
            await self._attempt(item)
        except Exception:
            self._again(item, self._clock.now() + STORE_PAUSE)  # what became of it is not kept
            raise
        finally:
            self._turns.give_back(item)
            self._done.discard(item.id)
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
            if item.id not in self._done:
                async with self._database.begin() as conn:
                    await self.complete(conn, item)

    async def _defer(self, item: OutboxItem, reason: str) -> None:
        if item.attempts >= self._retry.attempts:
            await self._give_up(item, reason)
            return
        due = self._clock.now() + self._retry.pause(item.attempts)
        async with self._database.begin() as conn:
            if await self._end(conn, item, reason, state="waiting", due_at=due):
                self._database.on_commit(lambda: self._again(item, due))
        _log.info(
            "outbox entry deferred",
            kind=item.kind,
            entry=item.key,
            attempts=item.attempts,
            reason=reason,
        )

    def _again(self, item: OutboxItem, due: datetime) -> None:
        self._agenda.add(
            Waiting(item.id, item.kind, item.key, item.pool, item.lane, due, item.attempts)
        )

    async def _give_up(self, item: OutboxItem, reason: str) -> None:
        now = self._clock.now()
        async with self._database.begin() as conn:
            ours = await self._end(conn, item, reason, state="dead", due_at=now, ended_at=now)
            if ours and item.kind in self._on_dead:
                await self._on_dead[item.kind](conn, item, reason)
        _log.error(
            "outbox entry given up",
            kind=item.kind,
            entry=item.key,
            attempts=item.attempts,
            reason=reason,
        )

    async def _end(
        self,
        conn: StoreConnection,
        item: OutboxItem,
        reason: str,
        *,
        state: str,
        due_at: datetime,
        ended_at: datetime | None = None,
    ) -> bool:
        """Write down what became of an attempt; False if the entry has ended already."""
        found = await conn.execute(
            _END,
            {
                "number": item.id,
                "state": state,
                "attempts": item.attempts,
                "due_at": due_at,
                "last_error": reason,
                "ended_at": ended_at,
            },
        )
        return found.rowcount == 1

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                if not await self._take_on():
                    await self._sleep(self._until_due())
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

    def _until_due(self) -> timedelta | None:
        """How long there is nothing to do unless woken; None: until woken.

        What is due has no place yet: whatever gives one back wakes the worker.
        """
        due = self._agenda.next_due()
        return None if due is None else max(timedelta(milliseconds=5), due - self._clock.now())

    async def _sleep(self, pause: timedelta | None) -> None:
        """Until woken, or for that long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if pause is None else pause.total_seconds()):
                await self._wake.wait()
