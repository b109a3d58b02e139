"""Registration's tables: participants, meter points, and what is counted of them.

Each row bears the number of the change that wrote it last, and an index in that order: who holds a
copy is given what came after it, page by page, and nothing is ever read through as a whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    select,
    tuple_,
)

from services.chassis.data import rows
from services.chassis.data.canonical import canonical
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.link.register_digest import digest, total
from services.registration.model import MeterPoint, Participant, Position, Register

metadata: Final = MetaData()

participants: Final = Table(
    "participant",
    metadata,
    Column("id", Text, primary_key=True),
    Column("changed", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)
meter_points: Final = Table(
    "meter_point",
    metadata,
    Column("mpxn", Text, primary_key=True),
    Column("changed", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Index("meter_point_by_change", "changed", "mpxn"),
)
devices: Final = Table(
    "device_place",
    metadata,
    Column("device", Text, primary_key=True),
    Column("mpxn", Text, primary_key=True, index=True),
)
"""Where each device belongs; to more than one meter point only with a check off."""

held: Final = Table(
    "register",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("base", BigInteger, nullable=False),
    Column("total", Text, nullable=False),
)
"""The number at which everything was last taken anew, and the sum of all rows, in hex."""

NUMBER: Final = OriginatorCounter("registration-extract")
"""The extract's number: one higher with every change, never the same for two states."""
AT_ONCE: Final = 500
"""Meter points that are written between two turns of others."""
PAGE_ROWS: Final = 1_000
PAGE_OCTETS: Final = 2 * 1024 * 1024
"""A page ends with the row that passes either; an answer may have 8 MiB."""


async def number(conn: StoreConnection) -> int:
    """The extract's number alone; 0 before the first load."""
    return await NUMBER.last(conn)


async def state(conn: StoreConnection) -> tuple[int, str]:
    """The number at which everything was last taken anew, and the digest of what is held."""
    row = await rows.find(conn, held, one=1)
    return (0, digest(0)) if row is None else (int(row.base), digest(int(row.total, 16)))


async def read(conn: StoreConnection) -> tuple[int, Register]:
    """The extract's number and everything registered: for small registers and the lab."""
    query = select(meter_points.c.document).order_by(meter_points.c.mpxn)
    points = [MeterPoint.model_validate_json(d) for d in (await conn.execute(query)).scalars()]
    return await number(conn), Register(
        participants=await known_participants(conn), meter_points=points
    )


async def known_participants(conn: StoreConnection) -> list[Participant]:
    """Every participant: there are some hundreds."""
    query = select(participants.c.document).order_by(participants.c.id)
    return [Participant.model_validate_json(d) for d in (await conn.execute(query)).scalars()]


async def participants_after(conn: StoreConnection, after: int) -> list[Any]:
    """The participants that changed after that number, JSON-ready."""
    query = select(participants.c.document).where(participants.c.changed > after)
    found = (await conn.execute(query.order_by(participants.c.id))).scalars()
    return [json.loads(document) for document in found]


async def page(conn: StoreConnection, after: Position) -> tuple[list[Any], Position | None]:
    """Meter points in the order in which they changed, JSON-ready; and where the next page begins.

    None: these are the last. What changes while somebody reads page by page comes again, later.
    """
    order = tuple_(meter_points.c.changed, meter_points.c.mpxn)
    query = (
        select(meter_points.c.changed, meter_points.c.mpxn, meter_points.c.document)
        .where(order > tuple_(after.number, after.mpxn))
        .order_by(meter_points.c.changed, meter_points.c.mpxn)
        .limit(PAGE_ROWS + 1)
    )
    found: list[Any] = []
    octets, last = 0, None
    for row in (await conn.execute(query)).all():
        if last is not None and (len(found) == PAGE_ROWS or octets > PAGE_OCTETS):
            return found, after.at(last.changed, last.mpxn)
        found.append(json.loads(row.document))
        octets += len(row.document)
        last = row
    return found, None


async def points(conn: StoreConnection, mpxns: Iterable[str]) -> dict[str, MeterPoint]:
    """These meter points, as far as there are any."""
    found = await _documents(conn, meter_points, "mpxn", mpxns)
    return {mpxn: MeterPoint.model_validate_json(document) for mpxn, document in found.items()}


async def places(conn: StoreConnection, wanted: Iterable[str]) -> list[tuple[str, str]]:
    """Device and meter point, of these devices."""
    return [
        (row.device, row.mpxn)
        for device in wanted
        for row in await rows.find_all(conn, devices, device=device)
    ]


async def put(
    conn: StoreConnection,
    *,
    people: Sequence[Participant] = (),
    homes: Sequence[MeterPoint] = (),
    known: bool = True,
) -> int:
    """Write participants and meter points in place of what was known of them: one change.

    Args:
        conn: An open transaction.
        people: Participants.
        homes: Meter points.
        known: Something may be known of them already.

    Returns:
        The number of the extract from then on.
    """
    changed = await NUMBER.next(conn)
    now = _Change(changed, known)
    row = await rows.find(conn, held, one=1)
    so_far = 0 if row is None else int(row.total, 16)
    so_far = await _replace(conn, participants, "id", people, now, before=so_far)
    homes = list({home.mpxn: home for home in homes}.values())
    for at in range(0, len(homes), AT_ONCE):
        part = homes[at : at + AT_ONCE]
        so_far = await _replace(conn, meter_points, "mpxn", part, now, before=so_far)
        for home in part if known else ():
            await rows.remove(conn, devices, mpxn=home.mpxn)
        where = [{"device": d, "mpxn": h.mpxn} for h in part for d in dict.fromkeys(h.devices)]
        await rows.put_all(conn, devices, ("device", "mpxn"), where)
        await asyncio.sleep(0)  # whoever only reads has a turn
    base = changed if row is None else row.base
    await rows.put(conn, held, {"one": 1}, base=base, total=f"{so_far:x}")
    return changed


async def replace_all(conn: StoreConnection, register: Register) -> int:
    """Write a whole register in place of the one there is: nobody's copy goes on from there."""
    for table in (participants, meter_points, devices, held):
        await conn.execute(delete(table))
    return await put(conn, people=register.participants, homes=register.meter_points, known=False)


class _Change(NamedTuple):
    """The extract's number from a change on, and whether rows may be known already."""

    number: int
    known: bool


async def _replace(
    conn: StoreConnection,
    table: Table,
    key: str,
    items: Sequence[MeterPoint] | Sequence[Participant],
    now: _Change,
    *,
    before: int,
) -> int:
    """Write rows in place of what was there, if anything was; the sum of all rows then."""
    new = {getattr(item, key): canonical(item.model_dump(mode="json")) for item in items}
    old = await _documents(conn, table, key, new) if now.known else {}
    many = [{key: name, "changed": now.number, "document": text} for name, text in new.items()]
    await rows.put_all(conn, table, (key,), many)
    return total(new.values(), without=old.values(), to=before)


async def _documents(
    conn: StoreConnection, table: Table, key: str, wanted: Iterable[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in wanted:
        row = await rows.find(conn, table, **{key: name})
        if row is not None:
            found[name] = row.document
    return found
