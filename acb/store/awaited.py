"""Which alerts are awaited: of commands that devices keep for their date (6.15.1, 6.23).

A row is written in the transaction in which a device's acceptance is settled, and goes when the
alert is heard or the command is gone from the device. What is done about alerts that do not come
is in `acb.steps.dates`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Integer, Table

from acb.model import Tracked
from acb.store.requests import request_table
from acb.store.tables import tables
from gbcs.date_time import from_generalized_time
from gbcs.errors import GbcsError
from gbcs.message import decode
from gbcs.payloads.credentials import CANCEL_EXECUTION, decode_update
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import UtcDateTime

awaited_table: Final = Table(
    "acb_awaited_alert",
    tables,
    Column("sequence", Integer, ForeignKey(request_table.c.sequence), primary_key=True),
    Column("look_at", UtcDateTime, index=True),
    Column("come", Boolean, nullable=False),
)
"""`look_at`: when the broker next looks, by the domain clock; null once it has asked the device.
`come`: whether the date had come when it last looked."""


def date_of(command: bytes | None) -> datetime | None:
    """When a command is to be executed; None if it is not dated (or says something else)."""
    try:
        at = decode_update(decode(command or b"").payload).execution_date_time
        return None if at is None or at == CANCEL_EXECUTION else from_generalized_time(at)
    except GbcsError:  # only with checks switched off
        return None


async def expect(conn: StoreConnection, tracked: Tracked) -> None:
    """Await the alert about a dated command that its device accepted."""
    at = date_of(tracked.command)
    if at is not None:
        await rows.add_new(conn, awaited_table, sequence=tracked.sequence, look_at=at, come=False)


async def look_again(conn: StoreConnection, sequence: int, at: datetime | None) -> None:
    """The date has come: look again then, or not any more."""
    await rows.change(conn, awaited_table, {"sequence": sequence}, look_at=at, come=True)


async def is_awaited(conn: StoreConnection, sequence: int) -> bool:
    """Whether the alert about this request's command has not been heard yet."""
    return await rows.find(conn, awaited_table, sequence=sequence) is not None


async def forget(conn: StoreConnection, sequence: int) -> None:
    """The alert was heard, or cannot come any more."""
    await rows.remove(conn, awaited_table, sequence=sequence)
