"""The audit log: append-only, each row linked to the one before it by SHA-256.

What it guarantees: this service only ever adds rows (triggers abort UPDATE, DELETE and
replacement), and `verify` names the first row that no longer fits, including rows missing in the
middle or at the end (the head is kept beside the chain). What was exported can be checked without
us, by `verify_chain`. That finds accidents, and changes by whoever does not write the hashes anew.

What it does not guarantee: anything against who owns the store. Nobody signs the rows, so whoever
can write the file can take the triggers off and write all of it anew, hashes and head with it, and
`verify` finds nothing. What stands against that is outside: another party's log holding messages
that we signed, or a head that somebody else took down in time.

Hash of a row: SHA-256 over canonical JSON (`services.chassis.data.canonical`) of ``seq``, ``at``,
``kind``, ``subject``, ``record``, ``body_digest`` and ``previous``, where ``body_digest`` is the
SHA-256 of the exact body (null without one) and ``previous`` the hash of the row before, 64 zeros
for the first.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    event,
    insert,
    select,
    update,
)

from services.chassis.data.canonical import NotCanonicalError, canonical, exact
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared
from services.chassis.data.quota import UnauthenticatedQuota
from services.chassis.data.store import Database, StoreError, metadata
from services.chassis.time.clock import Clock

GENESIS: Final = "0" * 64

audit_table: Final = Table(
    "audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("record", Text, nullable=False),
    Column("body", LargeBinary),
    Column("body_digest", Text),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

head_table: Final = Table(
    "audit_head",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)

_HEAD: Final = Prepared(select(head_table.c.seq, head_table.c.hash))
_FIRST_HEAD: Final = Prepared(insert(head_table).values(one=1), "seq", "hash")
_NEXT_HEAD: Final = Prepared(update(head_table), "seq", "hash")
_ADD: Final = Prepared(insert(audit_table), *(column.name for column in audit_table.columns))

_ABORT: Final = "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
_TAKEN: Final = "WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)"
_SECOND: Final = "WHEN EXISTS (SELECT 1 FROM audit_head)"
_JUMP: Final = "WHEN NEW.seq <> OLD.seq + 1 OR NEW.one <> OLD.one"

# One entry per engine. PostgreSQL belongs here: a BEFORE UPDATE OR DELETE trigger that raises, and
# REVOKE UPDATE, DELETE on the table. Until it does, `AuditLog` refuses that engine.
APPEND_ONLY: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "sqlite": {
        "audit": (
            f"CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit {_ABORT}",
            f"CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit {_ABORT}",
            f"CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit {_TAKEN} {_ABORT}",
        ),
        "audit_head": (
            f"CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head {_JUMP} {_ABORT}",
            f"CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head {_ABORT}",
            f"CREATE TRIGGER audit_head_no_replace BEFORE INSERT ON audit_head {_SECOND} {_ABORT}",
        ),
    }
}


def _append_only(table: Table, conn: Connection, **_facts: Any) -> None:
    """Put the triggers on a table that was just created."""
    for statement in APPEND_ONLY.get(conn.dialect.name, {}).get(table.name, ()):
        conn.exec_driver_sql(statement)


event.listen(audit_table, "after_create", _append_only)
event.listen(head_table, "after_create", _append_only)


class AuditBrokenError(Exception):
    """The chain is not what was written.

    Attributes:
        seq: The first row that is wrong or missing.
        reason: What is wrong with it.
    """

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"audit row {seq}: {reason}")
        self.seq = seq
        self.reason = reason


def row_hash(
    *,
    seq: int,
    at: str,
    kind: str,
    subject: str,
    record: Any,
    body_digest: str | None,
    previous: str,
) -> str:
    """SHA-256, hex, of one row as the module docstring says."""
    return _hash_of(
        seq=seq,
        at=at,
        kind=kind,
        subject=subject,
        record=canonical(record),
        body_digest=body_digest,
        previous=previous,
    )


def _hash_of(
    *,
    seq: int,
    at: str,
    kind: str,
    subject: str,
    record: str,
    body_digest: str | None,
    previous: str,
) -> str:
    """The same, of a record that is in its canonical form already: it stands in the whole's."""
    before = canonical({"at": at, "body_digest": body_digest, "kind": kind, "previous": previous})
    after = canonical({"seq": seq, "subject": subject})
    return hashlib.sha256(f'{before[:-1]},"record":{record},{after[1:]}'.encode()).hexdigest()


def verify_chain(
    rows: Iterable[Mapping[str, Any]], *, after: int = 0, previous: str = GENESIS
) -> tuple[int, str]:
    """Check exported rows in order, without a store.

    Args:
        rows: As `AuditLog.export` gives them.
        after: Sequence number of the row before the first of these.
        previous: Hash of that row.

    Returns:
        Sequence number and hash of the last row, to compare with a head held elsewhere.

    Raises:
        AuditBrokenError: At the first row that does not follow.
    """
    for row in rows:
        expected = after + 1
        seq = row.get("seq")
        if seq != expected or type(seq) is not int:  # True == 1, and 1.0 == 1
            raise AuditBrokenError(expected, f"missing; row {seq} comes instead")
        body = row.get("body")
        try:
            octets = None if body is None else base64.b64decode(body, validate=True)
            digest = None if octets is None else hashlib.sha256(octets).hexdigest()
            computed = row_hash(
                seq=expected,
                at=row["at"],
                kind=row["kind"],
                subject=row["subject"],
                record=row["record"],
                body_digest=row["body_digest"],
                previous=row["previous"],
            )
        except (KeyError, TypeError, ValueError, NotCanonicalError):
            raise AuditBrokenError(expected, "cannot be read") from None
        if row["previous"] != previous:
            raise AuditBrokenError(expected, "does not follow the row before it")
        if row["body_digest"] != digest:
            raise AuditBrokenError(expected, "the body is not the one that was recorded")
        if row.get("hash") != computed:
            raise AuditBrokenError(expected, "the hash does not match what it covers")
        after, previous = expected, computed
    return after, previous


