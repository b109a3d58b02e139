"""What waits here for its date: requests that the broker itself keeps until then (6.21).

Future dating pattern "DSP" (docs/sources.md#services): the device knows nothing until the day. Then
the request takes its turn like any other, and every check of its service is made again.

Kept in the transaction that accepts the request; let go in one transaction with the intent to do it
(outbox), so that a crash neither loses nor repeats it. Days are counted by the domain clock.

One request of a user for a device and role waits at a time, the newest takes the place of an older
one, and a request for 3000-12-31 withdraws it, whether or not there is one (reconstruction): as a
device does it with what waits there (docs/sources.md#future-dating). Whose place was taken is told
so, by `acb.schedule`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Column, ForeignKey, Integer, Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import Refusal, State, Tracked
from acb.rules import codes
from acb.steps.context import Parts
from acb.steps.outcome import Outcomes
from acb.steps.pending import GONE
from acb.store import requests as store
from acb.store.requests import request_table
from acb.store.tables import tables
from duis.gate import parse
from duis.model import CANCEL_DATE, RequestHandoverOfDCCControlledDevice, ServiceRequest
from duis.xml import request_from_xml
from services.chassis.data.store import UtcDateTime
from services.chassis.time.due_watch import DueWatch

waiting_table: Final = Table(
    "acb_waiting",
    tables,
    Column("sequence", Integer, ForeignKey(request_table.c.sequence), primary_key=True),
    Column("due_at", UtcDateTime, nullable=False, index=True),
)
"""Which requests wait here, and for when."""


class Waiting:
    """Keeps requests until their date, and lets them go."""

    def __init__(self, parts: Parts, outcomes: Outcomes) -> None:
        self._parts = parts
        self._outcomes = outcomes
        self.watch = DueWatch(parts.base.clock, self.let_go, self._next_due)

    async def keep(self, conn: AsyncConnection, tracked: Tracked, request: ServiceRequest) -> None:
        """Have a request just accepted wait for its date, or withdraw what waits, if it asks that.

        Nothing, if it is to be done at once.
        """
        body = request.body
        if not isinstance(body, RequestHandoverOfDCCControlledDevice):
            return
        at = body.execution_date_time
        if at is None or at <= self._parts.base.clock.now():
            return
        replaced = await self._same(conn, tracked, body)
        if at == CANCEL_DATE:
            await self._withdrawn(conn, tracked)
        else:
            await conn.execute(insert(waiting_table).values(sequence=tracked.sequence, due_at=at))
            await store.change(conn, tracked.sequence, state=State.SCHEDULED.value)
            await self._trace(conn, tracked, "scheduled", f"waits here until {at.isoformat()}")
            self._parts.base.database.on_commit(self.watch.wake)
        for earlier in replaced:  # last: whatever ends gives the next accepted request its turn
            await self._end(conn, earlier, tracked)

    async def let_go(self) -> None:
        """Let every request whose date has come take its turn."""
        now = self._parts.base.clock.now()
        due = select(waiting_table.c.sequence).where(waiting_table.c.due_at <= now)
        async with self._parts.base.database.connect() as conn:  # a look before the write lock
            if (await conn.execute(due.limit(1))).first() is None:
                return
        async with self._parts.base.database.begin() as conn:
            rows = await conn.execute(due.order_by(waiting_table.c.due_at, "sequence"))
            for sequence in rows.scalars().all():
                await self._forget(conn, sequence)
                tracked = await store.change(conn, sequence, state=State.ACCEPTED.value)
                await self._trace(conn, tracked, "due", "its date has come")
                await self._outcomes.release_device(conn, tracked.target)

    async def _same(
        self, conn: AsyncConnection, tracked: Tracked, body: RequestHandoverOfDCCControlledDevice
    ) -> list[Tracked]:
        """What this user has waiting for this device, for the same role."""
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
            asked = request_from_xml(parse(earlier.body)).body
            if getattr(asked, "remote_party_role", None) == body.remote_party_role:
                found.append(earlier)
        return found

    async def _end(self, conn: AsyncConnection, earlier: Tracked, by: Tracked) -> None:
        await self._forget(conn, earlier.sequence)
        why = f"its place was taken by {by.request_id}"
        await self._trace(conn, earlier, "superseded", why)
        refusal = Refusal(PARTY, GONE, why, codes.EXECUTION_DATE)
        await self._outcomes.end_refused(conn, earlier, refusal, State.FAILED)

    async def _withdrawn(self, conn: AsyncConnection, tracked: Tracked) -> None:
        """The answer to a cancellation: the broker's own word, as no device was asked."""
        now = self._parts.base.clock.now()
        document = self._parts.replies.answer(tracked, codes.SUCCESS, None, now)
        await self._outcomes.complete(conn, tracked, document)

    async def _forget(self, conn: AsyncConnection, sequence: int) -> None:
        await conn.execute(delete(waiting_table).where(waiting_table.c.sequence == sequence))

    async def _trace(self, conn: AsyncConnection, tracked: Tracked, kind: str, what: str) -> None:
        await self._parts.base.traces.record(tracked.request_id, kind, summary=what, conn=conn)
        self._outcomes.tell(tracked.request_id)

    async def _next_due(self) -> datetime | None:
        first = select(waiting_table.c.due_at).order_by(waiting_table.c.due_at).limit(1)
        async with self._parts.base.database.connect() as conn:
            return (await conn.execute(first)).scalar_one_or_none()
