"""What the documents say of a log against its owner is so: it can be written anew, unnoticed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from services.chassis.data.audit import GENESIS, AuditLog, audit_table, row_hash
from services.chassis.data.store import Database
from services.chassis.time.clock import SystemClock


async def test_the_owner_of_a_log_can_write_all_of_it_anew(tmp_path: Path) -> None:
    """Not a defect to be found here: the reason why nothing is said to be proven by a log alone."""
    file = tmp_path / "store.sqlite"
    database = await Database.open(file)
    log = AuditLog(database, SystemClock())
    await database.create_all(audit_table.metadata)
    for number in range(3):
        async with database.begin() as conn:
            await log.append(conn, "cos.signed", f"r{number}", {"counter": number})
    await database.close()

    owner = sqlite3.connect(file)
    for (name,) in owner.execute("SELECT name FROM sqlite_master WHERE type='trigger'").fetchall():
        owner.execute(f"DROP TRIGGER {name}")
    owner.execute("DELETE FROM audit WHERE seq = 3")
    previous = GENESIS
    rows = owner.execute("SELECT seq, at, subject FROM audit ORDER BY seq").fetchall()
    for seq, at, subject in rows:
        made = row_hash(
            seq=seq, at=at, kind="cos.refused", subject=subject, record={},
            body_digest=None, previous=previous,
        )  # fmt: skip
        owner.execute(
            "UPDATE audit SET kind='cos.refused', record='{}', previous=?, hash=? WHERE seq=?",
            (previous, made, seq),
        )
        previous = made
    owner.execute("UPDATE audit_head SET seq=2, hash=?", (previous,))
    owner.commit()
    owner.close()

    database = await Database.open(file)
    anew = AuditLog(database, SystemClock())
    assert await anew.verify() == 2
    assert {row["kind"] for row in await anew.export()} == {"cos.refused"}
    await database.close()
