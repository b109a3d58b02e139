"""What every table of the broker's store has in common."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, MetaData, Row, Select, Table, select
from sqlalchemy.dialects.sqlite import insert

from services.chassis.data.connection import StoreConnection

tables: Final = MetaData()
"""Every table of the broker."""


def digits(counter: int) -> str:
    """A counter as the store keeps it: 20 decimal digits, so that text order is number order.

    Counters travel in 64 unsigned bits, which no database integer holds.
    """
    return f"{counter:020d}"


def number(text: str | None) -> int | None:
    """The counter that `digits` wrote; None if there is none."""
    return None if text is None else int(text)


async def put(conn: StoreConnection, table: Table, key: dict[str, Any], **values: Any) -> None:
    """Add the row with this primary key, or change these columns of the one there is."""
    await conn.execute(
        insert(table)
        .values(**key, **values)
        .on_conflict_do_update(index_elements=list(key), set_=values)
    )


async def find(conn: StoreConnection, table: Table, *where: ColumnElement[bool]) -> Row[Any] | None:
    """The one row of a table for which this holds; None if there is none."""
    return (await conn.execute(select(table).where(*where))).one_or_none()


async def scalar(conn: StoreConnection, query: Select[Any]) -> Any:
    """The one value that a query gives; None if it gives no row."""
    return (await conn.execute(query)).scalar_one_or_none()
