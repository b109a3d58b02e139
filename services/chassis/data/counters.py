"""Counters that only ever go up and are never given out twice."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text, select, update
from sqlalchemy.dialects.sqlite import insert

from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import metadata

LARGEST: Final = 2**63 - 1  # what the store's integers hold; GBCS counters are 8 octets

counter_table: Final = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),  # the last one given out
)

_EXIST: Final = Prepared(insert(counter_table).on_conflict_do_nothing(), "name", "value")
_NEXT: Final = Prepared(
    update(counter_table)
    .where(counter_table.c.name == param("which"), counter_table.c.value < LARGEST)
    .values(value=counter_table.c.value + 1)
    .returning(counter_table.c.value)
)
_LAST: Final = Prepared(select(counter_table.c.value).where(counter_table.c.name == param("which")))


class CounterExhaustedError(Exception):
    """The counter cannot go higher."""


class OriginatorCounter:
    """A persistent counter. GBCS 0.8.1 wants one per originator, strictly increasing.

    `next` belongs to the caller's transaction: if that is rolled back, the number goes back with
    everything that mentions it, so nothing bearing it may have left before the commit.
    """

    def __init__(self, name: str = "originator", *, first: int = 1) -> None:
        if not 0 <= first <= LARGEST:
            raise CounterExhaustedError(f"a counter cannot begin at {first}")
        self._name = name
        self._first = first

    async def next(self, conn: StoreConnection) -> int:
        """The next number, in the caller's write transaction.

        Raises:
            CounterExhaustedError: There is none left.
        """
        value = await self._next(conn)
        if value is None:  # it does not exist yet, or is at its end
            await conn.execute(_EXIST, {"name": self._name, "value": self._first - 1})
            value = await self._next(conn)
        if value is None:
            raise CounterExhaustedError(f"counter {self._name} is at its end")
        return value

    async def last(self, conn: StoreConnection) -> int:
        """The last number given out (one less than the first, when none was)."""
        value = (await conn.execute(_LAST, {"which": self._name})).scalar_one_or_none()
        return self._first - 1 if value is None else int(value)

    async def _next(self, conn: StoreConnection) -> int | None:
        value = (await conn.execute(_NEXT, {"which": self._name})).scalar_one_or_none()
        return None if value is None else int(value)
