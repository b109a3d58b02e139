"""The durable store of one service: SQLAlchemy 2 Core, SQLite by default.

What it guarantees: writes of one process are serialised (`begin` holds one lock and a
``BEGIN IMMEDIATE`` transaction), a committed write is on the disk (WAL, ``synchronous=FULL``), and
what waits for a commit is told after it (`on_commit`), never before. `close` closes every
connection: it waits for those at work, whatever they were cancelled in, and none is opened later.

What it leaves to others: tables (each room declares its own in its own MetaData) and meaning.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Dialect,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    delete,
    event,
    insert,
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

BUSY_TIMEOUT_MS: Final = 5_000
LEAST_FREE: Final = 4 * 1024 * 1024
"""Octets that are free on the store's disk while a party calls itself ready."""
TRIAL: Final = 256 * 1024
"""Octets of the write that tries whether there is space again: a longest request."""
_OUT_OF_SPACE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)

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
    """One service's store. Made by `Database.open`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._after_commit: list[Callable[[], None]] = []
        self._closed = False
        self._lent = 0
        self._all_back = asyncio.Event()
        self._all_back.set()
        self._drivers: set[Any] = set()
        self._unwritable = False

    @classmethod
    async def open(cls, where: str | Path) -> Database:
        """Open a store and create the chassis' tables in it.

        Args:
            where: A file (SQLite) or a SQLAlchemy URL.

        Raises:
            StoreError: It cannot be opened, or is of a kind this chassis does not know.
        """
        url = _url(where)
        if url.get_backend_name() == "sqlite":
            _private_file(url)
        try:
            engine = create_async_engine(url, connect_args=_connect_args(url))
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise StoreError(f"no driver for this store: {error}") from None
        database = cls(engine)
        if engine.dialect.name == "sqlite":
            _configure_sqlite(engine, database._drivers)
        try:
            await database.create_all(metadata)
        except BaseException as error:
            await database.close()
            if isinstance(error, (SQLAlchemyError, OSError)):
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
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: commits at the end of the block, rolls back on any exception.

        Raises:
            StoreError: This task is already inside one (it would wait for itself for ever).
            StoreUnwritableError: Nothing can be written now; nothing was.
        """
        task = asyncio.current_task()
        if task is not None and self._owner is task:
            raise StoreError("already writing in this task: pass the open connection on")
        async with self._writer:
            self._owner = task
            self._after_commit = []
            try:
                async with self._connection() as plain:
                    conn = await plain.execution_options(cos_write=True)
                    async with conn.begin():
                        yield conn
                told = self._after_commit
                self._unwritable = False
            except OperationalError as error:
                if not _out_of_space(error):
                    raise
                self._unwritable = True
                raise StoreUnwritableError("the store cannot be written") from error
            finally:
                self._owner = None
                self._after_commit = []
        for callback in told:
            callback()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A read transaction: a consistent snapshot of what is committed. Nothing is written."""
        async with self._connection() as conn:
            yield conn

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection, counted until it is given back."""
        if self._closed:
            raise StoreError("the store is closed")
        self._lent += 1
        self._all_back.clear()
        conn = self._engine.connect()
        try:
            await _uninterrupted(conn.start())
            yield conn
        finally:
            try:
                if conn.sync_connection is not None:
                    await _uninterrupted(conn.close())
            finally:
                self._lent -= 1
                if not self._lent:
                    self._all_back.set()

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
        name = self._engine.url.database
        if self.dialect == "sqlite" and name is not None:
            seen = os.statvfs(Path(name).parent)
            if seen.f_bavail * seen.f_frsize < LEAST_FREE:
                return f"less than {LEAST_FREE // 1024} KiB are free for the store"
        return None

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the present write transaction has been committed.

        Raises:
            StoreError: This task is not inside one.
        """
        if self._owner is None or self._owner is not asyncio.current_task():
            raise StoreError("nothing is being written by this task")
        self._after_commit.append(callback)

    async def close(self) -> None:
        """Close every connection, once those at work have been given back; lend no more.

        Disposing of the engine closes only what lies in its pool: a connection that somebody
        still had would go back to a pool that nobody looks after, and stay open. And a statement
        that was given up runs on in its thread, with the lock it holds: that is waited for too.

        Raises:
            StoreError: This task is writing (it would wait for itself for ever).
        """
        if self._owner is not None and self._owner is asyncio.current_task():
            raise StoreError("still writing in this task: end the transaction first")
        self._closed = True
        await self._all_back.wait()
        await self._engine.dispose()
        for driver in self._drivers:
            driver.stop()  # once more does nothing; one that failed to open was never told
            await asyncio.to_thread(_thread(driver).join)
        self._drivers.clear()


def _out_of_space(error: OperationalError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _OUT_OF_SPACE  # the rest says which kind


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


async def _uninterrupted(work: Coroutine[Any, Any, object]) -> None:
    """Finish this, whoever is cancelled meanwhile; only then pass the cancellation on.

    A connection that is cancelled while it opens would be lost and stay open.
    """
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    failed = task.exception()
    if cancelled is not None:
        raise cancelled
    if failed is not None:
        raise failed


def _url(where: str | Path) -> URL:
    if isinstance(where, Path) or "://" not in where:
        return URL.create("sqlite+aiosqlite", database=str(where))
    try:
        url = make_url(where)
    except ArgumentError:
        raise StoreError("the store's URL cannot be read") from None
    if url.drivername == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    return url.set(drivername="postgresql+asyncpg") if url.drivername == "postgresql" else url


def _private_file(url: URL) -> None:
    """Make sure the file exists and only its owner reads it (SQLite copies the mode to the WAL)."""
    name = url.database
    if not name or name == ":memory:":
        raise StoreError("a store in memory forgets on a crash: name a file")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(f"the store {name} cannot be opened ({error.strerror})") from None


class _Connection(sqlite3.Connection):
    """Lets go of its lock when it is closed, even in the middle of a statement.

    SQLite keeps a connection, its transaction and its lock until the last statement is finalised.
    Whoever is cancelled between the first row of a statement and the next (``RETURNING``) leaves a
    cursor behind that somebody's traceback still holds: until that is collected, nobody could
    write.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *args: Any, **more: Any) -> Any:
        made: sqlite3.Cursor = super().cursor(*args, **more)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        cursors = tuple(self._cursors)
        self._cursors.clear()
        for one in cursors:
            one.close()
        super().close()


def _thread(driver: Any) -> threading.Thread:
    """The thread of one of aiosqlite's connections, which it shows nowhere else."""
    found: threading.Thread = driver._thread  # noqa: SLF001
    return found


def _connect_args(url: URL) -> dict[str, Any]:
    return {"factory": _Connection} if url.get_backend_name() == "sqlite" else {}


def _configure_sqlite(engine: AsyncEngine, drivers: set[Any]) -> None:
    """Durable settings, and transactions that begin where we say they do; `drivers` are kept."""

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(dbapi: Any, _record: Any) -> None:
        drivers.difference_update([one for one in drivers if not _thread(one).is_alive()])
        drivers.add(dbapi.driver_connection)
        dbapi.isolation_level = None  # the driver must not begin transactions of its own
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA recursive_triggers=ON")  # so that REPLACE meets delete triggers
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(conn: Any) -> None:
        write = conn.get_execution_options().get("cos_write", False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
