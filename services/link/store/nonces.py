"""What a server remembers so that nothing is taken twice: nonces, and messages with their answers.

Two memories, in the party's own database, so both survive a restart:

- `link_nonce`: each nonce of each key until its signature could no longer be accepted. Spending
  one is a single insert; of two replays at the same moment one loses.
- `link_message`: each message identifier with the digest of its body and the answer given. A
  sender that did not hear the answer may ask again, with a new signature and the same message
  identifier, and gets the same answer; the act happens once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    and_,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database
from services.link.wire import profile

LEASE: Final = timedelta(seconds=30)
"""How long one attempt at a message holds others off. Longer than any handler takes."""
ANSWER_KEPT: Final = timedelta(days=30)
"""How long an answer is kept for a sender who asks again."""

link_metadata: Final = MetaData()

_nonces: Final = Table(
    "link_nonce",
    link_metadata,
    Column("key_id", Text, primary_key=True),
    Column("nonce", Text, primary_key=True),
    Column("keep_until", BigInteger, nullable=False, index=True),
)

_messages: Final = Table(
    "link_message",
    link_metadata,
    Column("sender", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("body_digest", LargeBinary, nullable=False),
    Column("attempt", Text, nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("status", Integer),
    Column("answer", LargeBinary),
    Column("keep_until", BigInteger, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What a message is known by: an identifier is the sender's own, for one purpose."""

    sender: str
    purpose: str
    message_id: str


@dataclass(frozen=True, slots=True)
class KnownMessage:
    """A message received before: what it was, and what was answered, if it was."""

    body_digest: bytes
    status: int | None
    answer: bytes | None


class NonceWindow:
    """Both memories. Made by `NonceWindow.open`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._process = secrets.token_hex(8)
        self._released = False

    @classmethod
    async def open(cls, database: Database) -> NonceWindow:
        """Open the memories in a party's database, creating their tables if need be."""
        await database.create_all(link_metadata)
        return cls(database)

    async def spend(
        self, conn: StoreConnection, key_id: str, nonce: str, *, expires: int, now: datetime
    ) -> bool:
        """Note a nonce, in the caller's transaction. False: it was spent before.

        A nonce is kept past its signature's expiry by the clocks' difference and a lifetime more,
        so that a clock that is set back by less does not open the window again.
        """
        await conn.execute(delete(_nonces).where(_nonces.c.keep_until < _seconds(now)))
        keep = expires + profile.MAX_SKEW + profile.MAX_LIFETIME
        return await _insert_new(
            conn, _nonces, {"key_id": key_id, "nonce": nonce, "keep_until": keep}
        )

    async def known(
        self, conn: StoreConnection, key: MessageKey, now: datetime
    ) -> KnownMessage | None:
        """What is remembered of a message identifier."""
        await conn.execute(delete(_messages).where(_messages.c.keep_until < _seconds(now)))
        row = (
            await conn.execute(
                select(_messages.c.body_digest, _messages.c.status, _messages.c.answer).where(
                    _is(key)
                )
            )
        ).one_or_none()
        return None if row is None else KnownMessage(row.body_digest, row.status, row.answer)

    async def begin(
        self, conn: StoreConnection, key: MessageKey, body_digest: bytes, now: datetime
    ) -> str | None:
        """Take up a message that has no answer yet, in the caller's transaction.

        Returns:
            The name of this attempt, or None when another attempt is still under way.
        """
        await self._release_the_dead(conn)
        attempt = f"{self._process}:{secrets.token_hex(8)}"
        lease = _seconds(now + LEASE)
        row = {
            "sender": key.sender,
            "purpose": key.purpose,
            "message_id": key.message_id,
            "body_digest": body_digest,
            "attempt": attempt,
            "lease_until": lease,
            "keep_until": _seconds(now + ANSWER_KEPT),
        }
        if await _insert_new(conn, _messages, row):
            return attempt
        taken = await conn.execute(
            update(_messages)
            .where(_is(key), _messages.c.status.is_(None), _messages.c.lease_until < _seconds(now))
            .values(attempt=attempt, lease_until=lease)
        )
        return attempt if taken.rowcount == 1 else None

    async def answer(
        self, conn: StoreConnection, key: MessageKey, attempt: str, status: int, body: bytes
    ) -> bool:
        """Remember the answer to a message. The first answer stays.

        Returns:
            False when this attempt no longer holds the message: another has taken it over.
        """
        kept = await conn.execute(
            update(_messages)
            .where(_is(key), _messages.c.status.is_(None), _messages.c.attempt == attempt)
            .values(status=status, answer=body)
        )
        return kept.rowcount == 1

    async def give_up(self, conn: StoreConnection, key: MessageKey, attempt: str) -> None:
        """Let go of a message that this attempt could not answer; the next one may try."""
        await conn.execute(
            update(_messages)
            .where(_is(key), _messages.c.status.is_(None), _messages.c.attempt == attempt)
            .values(lease_until=0)
        )

    async def _release_the_dead(self, conn: StoreConnection) -> None:
        """Let go, once, of what a process before this one left: SQLite has one process at most."""
        if self._released or conn.dialect != "sqlite":
            return
        self._released = True
        await conn.execute(
            update(_messages)
            .where(_messages.c.status.is_(None), _messages.c.attempt.not_like(f"{self._process}:%"))
            .values(lease_until=0)
        )


def _is(key: MessageKey) -> ColumnElement[bool]:
    return and_(
        _messages.c.sender == key.sender,
        _messages.c.purpose == key.purpose,
        _messages.c.message_id == key.message_id,
    )


async def _insert_new(conn: StoreConnection, table: Table, row: dict[str, object]) -> bool:
    """Insert unless the key is there; one statement, so that it is atomic on either engine."""
    insert = postgresql.insert if conn.dialect == "postgresql" else sqlite.insert
    added = await conn.execute(
        insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key.columns)
    )
    return added.one_or_none() is not None


def _seconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())
