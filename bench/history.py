"""Earlier changes of supplier, written into the stores of systems that do not run.

A hundred thousand real ones would take hours. So a few are really made, and the rows that they left
in every system's store are written again, each time as other changes: numbers of rows, counters,
transaction and message identifiers, digests and times are new, and the same in all systems; the
audit log's hashes are linked on. Bodies are the same octets again. Not written again is what a
system forgets by itself (nonces), and what is updated rather than added stays as it is, but for
the CoS Parties' originator counters, which are raised beyond those of the rows.

Loud where it does not fit: a value that must be unique and is not stops it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from bench import estate, stores
from bench.load import BenchError, Driver
from services.chassis.data.audit import row_hash
from services.chassis.data.canonical import canonical
from stack.systems import SYSTEMS

MANY: Final = 100_000
PATTERN: Final = 2
"""Changes that are really made for each filling: one by each CoS Party."""
WARM_UP: Final = 2
REQUEST_STEP: Final = 1_000
"""By how much a copy's request counter lies before the one of the copy made before it."""
FORGOTTEN: Final = frozenset({"link_nonce"})
FREE_SHARE: Final = 0.6
"""Of the free disk that may be filled."""
AT_ONCE: Final = 500
WRITERS: Final = 2
SHORT: Final = 200
"""Texts of more characters are documents, and are not looked into."""

_UUID: Final = re.compile(r"\b([0-9a-f]{8})(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")
_REFERENCE: Final = re.compile(r"([0-9a-f]{16}:[0-9a-f]{16}):(\d+)")
_REQUEST: Final = re.compile(
    r"((?:[0-9A-F]{2}-){7}[0-9A-F]{2}:(?:[0-9A-F]{2}-){7}[0-9A-F]{2}):(\d+)"
)
_COUNTER: Final = re.compile(r"\d{20}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ATTEMPT: Final = re.compile(r"[0-9a-f]{16}:[0-9a-f]{16}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9 .:+_/-]*")
_CLOCK: Final = 10**12
"""Counters above are times in milliseconds, and go back; those below are counted, and go on."""

Value = Any
Row = dict[str, Value]
Change = Callable[[Value, int], Value]


@dataclass(frozen=True, slots=True)
class Pattern:
    """What real changes added to one table."""

    table: str
    rows: list[Row]
    last: int
    """The greatest number of a row."""
    key: str | None
    """The column that is the row's number, if one is."""
    unique: frozenset[str]
    """Columns that alone must be unique."""
    points_to: dict[str, str]
    """Columns that hold another table's row number."""


def fill(say: Callable[[str], None], data: Path, earlier: int) -> bool:
    """Have so many earlier changes in the stores, more than there were.

    Args:
        say: told what is being done.
        data: a folder whose systems do not run.
        earlier: how many.

    Returns:
        False where the disk has no room for them; then nothing was written.
    """
    with estate.running(data) as connection:
        driver = Driver(connection, data)
        driver.one_after_the_other(2, WARM_UP)
        connection.settle(limit=60)
        before = {system: _last(data, system) for system in SYSTEMS}
        driver.one_after_the_other(2, PATTERN)
        connection.settle(limit=60)
    homes = _Homes(driver.homes)
    patterns = {system: _patterns(data, system, before[system]) for system in SYSTEMS}
    copies = earlier // PATTERN
    octets = sum(_octets(one) for some in patterns.values() for one in some) * copies
    if octets > FREE_SHARE * shutil.disk_usage(data).free:
        return False
    say(f"history: {earlier} earlier changes, {octets / 1e6:,.0f} MB")
    with ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn")) as writers:
        work = [
            writers.submit(_write, data, system, patterns[system], homes, copies)
            for system in sorted(SYSTEMS, key=lambda one: -sum(map(_octets, patterns[one])))
        ]
        for one in work:
            one.result()
    return True


def _last(data: Path, system: str) -> dict[str, int]:
    with stores.opened(data, system) as store:
        query = 'SELECT coalesce(max(rowid), 0) FROM "{}"'
        return {t: store.execute(query.format(t)).fetchone()[0] for t in stores.names(store)}


def _patterns(data: Path, system: str, before: dict[str, int]) -> list[Pattern]:
    found = []
    with stores.opened(data, system) as store:
        store.row_factory = sqlite3.Row
        for table in stores.names(store):
            query = f'SELECT * FROM "{table}" WHERE rowid > ? ORDER BY rowid'
            rows = [dict(row) for row in store.execute(query, (before[table],))]
            if not rows or table in FORGOTTEN:
                continue
            last = store.execute(f'SELECT max(rowid) FROM "{table}"').fetchone()[0]
            info = store.execute(f'PRAGMA table_info("{table}")').fetchall()
            keys = [one["name"] for one in info if one["pk"]]
            numbered = len(keys) == 1 and next(
                one["type"] for one in info if one["name"] == keys[0]
            ) in {"INTEGER", "BIGINT"}
            found.append(
                Pattern(
                    table,
                    rows,
                    last,
                    keys[0] if numbered else None,
                    frozenset(_unique(store, table)),
                    {
                        one["from"]: one["table"]
                        for one in store.execute(f'PRAGMA foreign_key_list("{table}")')
                    },
                )
            )
    return found


