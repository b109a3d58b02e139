"""The trace: what happened to one request, in order, for whoever must explain it.

A trace is for people and tests; the audit log is the evidence. Traces are read on the lab port
only. The subject is a request or message reference; entries of several parties are joined by it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Column, Integer, LargeBinary, Row, Table, Text, func, insert, select, update

from services.chassis.checks import Verdict, written
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared
from services.chassis.data.store import Database, UtcDateTime, metadata
from services.chassis.time.changes import Changes
from services.chassis.time.clock import Clock

Entries: TypeAlias = list[dict[str, Any]]

trace_table: Final = Table(
    "trace",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", Text, nullable=False, index=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("sender", Text),
    Column("receiver", Text),
    Column("name", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("message", LargeBinary),
    Column("gbcs_ref", Text, index=True),
    Column("verdicts", Text),
)

_ADD: Final = Prepared(
    insert(trace_table).returning(trace_table.c.id),
    *(column.name for column in trace_table.columns if column.name != "id"),
)


class Traces:
    """The traces of one party, kept in its store."""

    def __init__(self, database: Database, clock: Clock, changes: Changes | None = None) -> None:
        self._database = database
        self._clock = clock
        self.changes = changes or Changes()

    async def record(
        self,
        subject: str,
        kind: str,
        *,
        sender: str | None = None,
        receiver: str | None = None,
        name: str = "",
        summary: str = "",
        message: bytes | None = None,
        gbcs_ref: str | None = None,
        verdicts: Iterable[Verdict] | None = None,
        at: datetime | None = None,
        conn: StoreConnection | None = None,
    ) -> int:
        """Add one entry.

        Args:
            subject: The request or message it belongs to.
            kind: For example ``received``, ``checked``, ``signed``, ``sent``, ``refused``.
            sender: Who sent the message, if there is one.
            receiver: Who it was for.
            name: Short name of the message or step.
            summary: One sentence for people.
            message: The exact octets, if they are worth showing.
            gbcs_ref: ``originator:recipient:counter`` when `message` is a GBCS message.
            verdicts: What each check said.
            at: When; now by the machine's clock if not given, so that parties' entries interleave.
            conn: The caller's write transaction; one of its own if not given.

        Returns:
            The entry's number in this party's trace.
        """
        if conn is None:
            async with self._database.begin() as own:
                return await self.record(
                    subject,
                    kind,
                    sender=sender,
                    receiver=receiver,
                    name=name,
                    summary=summary,
                    message=message,
                    gbcs_ref=gbcs_ref,
                    verdicts=verdicts,
                    at=at,
                    conn=own,
                )
        said = None if verdicts is None else written(verdicts)
        result = await conn.execute(
            _ADD,
            {
                "subject": subject,
                "at": at or self._clock.now(),
                "kind": kind,
                "sender": sender,
                "receiver": receiver,
                "name": name,
                "summary": summary,
                "message": message,
                "gbcs_ref": gbcs_ref,
                "verdicts": said,
            },
        )
        self._database.on_commit(lambda: self.changes.notify(subject))
        return int(result.scalar_one())

    async def forget_messages(self, conn: StoreConnection, subject: str) -> None:
        """Drop the octets of the messages about `subject`; the entries stay."""
        await conn.execute(
            update(trace_table).where(trace_table.c.subject == subject).values(message=None)
        )

    async def read(self, subject: str) -> Entries:
        """The entries about `subject`, oldest first; messages in base64."""
        query = select(trace_table).where(trace_table.c.subject == subject)
        return await self._entries(query.order_by(trace_table.c.id))

    async def list(self, limit: int = 200) -> Entries:
        """The subjects with the latest entries: subject, entries, first and last time."""
        last = func.max(trace_table.c.id)
        query = (
            select(
                trace_table.c.subject,
                func.count().label("entries"),
                func.min(trace_table.c.at).label("first"),
                func.max(trace_table.c.at).label("last"),
            )
            .group_by(trace_table.c.subject)
            .order_by(last.desc())
            .limit(limit)
        )
        async with self._database.connect() as conn:
            rows = (await conn.execute(query)).all()
        return [
            {
                "subject": row.subject,
                "entries": row.entries,
                "first": _iso(row.first),
                "last": _iso(row.last),
            }
            for row in rows
        ]

    async def messages(self, after: int = 0, limit: int | None = None) -> Entries:
        """Every GBCS message seen or made by this party, in order."""
        query = (
            select(trace_table)
            .where(trace_table.c.gbcs_ref.is_not(None), trace_table.c.message.is_not(None))
            .where(trace_table.c.id > after)
            .order_by(trace_table.c.id)
            .limit(limit)
        )
        return await self._entries(query)

    async def _entries(self, query: Any) -> Entries:
        async with self._database.connect() as conn:
            rows = (await conn.execute(query)).all()
        return [_entry(row) for row in rows]


def _iso(value: datetime | str) -> str:
    return value if isinstance(value, str) else value.isoformat()


def _entry(row: Row[Any]) -> dict[str, Any]:
    message = row.message
    return {
        "id": row.id,
        "subject": row.subject,
        "at": _iso(row.at),
        "kind": row.kind,
        "sender": row.sender,
        "receiver": row.receiver,
        "name": row.name,
        "summary": row.summary,
        "message": None if message is None else base64.b64encode(message).decode(),
        "gbcs_ref": row.gbcs_ref,
        "verdicts": None if row.verdicts is None else json.loads(row.verdicts),
    }
