"""The durable store of one service: SQLAlchemy 2 Core, SQLite by default.

What it guarantees: writes of one process are serialised, a committed write is on the disk, many
share one commit (`services.chassis.data.group_commit`), and what waits for a commit is told after
it (`on_commit`), never before. `close` waits for those at work, and nothing is lent later.

What it leaves to others: tables (each room declares its own in its own MetaData), meaning, and
what is particular to the engine (`services.chassis.data.sqlite`).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Dialect,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    delete,
    insert,
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from services.chassis.data import sqlite
from services.chassis.data.connection import Counts, StoreConnection
from services.chassis.data.group_commit import GroupCommit

LEAST_FREE: Final = 4 * 1024 * 1024
"""Octets that are free on the store's disk while a party calls itself ready."""
TRIAL: Final = 256 * 1024
"""Octets of the write that tries whether there is space again: a longest request."""
metadata: Final = MetaData()
"""The chassis' own tables (audit, trace, outbox, inbox, counters)."""

_trial_table: Final = Table("store_trial", metadata, Column("octets", LargeBinary))


class StoreError(Exception):
    """The store cannot be opened, or was used in a way it does not allow."""


class StoreUnwritableError(StoreError, SQLAlchemyError):
    """Nothing can be written now: no space is left, or the disk fails. It may pass.

    Whoever goes on after an error of the engine (the outbox) goes on after this one.
    """


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as sortable ISO 8601 text with microseconds."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Write an aware time as text."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise StoreError("a time without a zone cannot be stored")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Read it back."""
        del dialect
        return None if value is None else datetime.fromisoformat(value)


class Database:
    """One service's store. Made by `Database.open`.

    Attributes:
        counts: What was done since it was opened.
    """

    def __init__(self, engine: Engine) -> None:
        self.counts = Counts()
        self._engine = engine
        self._writer: GroupCommit | None = None
        self._owner: asyncio.Task[Any] | None = None
        self._after_commit: list[Callable[[], None]] = []
        self._readers: list[StoreConnection] = []
        self._closed = False
        self._lent = 0
        self._all_back = asyncio.Event()
        self._all_back.set()
        self._unwritable = False

    @classmethod
    async def open(cls, where: str | Path) -> Database:
        """Open a store and create the chassis' tables in it.

        Args:
            where: A file (SQLite) or a SQLAlchemy URL.

        Raises:
            StoreError: It cannot be opened, or is of a kind this chassis does not know.
        """
        file = _file(where)
        try:
            sqlite.private_file(file)
        except OSError as error:
            raise StoreError(f"the store {file} cannot be opened ({error.strerror})") from None
        database = cls(sqlite.engine_for(file))
        try:
            writing = database._open_connection()
            sqlite.does_not_block(writing.driver)
            database._writer = GroupCommit(writing, database.counts)
            await database.create_all(metadata)
        except BaseException as error:
            await database.close()
            if isinstance(error, (SQLAlchemyError, sqlite3.Error, OSError)):
                raise StoreError(f"the store cannot be opened ({type(error).__name__})") from error
            raise
        return database

    @property
    def dialect(self) -> str:
        """Name of the database engine, for example ``sqlite``."""
        return self._engine.dialect.name

    @property
    def closed(self) -> bool:
        """Whether nothing is lent any more."""
        return self._closed

    async def create_all(self, tables: MetaData) -> None:
        """Create the tables that do not exist yet.

        Raises:
            StoreError: One that exists is not as it must be: another version made the store.
        """
        async with self.begin() as conn:
            await conn.run_sync(tables.create_all)
            await conn.run_sync(_must_fit, tables)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[StoreConnection]:
        """A unit of work that writes: durable at the end of the block, undone on any exception.

        Raises:
            StoreError: This task is already inside one (it would wait for itself for ever).
            StoreUnwritableError: Nothing can be written now; nothing was.
        """
        task = asyncio.current_task()
        if task is not None and self._owner is task:
            raise StoreError("already writing in this task: pass the open connection on")
        with self._at_work():
            assert self._writer is not None
            try:
                async with self._writer.unit() as (conn, after_commit):
                    self._owner, self._after_commit = task, after_commit
                    try:
                        yield conn
                    finally:
                        self._owner = None
                self._unwritable = False
            except (DBAPIError, sqlite3.Error) as error:
                if not sqlite.out_of_space(error):
                    raise
                self._unwritable = True
                raise StoreUnwritableError("the store cannot be written") from error

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[StoreConnection]:
        """A unit of work that reads: one snapshot of what is committed. Nothing is written."""
        with self._at_work():
            conn = self._readers.pop() if self._readers else self._open_reader()
            self.counts.reads += 1
            try:
                conn.driver.execute("BEGIN").close()
                yield conn
            finally:
                conn.driver.rollback()
                self._readers.append(conn)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Counted until it is over."""
        if self._closed:
            raise StoreError("the store is closed")
        self._lent += 1
        self._all_back.clear()
        try:
            yield
        finally:
            self._lent -= 1
            if not self._lent:
                self._all_back.set()

    def _open_connection(self) -> StoreConnection:
        return StoreConnection(self._engine.connect(), self.counts)

    def _open_reader(self) -> StoreConnection:
        conn = self._open_connection()
        sqlite.only_reads(conn.driver)
        return conn

    async def not_writable(self) -> str | None:
        """Why nothing can be written; None if it can, as far as is known.

        After a write has failed this tries one of its own, and so notices that there is space
        again. Before, it costs a look at the free space.
        """
        if self._unwritable:
            try:
                async with self.begin() as conn:
                    await conn.execute(insert(_trial_table).values(octets=bytes(TRIAL)))
                    await conn.execute(delete(_trial_table))
            except StoreUnwritableError:
                return "the store cannot be written"
        if sqlite.free_octets(str(self._engine.url.database)) < LEAST_FREE:
            return f"less than {LEAST_FREE // 1024} KiB are free for the store"
        return None

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the present unit of work is durable.

        Raises:
            StoreError: This task is not inside one.
        """
        if self._owner is None or self._owner is not asyncio.current_task():
            raise StoreError("nothing is being written by this task")
        self._after_commit.append(callback)

    async def close(self) -> None:
        """Close every connection, once those at work have ended; lend no more.

        Raises:
            StoreError: This task is writing (it would wait for itself for ever).
        """
        if self._owner is not None and self._owner is asyncio.current_task():
            raise StoreError("still writing in this task: end the transaction first")
        self._closed = True
        await self._all_back.wait()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        while self._readers:
            self._readers.pop().close()
        self._engine.dispose()


def _file(where: str | Path) -> str:
    """The file that a path or an URL names."""
    if isinstance(where, Path) or "://" not in where:
        return str(where)
    try:
        url = make_url(where)
    except ArgumentError:
        raise StoreError("the store's URL cannot be read") from None
    if url.get_backend_name() != "sqlite":
        raise StoreError(f"no driver for this store: {url.drivername}")
    if not url.database or url.database == ":memory:":
        raise StoreError("a store in memory forgets on a crash: name a file")
    return url.database


def _must_fit(conn: Connection, tables: MetaData) -> None:
    """Refuse tables without the columns that will be asked for."""
    found = inspect(conn)
    for table in tables.sorted_tables:
        lacking = {column.name for column in table.columns}
        lacking -= {column["name"] for column in found.get_columns(table.name)}
        if lacking:
            raise StoreError(
                f"another version made this store: its table {table.name} has no "
                f"{', '.join(sorted(lacking))}; begin with a new data folder"
            )
