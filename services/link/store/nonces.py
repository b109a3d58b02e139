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
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    select,
    update,
)

from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
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


_KEY: Final = ("sender", "purpose", "message_id")
_OF_KEY: Final = tuple(_messages.c[name] == param(f"of_{name}") for name in _KEY)
_UNANSWERED: Final = (*_OF_KEY, _messages.c.status.is_(None))
_MINE: Final = (*_UNANSWERED, _messages.c.attempt == param("mine"))

_SWEEP: Final = tuple(
    Prepared(delete(table).where(table.c.keep_until < param("now")))
    for table in (_nonces, _messages)
)
_KNOWN: Final = Prepared(
    select(_messages.c.body_digest, _messages.c.status, _messages.c.answer).where(*_OF_KEY)
)
_TAKE_OVER: Final = Prepared(
    update(_messages).where(*_UNANSWERED, _messages.c.lease_until < param("now")),
    *("attempt", "lease_until"),
)
_ANSWER: Final = Prepared(update(_messages).where(*_MINE), "status", "answer")
_GIVE_UP: Final = Prepared(update(_messages).where(*_MINE), "lease_until")


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What a message is known by: an identifier is the sender's own, for one purpose."""

    sender: str
    purpose: str
    message_id: str

    @property
    def values(self) -> dict[str, object]:
        """As the statements below are asked for it."""
        return {
            "of_sender": self.sender,
            "of_purpose": self.purpose,
            "of_message_id": self.message_id,
        }


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
        self._swept: int | None = None

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
        await self._sweep(conn, _seconds(now))
        keep = expires + profile.MAX_SKEW + profile.MAX_LIFETIME
        return await rows.add_new(conn, _nonces, key_id=key_id, nonce=nonce, keep_until=keep)

    async def known(
        self, conn: StoreConnection, key: MessageKey, now: datetime
    ) -> KnownMessage | None:
        """What is remembered of a message identifier."""
        await self._sweep(conn, _seconds(now))
        row = (await conn.execute(_KNOWN, key.values)).one_or_none()
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
        added = await rows.add_new(
            conn,
            _messages,
            sender=key.sender,
            purpose=key.purpose,
            message_id=key.message_id,
            body_digest=body_digest,
            attempt=attempt,
            lease_until=lease,
            keep_until=_seconds(now + ANSWER_KEPT),
        )
        if added:
            return attempt
        over = {**key.values, "now": _seconds(now), "attempt": attempt, "lease_until": lease}
        return attempt if (await conn.execute(_TAKE_OVER, over)).rowcount == 1 else None

    async def answer(
        self, conn: StoreConnection, key: MessageKey, attempt: str, status: int, body: bytes
    ) -> bool:
        """Remember the answer to a message. The first answer stays.

        Returns:
            False when this attempt no longer holds the message: another has taken it over.
        """
        given = {**key.values, "mine": attempt, "status": status, "answer": body}
        return (await conn.execute(_ANSWER, given)).rowcount == 1

    async def give_up(self, conn: StoreConnection, key: MessageKey, attempt: str) -> None:
        """Let go of a message that this attempt could not answer; the next one may try."""
        await conn.execute(_GIVE_UP, {**key.values, "mine": attempt, "lease_until": 0})

    async def _sweep(self, conn: StoreConnection, now: int) -> None:
        """Forget what need not be known any more: it is told in seconds, so once in each."""
        if self._swept != now:
            self._swept = now
            for statement in _SWEEP:
                await conn.execute(statement, {"now": now})

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


def _seconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())
