"""How many happened within a rolling window, at the same cost whatever the past.

Each happening adds one to the count of its minute, in its own transaction. A window is the sum of
the minutes that lie in it as a whole, and what the caller counts in the minute at its edge.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Column, Integer, Table, Text, func, select
from sqlalchemy.dialects.sqlite import insert

from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import UtcDateTime, metadata

MINUTE: Final = timedelta(minutes=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

minute_table: Final = Table(
    "happened",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("minute", Integer, primary_key=True),
    Column("times", Integer, nullable=False),
)
"""`minute`: whole minutes since 1970-01-01 UTC."""

last_table: Final = Table(
    "last_happened",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
)

_LAST: Final = Prepared(
    insert(last_table).on_conflict_do_update(
        index_elements=["scope"],
        set_={"at": func.max(last_table.c.at, insert(last_table).excluded.at)},
    ),
    *("scope", "at"),
)
_OTHERS: Final = Prepared(
    select(func.count()).where(
        last_table.c.at > param("after"),
        last_table.c.scope != param("one"),
        last_table.c.scope != param("two"),
    )
)
_ADD: Final = Prepared(
    insert(minute_table)
    .values(times=1)
    .on_conflict_do_update(
        index_elements=["scope", "minute"], set_={"times": minute_table.c.times + 1}
    ),
    *("scope", "minute"),
)
_SUM: Final = Prepared(
    select(func.coalesce(func.sum(minute_table.c.times), 0)).where(
        minute_table.c.scope == param("of"), minute_table.c.minute >= param("first")
    )
)

InBetween = Callable[[datetime, datetime], Awaitable[int]]
"""How many happened after the first moment and before the second, counted one by one."""


async def happened(conn: StoreConnection, at: datetime, *scopes: str) -> None:
    """Count one that happened at this time, for each of these scopes."""
    for scope in scopes:
        await conn.execute(_ADD, {"scope": scope, "minute": (at - _EPOCH) // MINUTE})
        await conn.execute(_LAST, {"scope": scope, "at": at})


async def others_since(conn: StoreConnection, after: datetime, one: str, two: str) -> int:
    """Of how many scopes but these two something happened after that moment."""
    among = {"after": after, "one": one, "two": two}
    return int((await conn.execute(_OTHERS, among)).scalar_one())


async def since(conn: StoreConnection, scope: str, after: datetime, edge: InBetween) -> int:
    """How many happened after that moment.

    Args:
        conn: An open connection.
        scope: Of what.
        after: Where the window begins.
        edge: Counts those between there and the next full minute.
    """
    first = (after - _EPOCH) // MINUTE + 1
    whole = int((await conn.execute(_SUM, {"of": scope, "first": first})).scalar_one())
    return whole + await edge(after, _EPOCH + first * MINUTE)
