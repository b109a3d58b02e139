"""How many security alerts of each device were passed on within the hour, and how many dropped.

An hour begins with the first alert after the last one ended, by the domain clock: one row a device,
however much it says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Column, Integer, Table, Text, delete

from acb.store.tables import tables
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
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


async def read(conn: StoreConnection, device: str, now: datetime) -> AlertTally:
    """The tally of the hour that runs; a new one, if none does (or the clock was turned back)."""
    row = await rows.find(conn, tally_table, device=device)
    if row is None or not timedelta() <= now - row.since < HOUR:
        return AlertTally(now)
    return AlertTally(row.since, row.passed, row.dropped)


async def write(conn: StoreConnection, device: str, tally: AlertTally) -> None:
    """Keep the tally of a device."""
    await rows.put(conn, tally_table, {"device": device}, **asdict(tally))


async def forget(conn: StoreConnection) -> None:
    """Begin anew with every device (a reset of the lab)."""
    await conn.execute(delete(tally_table))
