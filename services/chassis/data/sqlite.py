"""SQLite: how a store's file is opened, and what its errors mean. The one module that knows it.

Settings: WAL, ``synchronous=FULL`` (what was committed is on the disk), foreign keys, and triggers
that REPLACE meets too. Transactions begin and end where the store says so, never by themselves.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import OperationalError

BUSY_TIMEOUT_MS: Final = 5_000
"""How long somebody else's lock on the file is waited for."""
BUSY_PAUSE: Final = 0.002
"""Seconds between two tries for the lock."""
STATEMENTS_KEPT: Final = 512
"""Statements that one connection keeps ready."""
_OUT_OF_SPACE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)


def engine_for(file: str) -> Engine:
    """An engine whose connections are opened one by one, and used by one thread at a time."""
    engine = create_engine(
        URL.create("sqlite", database=file),
        isolation_level="AUTOCOMMIT",  # SQLAlchemy begins and ends nothing: the store does
        poolclass=NullPool,
        connect_args={"check_same_thread": False, "cached_statements": STATEMENTS_KEPT},
    )

    @event.listens_for(engine, "connect")
    def _connect(driver: sqlite3.Connection, _record: object) -> None:
        for setting in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # so that REPLACE meets delete triggers
        ):
            driver.execute(f"PRAGMA {setting}").close()

    return engine


def driver_of(conn: Connection) -> sqlite3.Connection:
    """The driver's own connection."""
    driver = conn.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise TypeError("not a connection to SQLite")
    return driver


def only_reads(driver: sqlite3.Connection) -> None:
    """From now on this connection refuses to write."""
    driver.execute("PRAGMA query_only=ON").close()


def does_not_block(driver: sqlite3.Connection) -> None:
    """From now on a lock that somebody else has is an error at once: see `begin`."""
    driver.execute("PRAGMA busy_timeout=0").close()


async def begin(driver: sqlite3.Connection) -> None:
    """Begin to write; somebody else's lock is waited for while others of this process go on.

    Raises:
        sqlite3.OperationalError: The lock was not to be had in time, or the disk fails.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            driver.execute("BEGIN IMMEDIATE").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or loop.time() >= until:
                raise
            await asyncio.sleep(BUSY_PAUSE)
        else:
            return


def commit(driver: sqlite3.Connection) -> None:
    """Make what was written durable."""
    driver.commit()


def out_of_space(error: BaseException | None) -> bool:
    """Whether nothing can be written now: no space, or the disk fails."""
    if isinstance(error, OperationalError):
        error = error.orig
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _OUT_OF_SPACE  # the rest says which kind


def private_file(file: str) -> None:
    """Make sure it exists and only its owner reads it (SQLite copies the mode to the WAL)."""
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))


def free_octets(file: str) -> int:
    """What is free on the file's disk."""
    seen = os.statvfs(Path(file).parent)
    return seen.f_bavail * seen.f_frsize
