"""What the systems have stored: rows and octets of each table, read beside them from their files.

SQLite only; a store elsewhere is not looked into.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STORE: Final = "store.sqlite3"


@dataclass(frozen=True, slots=True)
class Table:
    """How much one table holds: rows, and the octets of their values (indexes apart)."""

    rows: int
    octets: int


Tables = Mapping[str, Table]


@contextmanager
def opened(data: Path, system: str, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """A system's store; to be written only while the system does not run."""
    mode = "rw" if write else "ro"
    with closing(sqlite3.connect(f"file:{data / system / STORE}?mode={mode}", uri=True)) as store:
        yield store


def names(store: sqlite3.Connection) -> list[str]:
    """The tables of a store."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return sorted(name for (name,) in store.execute(query))


def columns(store: sqlite3.Connection, table: str) -> list[str]:
    """The columns of a table."""
    return [row[1] for row in store.execute(f'PRAGMA table_info("{table}")')]


def tables(data: Path, system: str) -> dict[str, Table]:
    """What each table of a system holds now."""
    found = {}
    with opened(data, system) as store:
        for table in names(store):
            octets = " + ".join(
                f'coalesce(length(CAST("{one}" AS BLOB)), 0)' for one in columns(store, table)
            )
            query = f'SELECT count(*), coalesce(sum({octets}), 0) FROM "{table}"'
            found[table] = Table(*store.execute(query).fetchone())
    return found


def evidence(data: Path, system: str) -> dict[str, int]:
    """Rows of the audit log, by kind."""
    with opened(data, system) as store:
        return dict(store.execute("SELECT kind, count(*) FROM audit GROUP BY kind"))


def file_octets(data: Path, system: str) -> int:
    """Octets of a system's store on the disk, with what has not been moved into it yet."""
    return sum(one.stat().st_size for one in (data / system).glob(f"{STORE}*"))