def _unique(store: sqlite3.Connection, table: str) -> list[str]:
    found = []
    for index in store.execute(f'PRAGMA index_list("{table}")').fetchall():
        if index["unique"]:
            parts = store.execute(f'PRAGMA index_info("{index["name"]}")').fetchall()
            found += [part["name"] for part in parts] if len(parts) == 1 else []
    return found


def _octets(pattern: Pattern) -> int:
    return sum(
        len(value) if isinstance(value, str | bytes) else 8
        for row in pattern.rows
        for value in row.values()
        if value is not None
    )


def _write(data: Path, system: str, patterns: list[Pattern], homes: _Homes, copies: int) -> None:
    numbers = {one.table: one for one in patterns}
    with stores.opened(data, system, write=True) as store:
        for setting in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-200000"):
            store.execute(f"PRAGMA {setting}")  # nobody relies on this store yet
        store.execute("PRAGMA recursive_triggers=ON")
        head = store.execute("SELECT seq, hash FROM audit_head").fetchone()
        chain = _Chain(*head) if head else None
        statements = {one.table: _insert(one) for one in patterns}
        plans = [_Plan(one, numbers, homes) for one in patterns]
        indexes = _without_indexes(store, [one.table for one in patterns])
        for first in range(1, copies + 1, AT_ONCE):
            some = range(first, min(first + AT_ONCE, copies + 1))
            with store:
                for plan in plans:
                    rows = [row for copy in some for row in plan.copy(copy, chain)]
                    store.executemany(statements[plan.pattern.table], rows)
        with store:
            for sql in indexes:
                store.execute(sql)
            if chain is not None:
                _put_head(store, chain)
            if any(one.table == "cos_command" for one in patterns):
                store.execute("UPDATE counter SET value = value + ?", (copies * PATTERN,))
        store.execute("PRAGMA journal_mode=WAL")


def _insert(pattern: Pattern) -> str:
    named = ", ".join(f'"{name}"' for name in pattern.rows[0])
    places = ", ".join("?" * len(pattern.rows[0]))
    return f'INSERT INTO "{pattern.table}" ({named}) VALUES ({places})'


def _without_indexes(store: sqlite3.Connection, tables: list[str]) -> list[str]:
    """Take off the indexes that only find; how to make them again, which then is much cheaper."""
    query = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL"
    taken = []
    for name, table, sql in store.execute(query).fetchall():
        if table in tables and "UNIQUE" not in sql.upper():
            store.execute(f'DROP INDEX "{name}"')
            taken.append(sql)
    return taken


class _Homes:
    """The homes in turn: a copy is about others than those that really changed."""

    def __init__(self, homes: list[dict[str, Any]]) -> None:
        pairs = [homes[at : at + PATTERN] for at in range(0, len(homes) - PATTERN + 1, PATTERN)]
        self._names = [[name for home in pair for name in _names(home)] for pair in pairs]

    def of(self, value: Value, change: Change | None) -> Change | None:
        """That change, and the copy's own homes where a short text names those of the pattern."""
        said = [at for at, name in enumerate(self._names[0]) if _names_in(value, name)]
        if not said:
            return change

        def moved(given: Value, copy: int) -> Value:
            text = change(given, copy) if change is not None else given
            own = self._names[copy % len(self._names)]
            for at in said:
                text = text.replace(self._names[0][at], own[at])
            return text

        return moved


def _names(home: dict[str, Any]) -> list[str]:
    """How a home is named: its device in both spellings, its meter point."""
    eui = str(home["eui"])
    pairs = [eui[at : at + 2].upper() for at in range(0, len(eui), 2)]
    return [eui, "-".join(pairs), str(home["mpxn"])]


def _names_in(value: Value, name: str) -> bool:
    return isinstance(value, str) and len(value) < SHORT and name in value


class _Chain:
    """The audit log's end, as it grows."""

    def __init__(self, seq: int, linked: str) -> None:
        self.seq, self.linked, self.sure = seq, linked, False

    def link(self, row: Row) -> None:
        """Make a row the next one."""
        self.seq += 1
        row["seq"], row["previous"] = self.seq, self.linked
        # What the record's own text says need not be read and written again for every row.
        text = (
            f'{{"at":{_json(row["at"])},"body_digest":{_json(row["body_digest"])},'
            f'"kind":{_json(row["kind"])},"previous":{_json(row["previous"])},'
            f'"record":{row["record"]},"seq":{self.seq},"subject":{_json(row["subject"])}}}'
        )
        row["hash"] = self.linked = hashlib.sha256(text.encode()).hexdigest()
        if not self.sure:
            linked = row_hash(
                seq=self.seq,
                at=row["at"],
                kind=row["kind"],
                subject=row["subject"],
                record=json.loads(row["record"]),
                body_digest=row["body_digest"],
                previous=row["previous"],
            )
            if linked != self.linked:
                raise BenchError("the audit log is no longer linked as this module writes it")
            self.sure = True


