"""How many security alerts of each device were passed on within the hour, and how many dropped.

An hour begins with the first alert after the last one ended, by the domain clock: one row a device,
however much it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, Integer, Table, Text, delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from acb.store.requests import tables
from services.chassis.data.store import UtcDateTime

HOUR: Final = timedelta(hours=1)

tally_table: Final = Table(
    "acb_device_alert_tally",
    tables,
    Column("device", Text, primary_key=True),
    Column("since", UtcDateTime, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("dropped", Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class AlertTally:
    """The alerts of one device that were passed on, and dropped, since the hour began."""

    since: datetime
    passed: int = 0
    dropped: int = 0


async def read(conn: AsyncConnection, device: str, now: datetime) -> AlertTally:
    """The tally of the hour that runs; a new one, if none does (or the clock was turned back)."""
    query = select(tally_table).where(tally_table.c.device == device)
    row = (await conn.execute(query)).one_or_none()
    if row is None or not timedelta() <= now - row.since < HOUR:
        return AlertTally(now)
    return AlertTally(row.since, row.passed, row.dropped)


async def write(conn: AsyncConnection, device: str, tally: AlertTally) -> None:
    """Keep the tally of a device."""
    values = {"since": tally.since, "passed": tally.passed, "dropped": tally.dropped}
    await conn.execute(
        insert(tally_table)
        .values(device=device, **values)
        .on_conflict_do_update(index_elements=["device"], set_=values)
    )


async def forget(conn: AsyncConnection) -> None:
    """Begin anew with every device (a reset of the lab)."""
    await conn.execute(delete(tally_table))
