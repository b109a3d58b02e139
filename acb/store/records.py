"""The broker's records: users, devices and what their cells hold, counters seen, certificates.

A cell's record changes in one way only: a device said, in a response or alert that passed every
check, that the replacement of that cell succeeded (or a lab route provisions the device).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from acb.model import DeviceRecord, Tracked, User
from acb.store.requests import request_table
from acb.store.tables import digits, number, tables
from keys.certificate import Certificate
from keys.roles import Usage
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param

user_table: Final = Table(
    "acb_user",
    tables,
    Column("eui", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("participant", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("callback_url", Text),
)

device_table: Final = Table(
    "acb_device",
    tables,
    Column("eui", Text, primary_key=True),
    Column("device_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("mpxns", Text, nullable=False),
)

device_certificate_table: Final = Table(
    "acb_device_certificate",
    tables,
    Column("device", Text, ForeignKey(device_table.c.eui, ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
)

cell_table: Final = Table(
    "acb_cell",
    tables,
    Column("device", Text, ForeignKey(device_table.c.eui, ondelete="CASCADE"), primary_key=True),
    Column("cell", Text, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("request_id", Text),
)

party_counter_table: Final = Table(
    "acb_party_counter",
    tables,
    Column("party", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""The greatest counter accepted from a CoS Party for a device, and (party = device) of alerts."""