def _put_head(store: sqlite3.Connection, chain: _Chain) -> None:
    """Put the head where the chain ends; what forbids a jump is taken off meanwhile."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_head'"
    triggers = store.execute(query).fetchall()
    for name, _ in triggers:
        store.execute(f'DROP TRIGGER "{name}"')
    store.execute("UPDATE audit_head SET seq = ?, hash = ?", (chain.seq, chain.linked))
    for _, sql in triggers:
        store.execute(sql)


class _Plan:
    """How the rows of one table are written again: only what changes is looked at."""

    def __init__(self, pattern: Pattern, numbers: dict[str, Pattern], homes: _Homes) -> None:
        self.pattern = pattern
        self.audited = pattern.table == "audit"
        self.changes: list[dict[str, Change]] = [
            {
                name: change
                for name, value in row.items()
                if (change := homes.of(value, _change(pattern, numbers, name, value, index)))
                is not None
            }
            for index, row in enumerate(pattern.rows)
        ]

    def copy(self, number: int, chain: _Chain | None) -> list[tuple[Value, ...]]:
        """The rows as the copy of that number (from 1) has them."""
        made = []
        for row, changes in zip(self.pattern.rows, self.changes, strict=True):
            new = dict(row)
            for name, change in changes.items():
                new[name] = change(row[name], number)
            if self.audited and chain is not None:
                chain.link(new)
            made.append(tuple(new.values()))
        return made


def _change(
    pattern: Pattern, numbers: dict[str, Pattern], name: str, value: Value, index: int
) -> Change | None:
    """How a value differs in a copy; None where it does not."""
    if pattern.table == "audit" and name in {"seq", "previous", "hash", "record", "body_digest"}:
        return None  # linked anew; the digest is that of the same octets
    if isinstance(value, int):
        return _number(pattern, numbers, name, value, index)
    if isinstance(value, bytes):
        return (lambda v, i: i.to_bytes(8, "big") + v[8:]) if name in pattern.unique else None
    if not isinstance(value, str):
        return None
    if (change := _text(value)) is not None:
        return change
    return (lambda v, i: f"{v}.{i}") if name in pattern.unique or name == "key" else None


def _number(
    pattern: Pattern, numbers: dict[str, Pattern], name: str, value: int, index: int
) -> Change | None:
    if name == pattern.key or (name in pattern.unique and name != "counter"):
        rows, last = len(pattern.rows), pattern.last
        return lambda _, i: last + (i - 1) * rows + index + 1
    target = numbers.get(pattern.points_to.get(name, ""))
    if target is not None and target.key is not None:
        found = [row[target.key] for row in target.rows]
        if value in found:
            rows, last, place = len(found), target.last, found.index(value)
            return lambda _, i: last + (i - 1) * rows + place + 1
    return (lambda v, i: v + i * PATTERN) if name == "counter" else None


def _text(value: str) -> Change | None:
    if _TIME.fullmatch(value):
        at = datetime.fromisoformat(value)
        return lambda _, i: (at - timedelta(seconds=i)).isoformat(timespec="microseconds")
    for form, change in _FORMS:
        if match := form.fullmatch(value):
            return partial(_again, change, match)
    if len(value) < SHORT and (match := _UUID.search(value)):
        head, tail = value[: match.start()], value[match.start() + 8 :]
        first = match[1]
        return lambda _, i: f"{head}{_mixed(first, i)}{tail}"
    return None


def _again(
    change: Callable[[re.Match[str], int], str], match: re.Match[str], _value: Value, copy: int
) -> str:
    return change(match, copy)


def _moved(counter: int, copy: int) -> int:
    return counter - copy * REQUEST_STEP if counter > _CLOCK else counter + copy * PATTERN


def _json(value: str | None) -> str:
    if value is None:
        return "null"
    if _PLAIN.fullmatch(value):
        return f'"{value}"'
    return canonical(value)


def _mixed(hexadecimal: str, copy: int) -> str:
    return f"{int(hexadecimal[:8], 16) ^ copy:08x}{hexadecimal[8:]}"


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str], int], str]], ...]] = (
    (_REFERENCE, lambda m, i: f"{m[1]}:{_moved(int(m[2]), i)}"),
    (_REQUEST, lambda m, i: f"{m[1]}:{_moved(int(m[2]), i)}"),
    (_COUNTER, lambda m, i: f"{_moved(int(m[0]), i):020}"),
    (_DIGEST, lambda m, i: _mixed(m[0], i)),
    (_ATTEMPT, lambda m, i: _mixed(m[0], i)),
)
"""Texts that are, as a whole, of one form; and how a copy's differs."""
