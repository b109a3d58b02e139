"""A unit of work that leaves nothing: for properties, which try many on one store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database


class _UndoneError(Exception):
    pass


@asynccontextmanager
async def undone(database: Database) -> AsyncIterator[StoreConnection]:
    """Write, read, and have it all undone at the end."""
    with suppress(_UndoneError):
        async with database.begin() as conn:
            yield conn
            raise _UndoneError
