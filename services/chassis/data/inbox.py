"""The inbox: how a receiver recognises what it has already seen.

Delivery between systems is at least once (`services.chassis.data.outbox`); with `first_time` in the
same transaction as the effect, the effect happens once.
"""

from __future__ import annotations

import hashlib
from typing import Final

from sqlalchemy import Column, Table, Text, select
from sqlalchemy.dialects.sqlite import insert

from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import metadata

inbox_table: Final = Table(
    "inbox",
    metadata,
    Column("source", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("digest", Text),
)

_ADD: Final = Prepared(
    insert(inbox_table).on_conflict_do_nothing().returning(inbox_table.c.key),
    *("source", "key", "digest"),
)
_DIGEST: Final = Prepared(
    select(inbox_table.c.digest).where(
        inbox_table.c.source == param("source"), inbox_table.c.key == param("key")
    )
)


class KeyReusedError(Exception):
    """The same key came with different content: not a repetition, a contradiction."""


async def first_time(
    conn: StoreConnection, source: str, key: str, *, content: bytes | None = None
) -> bool:
    """Note that `key` came from `source`; False if it had come before.

    Args:
        conn: The write transaction in which the effect happens too.
        source: Who sent it.
        key: What the sender calls it.
        content: The exact octets, so that another content under the same key shows.

    Raises:
        KeyReusedError: The key came before with other content.
    """
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    noted = {"source": source, "key": key, "digest": digest}
    if (await conn.execute(_ADD, noted)).one_or_none() is not None:
        return True
    if (await conn.execute(_DIGEST, noted)).scalar_one() != digest:
        raise KeyReusedError(f"{key} from {source} came before with other content")
    return False
