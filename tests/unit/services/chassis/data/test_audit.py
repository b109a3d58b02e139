"""The audit log only grows, and shows the first row that is not what was written."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from services.chassis.data.audit import (
    APPEND_ONLY,
    GENESIS,
    AuditBrokenError,
    AuditLog,
    row_hash,
    verify_chain,
)
from services.chassis.data.canonical import NotCanonicalError
from services.chassis.data.store import Database, StoreError
from services.chassis.time.clock import Clock


@pytest.fixture
async def audit(database: Database, held_clock: Clock) -> AuditLog:
    log = AuditLog(database, held_clock)
    async with database.begin() as conn:
        for number in range(1, 5):
            body = bytes([number]) * 8 if number % 2 else None
            seq = await log.append(conn, "kind", f"s{number}", {"n": number, "é": None}, body)
            assert seq == number
    return log


def damage(tmp_path: Path, statement: str, *, drop_triggers: bool = True) -> None:
    """Change the file behind the service's back."""
    with sqlite3.connect(tmp_path / "test.sqlite3") as conn:
        if drop_triggers:
            for (name,) in conn.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                conn.execute(f"DROP TRIGGER {name}")
        conn.execute(statement)
    conn.close()


async def test_rows_are_linked_from_the_first(audit: AuditLog) -> None:
    rows = await audit.export()
    assert [row["seq"] for row in rows] == [1, 2, 3, 4]
    assert rows[0]["previous"] == GENESIS
    assert [row["previous"] for row in rows[1:]] == [row["hash"] for row in rows[:-1]]
    assert await audit.head() == (4, rows[-1]["hash"])
    assert base64.b64decode(rows[0]["body"]) == b"\x01" * 8
    assert rows[1]["body"] is None
    assert await audit.verify() == 4


async def test_the_hash_is_the_documented_one(audit: AuditLog) -> None:
    """Computed here from the export alone, in the words of the module's docstring."""
    import hashlib  # noqa: PLC0415 - belongs to this independent computation

    for row in await audit.export():
        covered = {
            name: row[name]
            for name in ("seq", "at", "kind", "subject", "record", "body_digest", "previous")
        }
        written = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(written.encode()).hexdigest() == row["hash"]
        if row["body"] is not None:
            body = base64.b64decode(row["body"])
            assert hashlib.sha256(body).hexdigest() == row["body_digest"]


async def test_an_export_is_checked_without_the_store(audit: AuditLog) -> None:
    rows = await audit.export()
    assert verify_chain(rows) == await audit.head()
    tail = await audit.export(after=2)
    assert verify_chain(tail, after=2, previous=rows[1]["hash"]) == await audit.head()
    tail[0]["record"]["n"] = 99
    with pytest.raises(AuditBrokenError) as caught:
        verify_chain(tail, after=2, previous=rows[1]["hash"])
    assert caught.value.seq == 3


@pytest.mark.parametrize("broken", [{}, {"seq": 1}, {"seq": 1, "body": 5}, {"seq": "1"}])
def test_an_export_that_cannot_be_read(broken: dict[str, Any]) -> None:
    with pytest.raises(AuditBrokenError):
        verify_chain([broken])


async def test_one_subject_can_be_exported(audit: AuditLog) -> None:
    assert [row["seq"] for row in await audit.export(subject="s3")] == [3]
    assert [row["seq"] for row in await audit.export(limit=2)] == [1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET kind = 'other' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 4",
        "REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
        "UPDATE audit_head SET seq = 3",
        "UPDATE audit_head SET hash = 'x'",
        "DELETE FROM audit_head",
        "REPLACE INTO audit_head VALUES (1, 9, 'x')",
        "INSERT INTO audit_head VALUES (2, 9, 'x')",
    ],
)
async def test_the_store_itself_refuses_to_change_a_row(
    audit: AuditLog, database: Database, statement: str
) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        async with database.begin() as conn:
            await conn.execute(text(statement))
    assert await audit.verify() == 4


@pytest.mark.parametrize(
    "statement",
    [
        "REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
        "REPLACE INTO audit_head VALUES (1, 9, 'x')",
    ],
)
async def test_so_it_does_to_another_program(
    audit: AuditLog, tmp_path: Path, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        damage(tmp_path, statement, drop_triggers=False)
    assert await audit.verify() == 4


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE audit SET kind = 'other' WHERE seq = 2", 2),
        ('UPDATE audit SET record = \'{ "n":2,"é":null}\' WHERE seq = 2', 2),
        ("UPDATE audit SET record = 'no json' WHERE seq = 3", 3),
        ("UPDATE audit SET body = x'00' WHERE seq = 3", 3),
        ("UPDATE audit SET body = NULL WHERE seq = 3", 3),
        ("UPDATE audit SET body = 'text' WHERE seq = 3", 3),
        ("UPDATE audit SET body_digest = NULL, body = NULL WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 1", 1),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit WHERE seq = 4", 4),
        ("DELETE FROM audit", 1),
        ("DELETE FROM audit_head", 1),
        ("UPDATE audit_head SET seq = 3", 4),
        ("UPDATE audit_head SET hash = 'x'", 4),
        ("UPDATE audit SET hash = 'x' WHERE seq = 4", 4),
        ("UPDATE audit SET seq = 9 WHERE seq = 2", 2),
    ],
)
async def test_damage_behind_our_back_is_named(
    audit: AuditLog, tmp_path: Path, statement: str, seq: int
) -> None:
    damage(tmp_path, statement)
    with pytest.raises(AuditBrokenError) as caught:
        await audit.verify()
    assert caught.value.seq == seq


async def test_a_row_rewritten_with_a_hash_of_its_own_is_noticed_at_the_next(
    audit: AuditLog, tmp_path: Path
) -> None:
    """What links the rows: a forged row can be right in itself, but not for its successor."""
    row = (await audit.export())[1]
    covered = {
        name: row[name]
        for name in ("seq", "at", "kind", "subject", "record", "body_digest", "previous")
    }
    forged = row_hash(**{**covered, "kind": "forged"})
    damage(tmp_path, f"UPDATE audit SET kind = 'forged', hash = '{forged}' WHERE seq = 2")
    with pytest.raises(AuditBrokenError, match="does not follow") as caught:
        await audit.verify()
    assert caught.value.seq == 3


async def test_a_rolled_back_row_leaves_no_gap(audit: AuditLog, database: Database) -> None:
    async def fail() -> None:
        async with database.begin() as conn:
            await audit.append(conn, "kind", "s", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.begin() as conn:
        assert await audit.append(conn, "kind", "s", {}) == 5
    assert await audit.verify() == 5


async def test_only_json_is_recorded(audit: AuditLog, database: Database) -> None:
    for record in ({"x": b"octets"}, {"x": float("nan")}):
        with pytest.raises(NotCanonicalError):
            async with database.begin() as conn:
                await audit.append(conn, "kind", "s", record)
    assert await audit.verify() == 4


async def test_an_engine_without_triggers_is_refused(
    database: Database, held_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.data.audit.APPEND_ONLY", {})
    assert "sqlite" in APPEND_ONLY
    with pytest.raises(StoreError, match="sqlite"):
        AuditLog(database, held_clock)