class AuditLog:
    """The audit log of one service. `clock` is the machine's: evidence is not stepped.

    `unauthenticated` is asked before anything is written down of somebody who is not known.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        if database.dialect not in APPEND_ONLY:
            raise StoreError(f"no append-only triggers are known for {database.dialect}")
        self._database = database
        self._clock = clock
        self.unauthenticated = UnauthenticatedQuota(clock)

    async def append(
        self,
        conn: StoreConnection,
        kind: str,
        subject: str,
        record: dict[str, Any],
        body: bytes | None = None,
    ) -> int:
        """Add one row in the caller's transaction.

        Args:
            conn: An open write transaction.
            kind: What happened, for example ``link.request.received``.
            subject: What it is about: a request, a message reference.
            record: JSON-ready facts. Never a secret. Numbers beyond 2^53-1 are kept as text.
            body: The exact octets that are the evidence, if any.

        Returns:
            The row's sequence number.

        Raises:
            NotCanonicalError: `record` has no JSON form.
        """
        head = (await conn.execute(_HEAD)).one_or_none()
        seq, previous = (head.seq + 1, head.hash) if head is not None else (1, GENESIS)
        at = self._clock.now().isoformat(timespec="microseconds")
        digest = None if body is None else hashlib.sha256(body).hexdigest()
        text = canonical(exact(record))  # what is exported, and hashed, is what every reader gets
        linked = _hash_of(
            seq=seq,
            at=at,
            kind=kind,
            subject=subject,
            record=text,
            body_digest=digest,
            previous=previous,
        )
        await conn.execute(
            _ADD,
            {
                "seq": seq,
                "at": at,
                "kind": kind,
                "subject": subject,
                "record": text,
                "body": body,
                "body_digest": digest,
                "previous": previous,
                "hash": linked,
            },
        )
        moved = {"seq": seq, "hash": linked}
        await conn.execute(_FIRST_HEAD if head is None else _NEXT_HEAD, moved)
        return seq

    async def head(self) -> tuple[int, str]:
        """Sequence number and hash of the last row (0 and zeros when empty)."""
        async with self._database.connect() as conn:
            head = (await conn.execute(_HEAD)).one_or_none()
        return (0, GENESIS) if head is None else (head.seq, head.hash)

    async def export(
        self, after: int = 0, limit: int | None = None, subject: str | None = None
    ) -> list[dict[str, Any]]:
        """Rows after sequence number `after`, oldest first; bodies in base64."""
        query = select(audit_table).where(audit_table.c.seq > after).order_by(audit_table.c.seq)
        if subject is not None:
            query = query.where(audit_table.c.subject == subject)
        async with self._database.connect() as conn:
            rows = (await conn.execute(query.limit(limit))).all()
        return [_exported(row) for row in rows]

    async def verify(self) -> int:
        """Check the whole chain and its head.

        Returns:
            The number of rows.

        Raises:
            AuditBrokenError: Naming the first row that is wrong or missing.
        """
        last, linked = 0, GENESIS
        async with self._database.connect() as conn:
            head = (await conn.execute(_HEAD)).one_or_none()
            rows = conn.stream(select(audit_table).order_by(audit_table.c.seq))
            async for row in rows:
                last, linked = verify_chain([_strict(row, last + 1)], after=last, previous=linked)
        if head is None and last:
            raise AuditBrokenError(1, "rows exist but their head does not")
        if head is not None and head.seq != last:
            raise AuditBrokenError(min(last, head.seq) + 1, f"the log ends at row {last}")
        if head is not None and head.hash != linked:
            raise AuditBrokenError(last, "the head's hash is not this row's")
        return last


def _exported(row: Row[Any]) -> dict[str, Any]:
    body = row.body
    return {
        "seq": row.seq,
        "at": row.at,
        "kind": row.kind,
        "subject": row.subject,
        "record": json.loads(row.record),
        "body": None if body is None else base64.b64encode(body).decode(),
        "body_digest": row.body_digest,
        "previous": row.previous,
        "hash": row.hash,
    }


def _strict(row: Row[Any], seq: int) -> dict[str, Any]:
    """The row as exported, or AuditBrokenError if its columns are not what we write."""
    try:
        exported = _exported(row)
        if canonical(exported["record"]) != row.record:
            raise AuditBrokenError(seq, "the record is not in the form in which it was written")
    except (TypeError, ValueError, RecursionError, NotCanonicalError):
        raise AuditBrokenError(seq, "cannot be read") from None
    return exported
