"""What a unit of work reads and writes through, and statements that are compiled once.

The driver is called where the caller stands, without a thread between: a statement takes a few
microseconds, a hop to another thread fifty. `execute` is awaited all the same, so that a store
behind a network fits the same calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from sqlalchemy import Connection, CursorResult, Executable, Row

from services.chassis.data import sqlite
from services.chassis.data.prepared import Prepared, Result, Values

Returned = TypeVar("Returned")

ROWS_AT_ONCE: Final = 256
"""Rows of a long answer that are read before others have a turn."""


@dataclass(slots=True)
class Counts:
    """What was done since the process began.

    Attributes:
        units: Units of work that wrote.
        commits: Transactions that were made durable; one may hold many units.
        statements: Statements, reads included.
        reads: Units of work that only read.
    """

    units: int = 0
    commits: int = 0
    statements: int = 0
    reads: int = 0


class StoreConnection:
    """One connection of a store, in the hands of one unit of work at a time."""

    __slots__ = ("_counts", "_sync", "driver")

    def __init__(self, plain: Connection, counts: Counts) -> None:
        # Rows are read at once: a statement that still has some holds its connection's locks.
        self._sync = plain.execution_options(prebuffer_rows=True)
        self._counts = counts
        self.driver = sqlite.driver_of(plain)

    @property
    def dialect(self) -> str:
        """Name of the database engine, for example ``sqlite``."""
        return self._sync.dialect.name

    @overload
    async def execute(self, statement: Prepared, values: Values | list[Values] = ...) -> Result: ...

    @overload
    async def execute(
        self, statement: Executable, values: Any = None
    ) -> CursorResult[*tuple[Any, ...]]: ...

    async def execute(
        self, statement: Prepared | Executable, values: Any = None
    ) -> Result | CursorResult[*tuple[Any, ...]]:
        """Execute one statement; its rows are all there.

        Args:
            statement: `Prepared` where every request comes by, any other where it is rare.
            values: Of its parameters; a list executes it once for each.
        """
        self._counts.statements += 1
        if isinstance(statement, Prepared):
            return statement.run(self.driver, values or {})
        return self._sync.execute(statement, values)

    async def scalar(self, statement: Executable) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement)).scalar()

    async def stream(self, statement: Executable) -> AsyncIterator[Row[Any]]:
        """The rows of a long answer, a few at a time."""
        self._counts.statements += 1
        with self._sync.execute(statement, execution_options={"prebuffer_rows": False}) as found:
            for some in found.partitions(ROWS_AT_ONCE):
                for row in some:
                    yield row
                await asyncio.sleep(0)

    async def run_sync(self, act: Callable[..., Returned], *args: Any) -> Returned:
        """Let SQLAlchemy's own tools (creating, inspecting tables) work on this connection."""
        return act(self._sync, *args)

    def close(self) -> None:
        """Close it; a transaction that is open is undone."""
        self._sync.close()
