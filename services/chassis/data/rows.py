"""Rows by their keys: added, changed and found by statements that are compiled once for each shape.

A shape is a table and the names of the columns that are asked for or given.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Table, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, Values, param

SHAPES: Final = 512
"""More than the parties have; a bound all the same."""

_KEY: Final = "key_{}"


async def put(conn: StoreConnection, table: Table, key: dict[str, Any], **values: Any) -> None:
    """Add the row with this primary key, or change these columns of the one there is."""
    await conn.execute(_upsert(table, tuple(key), tuple(values)), {**key, **values})


async def put_all(
    conn: StoreConnection, table: Table, key: tuple[str, ...], many: Sequence[Values]
) -> None:
    """As `put`, for many rows of one shape: each gives its primary key and the same columns."""
    if many:
        names = tuple(name for name in many[0] if name not in key)
        await conn.execute(_upsert(table, key, names), list(many))


async def add(conn: StoreConnection, table: Table, **values: Any) -> Any:
    """Add a row; gives it as it is then, with what the store filled in."""
    return (await conn.execute(_insert(table, tuple(values)), values)).one()


async def add_new(conn: StoreConnection, table: Table, **values: Any) -> bool:
    """Add a row unless there is one with its key; whether it was added."""
    return (await conn.execute(_insert_new(table, tuple(values)), values)).rowcount == 1


async def change(conn: StoreConnection, table: Table, key: dict[str, Any], **values: Any) -> Any:
    """Change these columns of the rows with this key; gives the row as it is then, or None."""
    given = {_KEY.format(name): value for name, value in key.items()} | values
    return (await conn.execute(_update(table, tuple(key), tuple(values)), given)).first()


async def remove(conn: StoreConnection, table: Table, **key: Any) -> int:
    """Remove the rows with this key; how many there were."""
    return (await conn.execute(_delete(table, tuple(key)), _named(key))).rowcount


async def find(conn: StoreConnection, table: Table, **key: Any) -> Any | None:
    """The one row with this key; None if there is none."""
    return (await conn.execute(_select(table, tuple(key)), _named(key))).one_or_none()


async def find_all(conn: StoreConnection, table: Table, **key: Any) -> list[Any]:
    """The rows with this key, in the order of their primary keys."""
    return (await conn.execute(_select(table, tuple(key)), _named(key))).all()


def _named(key: dict[str, Any]) -> dict[str, Any]:
    return {_KEY.format(name): value for name, value in key.items()}


def _where(table: Table, names: tuple[str, ...]) -> list[Any]:
    return [table.c[name] == param(_KEY.format(name)) for name in names]


@lru_cache(SHAPES)
def _upsert(table: Table, key: tuple[str, ...], names: tuple[str, ...]) -> Prepared:
    adding = insert(table)
    if not names:
        return Prepared(adding.on_conflict_do_nothing(), *key)
    changed = {name: adding.excluded[name] for name in names}
    known = adding.on_conflict_do_update(index_elements=list(key), set_=changed)
    return Prepared(known, *key, *names)


@lru_cache(SHAPES)
def _insert(table: Table, names: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table).returning(*table.c), *names)


@lru_cache(SHAPES)
def _insert_new(table: Table, names: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table).on_conflict_do_nothing(), *names)


@lru_cache(SHAPES)
def _update(table: Table, key: tuple[str, ...], names: tuple[str, ...]) -> Prepared:
    return Prepared(update(table).where(*_where(table, key)).returning(*table.c), *names)


@lru_cache(SHAPES)
def _delete(table: Table, key: tuple[str, ...]) -> Prepared:
    return Prepared(delete(table).where(*_where(table, key)))


@lru_cache(SHAPES)
def _select(table: Table, key: tuple[str, ...]) -> Prepared:
    query = select(table).where(*_where(table, key))
    return Prepared(query.order_by(*table.primary_key.columns))
