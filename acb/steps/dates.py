"""Dates to come: requests that wait here until then, and alerts that do not come after it.

Requests that the broker itself keeps (6.21; future dating pattern "DSP", docs/sources.md#services):
the device knows nothing until the day. Then the request takes its turn like any other, and every
check of its service is made again. Kept in the transaction that accepts the request; let go in one
transaction with the intent to do it (outbox), so that a crash neither loses nor repeats it. One
request of a user for a device and role waits at a time, the newest takes the place of an older
one, and a request for 3000-12-31 withdraws it, whether or not there is one (reconstruction): as a
device does it with what waits there (docs/sources.md#future-dating). Whose place was taken is told
so, by `acb.schedule`.

A request whose command waits in its device is ended by the device's alert (8F66, 8F67). If none
comes, it would wait for ever. So, from the store alone:

1. when its date has come, the broker notes that;
2. a period of grace after that (`alert_grace_seconds`), if there is still no alert, the request
   goes back to `sent_to_device` and its device is asked (`acb.steps.read_back`): one transaction,
   with the intent to ask in the outbox.

reconstruction: that a broker does this, and the length of the period, are ours. The period
runs from the moment at which the broker sees that the date has come, not from the date: a broker
that was away for days must let the devices speak first, whose alerts could not arrive meanwhile.
Asking holds the device like a command does, so that nothing changes its cells between its answer
and the record: a device to which something is on its way is asked after that.

Days are counted by the domain clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    Select,
    Table,
    delete,
    exists,
    insert,
    or_,
    select,
)

from acb.checks import PARTY
from acb.model import UNDER_WAY, Refusal, State, Tracked
from acb.rules import codes
from acb.services.service import Appointment
from acb.services.table import service_of
from acb.steps import gather, lanes
from acb.steps.context import Context
from acb.steps.outcome import Outcomes
from acb.steps.pending import GONE
from acb.store import awaited
from acb.store import requests as store
from acb.store.awaited import awaited_table
from acb.store.requests import request_table
from acb.store.tables import tables
from duis.model import ServiceRequest
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import UtcDateTime
from services.chassis.time.due_watch import DueWatch

waiting_table: Final = Table(
    "acb_waiting",
    tables,
    Column("sequence", Integer, ForeignKey(request_table.c.sequence), primary_key=True),
    Column("due_at", UtcDateTime, nullable=False, index=True),
)
"""Which requests wait here, and for when."""

_DUE: Final = Prepared(
    select(waiting_table.c.sequence)
    .where(waiting_table.c.due_at <= param("now"))
    .order_by(waiting_table.c.due_at, waiting_table.c.sequence)
)
_NEXT_DUE: Final = Prepared(
    select(waiting_table.c.due_at).order_by(waiting_table.c.due_at).limit(1)
)


class Waiting:
    """Keeps requests until their date, and lets them go."""

    def __init__(self, context: Context, outcomes: Outcomes) -> None:
        self._context = context
        self._outcomes = outcomes
        self.watch = DueWatch(context.base.clock, self.let_go, self._next_due)

    async def keep(self, conn: StoreConnection, tracked: Tracked, request: ServiceRequest) -> None:
        """Have a request just accepted wait for its date, or withdraw what waits, if it asks that.

        Nothing, if it is to be done at once.
        """
        asked = _appointment(tracked, request)
        if asked is None or asked.at <= self._context.base.clock.now():
            return
        replaced = await self._same_place(conn, tracked, asked)
        if asked.withdraws:
            await self._withdrawn(conn, tracked)
        else:
            await conn.execute(
                insert(waiting_table).values(sequence=tracked.sequence, due_at=asked.at)
            )
            await store.change(conn, tracked.sequence, state=State.SCHEDULED.value)
            summary = f"waits here until {asked.at.isoformat()}"
            await self._trace(conn, tracked, "scheduled", summary)
            self._context.base.database.on_commit(self.watch.wake)
        for earlier in replaced:  # last: whatever ends gives the next accepted request its turn
            await self._end(conn, earlier, tracked)

    async def let_go(self) -> None:
        """Let every request whose date has come take its turn."""
        now = self._context.base.clock.now()
        async with self._context.base.database.connect() as conn:  # a look before the write lock
            if not (await conn.execute(_DUE, {"now": now})).all():
                return
        async with self._context.base.database.begin() as conn:
            for sequence in (await conn.execute(_DUE, {"now": now})).scalars():
                await self._forget(conn, sequence)
                tracked = await store.change(conn, sequence, state=State.ACCEPTED.value)
                await self._trace(conn, tracked, "due", "its date has come")
                await self._outcomes.release_device(conn, tracked.target)

    async def _same_place(
        self, conn: StoreConnection, tracked: Tracked, asked: Appointment
    ) -> list[Tracked]:
        """What this user has waiting for this device, in the same place."""
        query = (
            select(request_table.c.sequence)
            .join(waiting_table, waiting_table.c.sequence == request_table.c.sequence)
            .where(
                request_table.c.originator == tracked.originator,
                request_table.c.target == tracked.target,
            )
        )
        found = []
        for sequence in (await conn.execute(query)).scalars().all():
            earlier = await store.get_request(conn, sequence)
            kept = _appointment(earlier, gather.accepted_request(earlier))
            if kept is not None and kept.place == asked.place:
                found.append(earlier)
        return found

    async def _end(self, conn: StoreConnection, earlier: Tracked, by: Tracked) -> None:
        await self._forget(conn, earlier.sequence)
        why = f"its place was taken by {by.request_id}"
        await self._trace(conn, earlier, "superseded", why)
        refusal = Refusal(PARTY, GONE, why, codes.EXECUTION_DATE)
        await self._outcomes.end_refused(conn, earlier, refusal, State.FAILED)

    async def _withdrawn(self, conn: StoreConnection, tracked: Tracked) -> None:
        """The answer to a cancellation: the broker's own word, as no device was asked."""
        now = self._context.base.clock.now()
        document = self._context.replies.answer(tracked, codes.SUCCESS, None, now)
        await self._outcomes.complete(conn, tracked, document)

    async def _forget(self, conn: StoreConnection, sequence: int) -> None:
        await conn.execute(delete(waiting_table).where(waiting_table.c.sequence == sequence))

    async def _trace(self, conn: StoreConnection, tracked: Tracked, kind: str, what: str) -> None:
        await self._context.trace(conn, tracked, kind, summary=what)
        self._context.notify(tracked.request_id)

    async def _next_due(self) -> datetime | None:
        async with self._context.base.database.connect() as conn:
            first: datetime | None = (await conn.execute(_NEXT_DUE)).scalar_one_or_none()
        return first