certificate_table: Final = Table(
    "acb_certificate",
    tables,
    Column("issuer", Text, primary_key=True),
    Column("serial", Text, primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
)

threshold_table: Final = Table(
    "acb_threshold",
    tables,
    Column("scope", Text, primary_key=True),
    Column("most", Integer),
)
"""Anomaly detection thresholds: per user EUI, and "*" for all users together."""

EVERYONE: Final = "*"

_USERS: Final = Prepared(select(func.count()).select_from(user_table))
_SET_AFTER: Final = Prepared(
    select(cell_table.c.cell)
    .join(request_table, request_table.c.request_id == cell_table.c.request_id)
    .where(cell_table.c.device == param("at"), request_table.c.turn > param("turn"))
)


async def put_user(conn: StoreConnection, user: User) -> None:
    """Add a user, or replace what is known of it."""
    await rows.put(
        conn,
        user_table,
        {"eui": user.eui},
        name=user.name,
        participant=user.participant,
        roles=json.dumps(list(user.roles)),
        callback_url=user.callback_url,
    )


async def find_user(conn: StoreConnection, eui: str) -> User | None:
    """The user with this entity identifier."""
    row = await rows.find(conn, user_table, eui=eui)
    return None if row is None else _user(row)


async def count_users(conn: StoreConnection) -> int:
    """How many users there are."""
    return int((await conn.execute(_USERS)).scalar_one())


async def list_users(conn: StoreConnection) -> list[User]:
    """Every user."""
    return [_user(row) for row in await conn.execute(select(user_table).order_by("eui"))]


async def put_device(conn: StoreConnection, record: DeviceRecord) -> None:
    """Provision a device: its whole record is replaced, counters seen for it are forgotten.

    What is provisioned is another device as far as counters go, even under the same identifier:
    its own alert counter begins anew.
    """
    await conn.execute(delete(device_table).where(device_table.c.eui == record.eui))
    await conn.execute(
        delete(party_counter_table).where(party_counter_table.c.device == record.eui)
    )
    await conn.execute(
        insert(device_table).values(
            eui=record.eui,
            device_type=record.device_type,
            status=record.status,
            mpxns=json.dumps(list(record.mpxns)),
        )
    )
    for name, certificate in record.certificates.items():
        key = {"device": record.eui, "name": name}
        await rows.put(conn, device_certificate_table, key, certificate=certificate.der)
    await put_cells(conn, record.eui, record.cells, None)


async def put_cells(
    conn: StoreConnection, device: str, cells: Mapping[str, Certificate], request_id: str | None
) -> None:
    """Record what cells hold now, and by which request that came about."""
    for cell, certificate in cells.items():
        key = {"device": device, "cell": cell}
        await rows.put(conn, cell_table, key, certificate=certificate.der, request_id=request_id)


async def cells_set_after(conn: StoreConnection, tracked: Tracked) -> frozenset[str]:
    """The cells of a device that were set by a request that had the device after this one."""
    among = {"at": tracked.target, "turn": tracked.turn or 0}
    return frozenset((await conn.execute(_SET_AFTER, among)).scalars())


async def cells_set_by(conn: StoreConnection, device: str, request_id: str) -> frozenset[str]:
    """The cells of a device that hold, by the record, what this request put there."""
    found = await rows.find_all(conn, cell_table, device=device, request_id=request_id)
    return frozenset(row.cell for row in found)


async def put_own_certificate(conn: StoreConnection, device: str, certificate: Certificate) -> None:
    """Record a device's new certificate of its own, in place of the one for the same use."""
    name = "key-agreement" if certificate.usage is Usage.KEY_AGREEMENT else "digital-signing"
    key = {"device": device, "name": name}
    await rows.put(conn, device_certificate_table, key, certificate=certificate.der)


async def find_device(conn: StoreConnection, eui: str) -> DeviceRecord | None:
    """The record of this device."""
    row = await rows.find(conn, device_table, eui=eui)
    if row is None:
        return None
    own = await rows.find_all(conn, device_certificate_table, device=eui)
    cells = await rows.find_all(conn, cell_table, device=eui)
    return DeviceRecord(
        eui=row.eui,
        device_type=row.device_type,
        status=row.status,
        mpxns=tuple(json.loads(row.mpxns)),
        certificates={item.name: Certificate.from_der(item.certificate) for item in own},
        cells={item.cell: Certificate.from_der(item.certificate) for item in cells},
    )


async def put_devices(conn: StoreConnection, records: Sequence[DeviceRecord]) -> None:
    """Provision many devices, each as `put_device` does one."""
    euis = [record.eui for record in records]
    await conn.execute(delete(device_table).where(device_table.c.eui.in_(euis)))
    await conn.execute(delete(party_counter_table).where(party_counter_table.c.device.in_(euis)))
    devices = [
        {
            "eui": record.eui,
            "device_type": record.device_type,
            "status": record.status,
            "mpxns": json.dumps(list(record.mpxns)),
        }
        for record in records
    ]
    own = [
        {"device": record.eui, "name": name, "certificate": held.der}
        for record in records
        for name, held in record.certificates.items()
    ]
    cells = [
        {"device": record.eui, "cell": cell, "certificate": held.der, "request_id": None}
        for record in records
        for cell, held in record.cells.items()
    ]
    for table, values in (
        (device_table, devices), (device_certificate_table, own), (cell_table, cells),
    ):  # fmt: skip
        if values:
            await conn.execute(insert(table), values)


async def list_devices(
    conn: StoreConnection, after: str = "", limit: int | None = None
) -> list[DeviceRecord]:
    """Devices' records in order of EUI-64: `limit` of them after one, or all."""
    page = device_names(after, limit).subquery()
    listed = await conn.execute(
        select(device_table).where(device_table.c.eui.in_(select(page))).order_by("eui")
    )
    found = {
        row.eui: DeviceRecord(
            row.eui, row.device_type, row.status, tuple(json.loads(row.mpxns)), {}, {}
        )
        for row in listed
    }
    own: dict[str, dict[str, Certificate]] = {eui: {} for eui in found}
    cells: dict[str, dict[str, Certificate]] = {eui: {} for eui in found}
    alike: dict[bytes, Certificate] = {}  # a fleet's cells hold the same few certificates
    for table, kept, name in (
        (device_certificate_table, own, device_certificate_table.c.name),
        (cell_table, cells, cell_table.c.cell),
    ):
        query = select(table.c.device, name.label("name"), table.c.certificate)
        for row in await conn.execute(
            query.where(table.c.device.in_(select(page))).order_by(table.c.device, name)
        ):
            if row.certificate not in alike:
                alike[row.certificate] = Certificate.from_der(row.certificate)
            kept[row.device][row.name] = alike[row.certificate]
    return [replace(one, certificates=own[eui], cells=cells[eui]) for eui, one in found.items()]


def device_names(after: str = "", limit: int | None = None) -> Select[Any]:
    """The query for the EUI-64s of devices in order: `limit` of them after one, or all."""
    here = device_table.c.eui
    return select(here).where(here > after).order_by(here).limit(limit)


async def count_devices(conn: StoreConnection) -> int:
    """How many devices there are."""
    return int(await conn.scalar(select(func.count()).select_from(device_table)))


async def seen_counter(conn: StoreConnection, party: str, device: str) -> int | None:
    """The greatest counter accepted from a party for a device; None if none ever was."""
    row = await rows.find(conn, party_counter_table, party=party, device=device)
    return None if row is None else number(row.value)


async def raise_counter(conn: StoreConnection, party: str, device: str, value: int) -> None:
    """Remember a counter as seen; it never goes down."""
    last = await seen_counter(conn, party, device)
    if last is not None and last >= value:
        return
    key = {"party": party, "device": device}
    await rows.put(conn, party_counter_table, key, value=digits(value))


async def find_certificate(conn: StoreConnection, issuer: str, serial: int) -> Certificate | None:
    """A certificate fetched before, by issuer and serial: certificates never change."""
    row = await rows.find(conn, certificate_table, issuer=issuer, serial=str(serial))
    return None if row is None else Certificate.from_der(row.certificate)


async def keep_certificate(conn: StoreConnection, certificate: Certificate) -> None:
    """Keep a certificate fetched from the repository."""
    named = {"issuer": certificate.issuer, "serial": str(certificate.serial)}
    await rows.add_new(conn, certificate_table, **named, certificate=certificate.der)


async def thresholds(conn: StoreConnection, scopes: Iterable[str]) -> dict[str, int | None]:
    """The thresholds set for these scopes; scopes without one are left out."""
    found = [await rows.find(conn, threshold_table, scope=scope) for scope in scopes]
    return {row.scope: row.most for row in found if row is not None}


async def all_thresholds(conn: StoreConnection) -> dict[str, int | None]:
    """The thresholds set, whoever for."""
    return {row.scope: row.most for row in await rows.find_all(conn, threshold_table)}


async def put_threshold(conn: StoreConnection, scope: str, most: int | None) -> None:
    """Set (or lift, with None) the threshold of a user or of all."""
    await rows.put(conn, threshold_table, {"scope": scope}, most=most)


async def forget_thresholds(conn: StoreConnection, scope: str | None = None) -> None:
    """Let the thresholds of the settings count again, for one scope or for all."""
    query = delete(threshold_table)
    await conn.execute(query if scope is None else query.where(threshold_table.c.scope == scope))


def _user(row: Any) -> User:
    return User(
        eui=row.eui,
        name=row.name,
        participant=row.participant,
        roles=tuple(json.loads(row.roles)),
        callback_url=row.callback_url,
    )
