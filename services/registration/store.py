"""Registration's tables: participants, meter points, registrations, and the extract's number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Column, Integer, MetaData, Table, Text, delete, insert, select

from services.chassis.data.canonical import canonical
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.store import UtcDateTime
from services.registration.model import MeterPoint, Participant, Register, SupplyPeriod

metadata: Final = MetaData()

participants: Final = Table(
    "participant",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("euis", Text, nullable=False),
)
meter_points: Final = Table(
    "meter_point",
    metadata,
    Column("mpxn", Text, primary_key=True),
    Column("devices", Text, nullable=False),
)
registrations: Final = Table(
    "registration",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mpxn", Text, nullable=False, index=True),
    Column("participant", Text, nullable=False),
    Column("effective_from", UtcDateTime, nullable=False),
    Column("effective_to", UtcDateTime),
)

NUMBER: Final = OriginatorCounter("registration-extract")
"""The extract's number: one higher with every change, never the same for two states."""


async def read(conn: StoreConnection) -> tuple[int, Register]:
    """The extract's number (0 before the first load) and everything registered."""
    periods: dict[str, list[SupplyPeriod]] = {}
    query = select(registrations).order_by(registrations.c.effective_from, registrations.c.id)
    for row in await conn.execute(query):
        period = SupplyPeriod(
            participant=row.participant,
            effective_from=row.effective_from,
            effective_to=row.effective_to,
        )
        periods.setdefault(row.mpxn, []).append(period)
    points = [
        MeterPoint(
            mpxn=row.mpxn,
            devices=json.loads(row.devices),
            registrations=periods.get(row.mpxn, []),
        )
        for row in await conn.execute(select(meter_points).order_by(meter_points.c.mpxn))
    ]
    known = [
        Participant(id=row.id, name=row.name, euis=json.loads(row.euis))
        for row in await conn.execute(select(participants).order_by(participants.c.id))
    ]
    return await NUMBER.last(conn), Register(participants=known, meter_points=points)


async def number(conn: StoreConnection) -> int:
    """The extract's number alone."""
    return await NUMBER.last(conn)


async def put_participant(conn: StoreConnection, participant: Participant) -> None:
    """Write one participant in place of what was known of it."""
    await conn.execute(delete(participants).where(participants.c.id == participant.id))
    await conn.execute(
        insert(participants).values(
            id=participant.id, name=participant.name, euis=canonical(participant.euis)
        )
    )


async def put_devices(conn: StoreConnection, mpxn: str, devices: Sequence[str]) -> None:
    """Write which devices belong to an MPxN, which may be new."""
    await conn.execute(delete(meter_points).where(meter_points.c.mpxn == mpxn))
    await conn.execute(insert(meter_points).values(mpxn=mpxn, devices=canonical(list(devices))))


async def put_periods(conn: StoreConnection, mpxn: str, periods: list[SupplyPeriod]) -> None:
    """Write the registrations of an MPxN in place of those it had."""
    await conn.execute(delete(registrations).where(registrations.c.mpxn == mpxn))
    for period in periods:
        await conn.execute(
            insert(registrations).values(
                mpxn=mpxn,
                participant=period.participant,
                effective_from=period.effective_from,
                effective_to=period.effective_to,
            )
        )


async def replace_all(conn: StoreConnection, register: Register) -> None:
    """Write a whole register in place of the one there is."""
    for table in (participants, meter_points, registrations):
        await conn.execute(delete(table))
    for participant in register.participants:
        await put_participant(conn, participant)
    for point in register.meter_points:
        await put_devices(conn, point.mpxn, point.devices)
        await put_periods(conn, point.mpxn, point.registrations)
