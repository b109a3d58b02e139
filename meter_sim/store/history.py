"""What each device was sent and said, its refusals and its Security Log; the newest are kept.

For whoever must explain a device: the evidence is the audit log. The answer a device gave lies
here too, written in the transaction that changed the device.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

from sqlalchemy import Column, Index, Integer, LargeBinary, Row, Table, Text, delete, insert, select

from gbcs.codes import StatusCode
from gbcs.payloads.credentials import CellId
from meter_sim.device.model import CellResult, NotUnderstood, SecurityEvent
from meter_sim.device.security_log import KEPT
from meter_sim.store.tables import metadata, tallies
from services.chassis.checks import Refused, Verdict, written
from services.chassis.data.canonical import canonical
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import UtcDateTime

exchanges: Final = Table(
    "meter_exchanges",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("eui", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("heard", LargeBinary),
    Column("said", LargeBinary),
    Column("refusal", Text),
    Column("verdicts", Text, nullable=False),
    Column("cells", Text, nullable=False),
    Index("meter_exchanges_by_device", "eui", "id"),
)

security_log: Final = Table(
    "meter_security_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("eui", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("code", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("check", Text),
    Index("meter_security_log_by_device", "eui", "id"),
)


def _adding(table: Table) -> Prepared:
    """Add a row; gives its number."""
    return Prepared(
        insert(table).returning(table.c.id),
        *(column.name for column in table.columns if column.name != "id"),
    )


def _forgetting(table: Table) -> Prepared:
    """Delete a device's rows beyond the newest that are kept."""
    newest = select(table.c.id).where(table.c.eui == param("of")).order_by(table.c.id.desc())
    first_lost = newest.offset(KEPT).limit(1).scalar_subquery()
    return Prepared(delete(table).where(table.c.eui == param("of"), table.c.id <= first_lost))


_ADD: Final = {table: _adding(table) for table in (exchanges, security_log)}
_FORGET_OLDEST: Final = {table: _forgetting(table) for table in (exchanges, security_log)}

ROWS_BETWEEN_LOOKS: Final = 17  # a prime, so that no even alternation of devices escapes it

Kind = Literal["answered", "refused", "executed"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which check refused, and what it expected and found."""

    check: str
    title: str
    detail: str
    expected: str | None = None
    found: str | None = None

    @classmethod
    def of(cls, error: Refused | NotUnderstood) -> Refusal:
        """What a check said, or what the device could not act on although a check is off."""
        if isinstance(error, NotUnderstood):
            return cls(error.check, "It can be acted on", error.detail)
        return cls(error.check, error.title, error.detail, error.expected, error.found)

    def as_dict(self) -> dict[str, str]:
        """As JSON values, absent ones left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One thing that happened to a device: what it heard, what it said, and why."""

    eui: str
    at: datetime
    kind: Kind
    reference: str
    heard: bytes | None = None
    said: bytes | None = None
    refusal: Refusal | None = None
    verdicts: tuple[Verdict, ...] = ()
    cells: tuple[CellResult, ...] = ()


async def add_exchange(conn: StoreConnection, exchange: Exchange) -> None:
    """Write it down, in the caller's transaction; the oldest of the device falls out."""
    refusal = None if exchange.refusal is None else canonical(exchange.refusal.as_dict())
    await _add(
        conn,
        exchanges,
        eui=exchange.eui,
        at=exchange.at,
        kind=exchange.kind,
        reference=exchange.reference,
        heard=exchange.heard,
        said=exchange.said,
        refusal=refusal,
        verdicts=written(exchange.verdicts),
        cells=f"[{','.join([_cell(result) for result in exchange.cells])}]",
    )


async def add_events(
    conn: StoreConnection, eui: str, at: datetime, events: Iterable[SecurityEvent]
) -> None:
    """Write lines into the device's Security Log, in the caller's transaction."""
    for event in events:
        about = {"code": int(event.code), "detail": event.detail, "check": event.check}
        await _add(conn, security_log, eui=eui, at=at, **about)


async def forget(conn: StoreConnection, first: str, last: str | None = None) -> None:
    """Forget a device's history, and how its alerts stand; or of all devices up to `last`."""
    for table in (exchanges, security_log, tallies):
        await conn.execute(delete(table).where(table.c.eui.between(first, last or first)))


async def read_exchanges(
    conn: StoreConnection, eui: str, kind: Kind | None = None
) -> list[dict[str, Any]]:
    """A device's exchanges, oldest first; messages in base64."""
    query = select(exchanges).where(exchanges.c.eui == eui).order_by(exchanges.c.id.desc())
    if kind is not None:
        query = query.where(exchanges.c.kind == kind)
    rows = (await conn.execute(query.limit(KEPT))).all()
    return [_shown(row) for row in reversed(rows)]


async def read_security_log(conn: StoreConnection, eui: str) -> list[dict[str, Any]]:
    """A device's Security Log, oldest first."""
    query = select(security_log).where(security_log.c.eui == eui)
    rows = (await conn.execute(query.order_by(security_log.c.id.desc()).limit(KEPT))).all()
    return [
        {
            "at": row.at.isoformat(),
            "code": f"0x{row.code:04X}",
            "detail": row.detail,
            "check": row.check,
        }
        for row in reversed(rows)
    ]


async def _add(conn: StoreConnection, table: Table, **row: Any) -> None:
    """Add a row, and delete the device's beyond those kept: now and then, as each look costs."""
    number = (await conn.execute(_ADD[table], row)).scalar_one()
    if number % ROWS_BETWEEN_LOOKS == 0:
        await conn.execute(_FORGET_OLDEST[table], {"of": row["eui"]})


def _cell(result: CellResult) -> str:
    """What was decided about a cell, as canonical JSON."""
    return f'{_decided(result.cell, result.status)},"verdicts":{written(result.verdicts)}}}'


@lru_cache(maxsize=1024)
def _decided(cell: CellId, status: StatusCode) -> str:
    """The same without its end, from where the verdicts follow."""
    return canonical({"cell": cell.name, "status": status.label}).removesuffix("}")


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "at": row.at.isoformat(),
        "kind": row.kind,
        "reference": row.reference,
        "heard": _base64(row.heard),
        "said": _base64(row.said),
        "refused": None if row.refusal is None else json.loads(row.refusal),
        "verdicts": json.loads(row.verdicts),
        "cells": json.loads(row.cells),
    }


def _base64(octets: bytes | None) -> str | None:
    return None if octets is None else base64.b64encode(octets).decode()