def _appointment(tracked: Tracked, request: ServiceRequest) -> Appointment | None:
    """The date in a request that the broker keeps, if its service has such dates."""
    read = service_of(tracked.service_reference_variant).appointment
    return None if read is None else read(request.body)


_HOLDING: Final = tuple(state.value for state in (State.ACCEPTED, *UNDER_WAY))
_other: Final = request_table.alias("other")
_held: Final = exists(
    select(_other.c.sequence).where(
        _other.c.target == request_table.c.target, _other.c.state.in_(_HOLDING)
    )
)
"""Another request holds the device, or takes its turn next."""


def _waiting(*columns: Any) -> Select[Any]:
    """What waits in devices, without what must first let another request of its device end."""
    return (
        select(*columns)
        .join(request_table, request_table.c.sequence == awaited_table.c.sequence)
        .where(
            request_table.c.state == State.SCHEDULED.value,
            or_(awaited_table.c.come.is_(False), ~_held),
        )
    )


_FIRST_OVERDUE: Final = Prepared(
    _waiting(awaited_table.c.sequence, awaited_table.c.come)
    .where(awaited_table.c.look_at <= param("now"))
    .order_by(awaited_table.c.look_at, awaited_table.c.sequence)
    .limit(1)
)
_NEXT_LOOK: Final = Prepared(
    _waiting(awaited_table.c.look_at)
    .where(awaited_table.c.look_at.is_not(None))
    .order_by(awaited_table.c.look_at)
    .limit(1)
)


class Overdue:
    """Watches for dates that have come and alerts that have not."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._grace = timedelta(seconds=context.settings.alert_grace_seconds)
        self.watch = DueWatch(context.base.clock, self.look, self._next)

    async def start(self) -> None:
        """Begin to watch, what a store from before this module holds included."""
        known = select(awaited_table.c.sequence)
        query = select(request_table.c.sequence).where(
            request_table.c.state == State.SCHEDULED.value,
            request_table.c.command.is_not(None),
            request_table.c.sequence.not_in(known),
        )
        async with self._context.base.database.begin() as conn:
            for sequence in (await conn.execute(query)).scalars().all():
                await awaited.expect(conn, await store.get_request(conn, sequence))
        await self.watch.start()

    async def look(self) -> None:
        """Note which dates have come; have devices asked whose alerts are overdue."""
        now = self._context.base.clock.now()
        async with self._context.base.database.connect() as conn:  # a look before the write lock
            if (await conn.execute(_FIRST_OVERDUE, {"now": now})).first() is None:
                return
        async with self._context.base.database.begin() as conn:
            while (row := (await conn.execute(_FIRST_OVERDUE, {"now": now})).first()) is not None:
                if row.come:
                    await self._ask(conn, row.sequence)
                else:
                    await self._note(conn, row.sequence, now + self._grace)

    async def _note(self, conn: StoreConnection, sequence: int, until: datetime) -> None:
        await awaited.look_again(conn, sequence, until)
        tracked = await store.get_request(conn, sequence)
        summary = f"its date has come; the device's alert is awaited until {until.isoformat()}"
        await self._context.trace(conn, tracked, "due", summary=summary)
        self._context.notify(tracked.request_id)

    async def _ask(self, conn: StoreConnection, sequence: int) -> None:
        await awaited.look_again(conn, sequence, None)
        tracked = await store.change(conn, sequence, state=State.SENT_TO_DEVICE.value)
        summary = "the device's alert did not come; it is asked what its cells hold"
        await self._context.trace(conn, tracked, "unanswered", summary=summary)
        await self._context.enqueue(conn, lanes.READ_BACK, tracked, lanes.for_device(tracked))
        self._context.notify(tracked.request_id)

    async def _next(self) -> datetime | None:
        async with self._context.base.database.connect() as conn:
            first: datetime | None = (await conn.execute(_NEXT_LOOK)).scalar_one_or_none()
        return first
