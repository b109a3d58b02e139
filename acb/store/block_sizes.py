"""Which devices are sent commands in blocks, and how long a block is: part of a device's record.

Nothing on record: the setting `block_size` counts. 0: whole messages, whatever the setting says.
Provisioning a device anew forgets it, as all else of its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from sqlalchemy import Column, ForeignKey, Integer, Table, Text, delete

from acb.store.records import device_table
from acb.store.tables import tables
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection

SMALLEST: Final = 64
"""Octets of message to a block, at least: a device takes only so many blocks."""


def _not_tiny(octets: int) -> int:
    if 0 < octets < SMALLEST:
        raise ValueError(f"0, or at least {SMALLEST} octets")
    return octets


BlockSize = Annotated[int, Field(ge=0, le=65_535), AfterValidator(_not_tiny)]
"""Octets of message to a block, as the lab takes it: 0, or 64 and more."""

block_size_table: Final = Table(
    "acb_block_size",
    tables,
    Column("device", Text, ForeignKey(device_table.c.eui, ondelete="CASCADE"), primary_key=True),
    Column("octets", Integer, nullable=False),
)


async def put_block_size(conn: StoreConnection, device: str, octets: int | None) -> None:
    """Set a device's block size (0: whole messages), or with None have the setting count."""
    await rows.remove(conn, block_size_table, device=device)
    if octets is not None:
        await rows.put(conn, block_size_table, {"device": device}, octets=octets)


async def forget_block_sizes(conn: StoreConnection, devices: Sequence[str]) -> None:
    """Have the setting count for these devices."""
    await conn.execute(delete(block_size_table).where(block_size_table.c.device.in_(devices)))


async def find_block_size(conn: StoreConnection, device: str) -> int | None:
    """A device's block size on record; None if there is none."""
    row = await rows.find(conn, block_size_table, device=device)
    return None if row is None else int(row.octets)
