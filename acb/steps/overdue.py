"""Alerts that do not come: the device is asked what its cells hold.

A request whose command waits in its device is ended by the device's alert (8F66, 8F67). If none
comes, it would wait for ever. So, by the domain clock and from the store alone:

1. when its date has come, the broker notes that;
2. a period of grace after that (`alert_grace_seconds`), if there is still no alert, the request
   goes back to `sent_to_device` and its device is asked (`Delivery.read_back`): one transaction,
   with the intent to ask in the outbox. What the answer comes to is in `acb.steps.read_back`.

reconstruction: that a broker does this, and the length of the period, are ours. The period
runs from the moment at which the broker sees that the date has come, not from the date: a broker
that was away for days must let the devices speak first, whose alerts could not arrive meanwhile.

Asking holds the device like a command does, so that nothing changes its cells between its answer
and the record: a device to which something is on its way is asked after that.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from acb.model import UNDER_WAY, State
from acb.rules.read_back import READ_BACK
from acb.steps import lanes
from acb.steps.context import Parts
from acb.store import awaited
from acb.store import requests as store
from acb.store.awaited import awaited_table
from acb.store.requests import request_table
from services.chassis.time.due_watch import DueWatch

_HOLDING: Final = tuple(state.value for state in (State.ACCEPTED, *UNDER_WAY))
_other: Final = request_table.alias("other")
_held: Final = exists(
    select(_other.c.sequence).where(
        _other.c.target == request_table.c.target, _other.c.state.in_(_HOLDING)
    )
)
"""Another request holds the device, or takes its turn next."""


class Overdue:
    """Watches for dates that have come and alerts that have not."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._grace = timedelta(seconds=parts.settings.alert_grace_seconds)
        self.watch = DueWatch(parts.base.clock, self.look, self._next)

    async def start(self) -> None:
        """Begin to watch, what a store from before this module holds included."""
        known = select(awaited_table.c.sequence)
        query = select(request_table.c.sequence).where(
            request_table.c.state == State.SCHEDULED.value,
            request_table.c.command.is_not(None),
            request_table.c.sequence.not_in(known),
        )
        async with self._parts.base.database.begin() as conn:
            for sequence in (await conn.execute(query)).scalars().all():
                await awaited.expect(conn, await store.get_request(conn, sequence))
        await self.watch.start()

    async def look(self) -> None:
        """Note which dates have come; have devices asked whose alerts are overdue."""
        now = self._parts.base.clock.now()
        due = _waiting(awaited_table.c.sequence, awaited_table.c.come).where(
            awaited_table.c.look_at <= now
        )
        first = due.order_by(awaited_table.c.look_at, awaited_table.c.sequence).limit(1)
        async with self._parts.base.database.connect() as conn:  # a look before the write lock
            if (await conn.execute(first)).first() is None:
                return
        async with self._parts.base.database.begin() as conn:
            while (row := (await conn.execute(first)).first()) is not None:
                if row.come:
                    await self._ask(conn, row.sequence)
                else:
                    await self._note(conn, row.sequence, now + self._grace)

    async def _note(self, conn: AsyncConnection, sequence: int, until: datetime) -> None:
        await awaited.look_again(conn, sequence, until)
        tracked = await store.get_request(conn, sequence)
        summary = f"its date has come; the device's alert is awaited until {until.isoformat()}"
        base = self._parts.base
        await base.traces.record(tracked.request_id, "due", summary=summary, conn=conn)
        base.database.on_commit(lambda: base.changes.notify(tracked.request_id))

    async def _ask(self, conn: AsyncConnection, sequence: int) -> None:
        base = self._parts.base
        await awaited.look_again(conn, sequence, None)
        tracked = await store.change(conn, sequence, state=State.SENT_TO_DEVICE.value)
        await base.traces.record(
            tracked.request_id,
            "unanswered",
            summary="the device's alert did not come; it is asked what its cells hold",
            conn=conn,
        )
        await base.outbox.put(
            conn,
            READ_BACK,
            str(sequence),
            {"sequence": sequence},
            lane=lanes.for_device(tracked),
        )
        base.database.on_commit(lambda: base.changes.notify(tracked.request_id))

    async def _next(self) -> datetime | None:
        query = _waiting(awaited_table.c.look_at).where(awaited_table.c.look_at.is_not(None))
        async with self._parts.base.database.connect() as conn:
            found = await conn.execute(query.order_by(awaited_table.c.look_at).limit(1))
            first: datetime | None = found.scalar_one_or_none()
        return first


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
