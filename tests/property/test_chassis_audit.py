"""Any single change to an audit log is noticed, at the row where it was made."""

from __future__ import annotations

import asyncio
import copy
import functools
import sqlite3
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.chassis.data.audit import AuditBrokenError, AuditLog, verify_chain
from services.chassis.data.store import Database

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.tuples(
        st.text(max_size=8),
        st.text(max_size=8),
        st.dictionaries(st.text(), JSON, max_size=3),
        st.none() | st.binary(max_size=20),
    ),
    min_size=1,
    max_size=6,
)
COLUMNS = ("seq", "at", "kind", "subject", "record", "body", "body_digest", "previous", "hash")


class Held:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)


async def written(folder: Path, rows: list[Any]) -> list[dict[str, Any]]:
    """Write the rows to a new log, check that it is intact, and export it."""
    database = await Database.open(folder / "s.sqlite3")
    log = AuditLog(database, Held())
    async with database.begin() as conn:
        for kind, subject, record, body in rows:
            await log.append(conn, kind, subject, record, body)
    assert await log.verify() == len(rows)
    exported = await log.export()
    await database.close()
    return exported


async def verify(folder: Path) -> None:
    database = await Database.open(folder / "s.sqlite3")
    try:
        await AuditLog(database, Held()).verify()
    finally:
        await database.close()


@settings(max_examples=examples(25), deadline=None)
@given(ROWS, st.data())
def test_one_changed_column_is_noticed(rows: list[Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(written(folder, rows))
        seq = data.draw(st.integers(1, len(rows)), label="row")
        column = data.draw(st.sampled_from(COLUMNS), label="column")
        conn = sqlite3.connect(folder / "s.sqlite3")
        conn.execute("DROP TRIGGER audit_no_update")
        (old,) = conn.execute(f"SELECT {column} FROM audit WHERE seq = ?", (seq,)).fetchone()
        new = data.draw(
            st.integers(-3, 20).filter(lambda n: not 1 <= n <= len(rows))
            if column == "seq"
            else (st.none() if column.startswith("body") else st.nothing())
            | st.binary(max_size=8)
            | st.text(max_size=8),
            label="new",
        )
        try:
            conn.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (new, seq))
        except sqlite3.IntegrityError:
            conn.close()
            return  # the store itself refuses it
        (now,) = conn.execute(
            f"SELECT {column} FROM audit WHERE rowid = ?", (new if column == "seq" else seq,)
        ).fetchone()
        conn.commit()
        conn.close()
        if (type(now), now) == (type(old), old):
            return
        with pytest.raises(AuditBrokenError) as caught:
            asyncio.run(verify(folder))
        if column != "seq" or new > 0:
            assert caught.value.seq == seq


@functools.lru_cache(maxsize=1)
def exported_once() -> list[dict[str, Any]]:
    rows = [("kind", f"s{n}", {"n": n}, bytes([n]) if n % 2 else None) for n in range(5)]
    with tempfile.TemporaryDirectory() as name:
        return asyncio.run(written(Path(name), rows))


@given(st.permutations(range(5)), st.sets(st.integers(0, 4)))
def test_a_log_reordered_or_shortened_is_noticed(order: list[int], dropped: set[int]) -> None:
    rows = exported_once()
    head = (5, rows[-1]["hash"])
    kept = [rows[index] for index in order if index not in dropped]
    if kept == rows:
        assert verify_chain(kept) == head
        return
    try:
        reached = verify_chain(kept)
    except AuditBrokenError:
        return
    assert reached != head  # a true beginning of the log, and the head shows that it is cut


@example(0, "seq", True)
@example(0, "seq", 1.0)
@given(
    st.integers(0, 4),
    st.sampled_from(COLUMNS),
    st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), JSON),
)
def test_one_changed_member_of_an_export_is_noticed(index: int, column: str, value: Any) -> None:
    rows = copy.deepcopy(exported_once())
    if rows[index][column] == value and type(rows[index][column]) is type(value):
        return
    rows[index][column] = value
    with pytest.raises(AuditBrokenError) as caught:
        verify_chain(rows)
    assert caught.value.seq == index + 1
