"""The meters' store: one small row per device that is installed by itself or has changed.

A device's cells and counters are one row, written whole, so that they can only change together;
the answer that belongs to the change is written in the same transaction (see workflow).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from gbcs.codes import KeyUsage, RemotePartyRole
from gbcs.payloads.credentials import CellId
from keys.certificate import Certificate
from meter_sim.device.device_types import DeviceType
from meter_sim.device.model import Counters, DeviceState, OwnKey, Pending
from meter_sim.store import fleets as fleet_rows
from meter_sim.store.tables import certificates, devices, fleets, pending
from services.chassis.data import rows
from services.chassis.data.canonical import canonical
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, Values, param

CERTIFICATES_IN_MEMORY: Final = 4096
HOLDINGS_IN_MEMORY: Final = 1024
"""What all cells of a device hold, as many different ones: devices of one home trust alike."""

_OFF: Final = select(func.json_each(param("but")).table_valued("value").c.value)
_DUE: Final = Prepared(
    select(pending.c.eui)
    .where(pending.c.due <= param("at"), pending.c.eui.not_in(_OFF))
    .order_by(pending.c.due)
    .limit(param("most"))
)
_NEXT_DUE: Final = Prepared(
    select(pending.c.due).where(pending.c.eui.not_in(_OFF)).order_by(pending.c.due).limit(1)
)
_KEEP: Final = Prepared(
    upsert(certificates).on_conflict_do_nothing(),
    *("fingerprint", "der"),
)
_LOAD: Final = Prepared(
    select(
        devices,
        *(pending.c[name] for name in ("role", "reference", "execution_date_time")),
        *(pending.c[name] for name in ("due", "message")),
    )
    .outerjoin(pending, pending.c.eui == devices.c.eui)
    .where(devices.c.eui == param("wanted"))
)
"""One device and, in as many rows as there are, what it has pending."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A device as it left the factory: its state, and what it was made from (a digest).

    Of a fleet, the first device, which all others are like.
    """

    state: DeviceState
    factory: str


class DeviceStore:
    """Devices in the party's store. Every method works in the caller's transaction."""

    def __init__(self) -> None:
        self._read: OrderedDict[str, Certificate] = OrderedDict()
        self._holdings: OrderedDict[str, Mapping[CellId, Certificate]] = OrderedDict()

    async def install(self, conn: StoreConnection, device: Installed, at: datetime) -> None:
        """Add a device that is not there yet."""
        await self._keep(conn, [*device.state.cells.values(), *_own(device.state)])
        await conn.execute(
            insert(devices).values(
                eui=device.state.eui,
                factory=device.factory,
                installed_at=at,
                **_columns(device.state),
            )
        )

    async def install_many(
        self, conn: StoreConnection, new: Sequence[Installed], at: datetime
    ) -> None:
        """Add devices that are not there yet, each as `install` adds one."""
        held = [c for one in new for c in (*one.state.cells.values(), *_own(one.state))]
        await self._keep(conn, held)
        installed = [
            {
                "eui": one.state.eui,
                "factory": one.factory,
                "installed_at": at,
                **_columns(one.state),
            }
            for one in new
        ]
        await conn.execute(insert(devices), installed)

    async def factories(self, conn: StoreConnection, euis: Sequence[str]) -> dict[str, str]:
        """What those of these devices that are installed were made from, as `factory` says it."""
        query = select(devices.c.eui, devices.c.factory).where(devices.c.eui.in_(euis))
        found = {row.eui: str(row.factory) for row in await conn.execute(query)}
        if await fleet_rows.clash(conn, min(euis), max(euis)) is not None:
            for eui in euis:
                if eui not in found and (one := await self.factory(conn, eui)) is not None:
                    found[eui] = one
        return found

    async def install_fleet(
        self, conn: StoreConnection, first: Installed, count: int, at: datetime
    ) -> None:
        """Add a fleet where there is nothing yet."""
        state = first.state
        await self._keep(conn, list(state.cells.values()))
        columns = _columns(state)
        await conn.execute(
            insert(fleets).values(
                first_eui=state.eui,
                last_eui=fleet_rows.eui_of(int(state.eui, 16) + count - 1),
                count=count,
                factory=first.factory,
                installed_at=at,
                **{name: columns[name] for name in _TEMPLATE},
            )
        )

    async def factory(self, conn: StoreConnection, eui: str) -> str | None:
        """What the device was made from (a digest), or None if it is not installed."""
        found = await rows.find(conn, devices, eui=eui) or await fleet_rows.covering(conn, eui)
        return None if found is None else str(found.factory)

    async def load(self, conn: StoreConnection, eui: str) -> DeviceState | None:
        """The device as it stands, or None if it is not installed."""
        found = (await conn.execute(_LOAD, {"wanted": eui})).all()
        if not found:
            return await self._untouched(conn, eui)
        row = found[0]
        held = await self._cells(conn, row.cells)
        own = await self._own_keys(conn, json.loads(row.own_keys))
        return DeviceState(
            eui=row.eui,
            device_type=DeviceType(row.device_type),
            cells=held,
            counters=_counters_from(json.loads(row.counters)),
            pending={one.role: one for one in map(_pending_from, found) if one is not None},
            alert_counter=row.alert_counter,
            own=own,
            wrapped_contingency=row.wrapped_contingency,
        )

    async def save(self, conn: StoreConnection, before: DeviceState, after: DeviceState) -> None:
        """Write what changed: cells and counters in one row, then what is pending."""
        changed = [c for cell, c in after.cells.items() if before.cells.get(cell) != c]
        await self._keep(conn, changed if after.own == before.own else [*changed, *_own(after)])
        columns = _columns(after, since=before) or _columns(after)
        written = await conn.execute(_update(tuple(columns)), {"of": after.eui, **columns})
        if written.rowcount == 0:
            await fleet_rows.keep_row(conn, after.eui, _columns(after))
        if after.pending == before.pending:
            return
        await rows.remove(conn, pending, eui=after.eui)
        for one in after.pending.values():
            await rows.add(
                conn,
                pending,
                eui=after.eui,
                role=one.role.label,
                reference=one.reference,
                execution_date_time=one.execution_date_time,
                due=one.due,
                message=one.message,
            )

    async def remove(self, conn: StoreConnection, eui: str) -> bool:
        """Scrap a device and what it had pending; False if there is none."""
        removed = await rows.remove(conn, devices, eui=eui)
        of_fleet = await fleet_rows.scrap(conn, eui)
        return of_fleet or removed == 1

    async def listed(
        self, conn: StoreConnection, after: str, limit: int
    ) -> tuple[list[dict[str, str]], int]:
        """One page of devices in order of EUI-64, and how many there are in all."""
        page = await conn.execute(
            select(devices.c.eui, devices.c.device_type)
            .where(devices.c.eui > after)
            .order_by(devices.c.eui)
            .limit(limit)
        )
        found = await fleet_rows.page(conn, after, limit)
        found |= {row.eui: row.device_type for row in page}
        shown = [{"eui": eui, "device_type": found[eui]} for eui in sorted(found)[:limit]]
        return shown, await fleet_rows.total(conn)

    async def due(
        self,
        conn: StoreConnection,
        at: datetime,
        limit: int = 100,
        but: Collection[str] = frozenset(),
    ) -> list[str]:
        """Devices (`but` these) with something pending whose time has come, the earliest first."""
        asked = {"at": at, "but": json.dumps(sorted(but)), "most": limit}
        return list(dict.fromkeys((await conn.execute(_DUE, asked)).scalars()))

    async def next_due(
        self, conn: StoreConnection, but: Collection[str] = frozenset()
    ) -> datetime | None:
        """When the next pending Command is due, `but` these devices'; None if nothing is."""
        found: datetime | None = (
            await conn.execute(_NEXT_DUE, {"but": json.dumps(sorted(but))})
        ).scalar_one_or_none()
        return found

    async def _untouched(self, conn: StoreConnection, eui: str) -> DeviceState | None:
        """A device of a fleet to which nothing has happened yet, or None."""
        fleet = await fleet_rows.covering(conn, eui)
        if fleet is None:
            return None
        held = await self._cells(conn, fleet.cells)
        kind, wrapped = DeviceType(fleet.device_type), fleet.wrapped_contingency
        return DeviceState(eui, kind, held, wrapped_contingency=wrapped)

    async def _cells(self, conn: StoreConnection, written: str) -> Mapping[CellId, Certificate]:
        """What these cells hold. Kept by the text of the row: what differs is another text."""
        held = self._holdings.get(written)
        if held is None:
            found = await self._by_fingerprint(conn, json.loads(written))
            held = MappingProxyType({CellId.from_name(name): one for name, one in found.items()})
            self._holdings[written] = held
            if len(self._holdings) > HOLDINGS_IN_MEMORY:
                self._holdings.popitem(last=False)
        return held

    async def _own_keys(
        self, conn: StoreConnection, stored: Mapping[str, Mapping[str, Any]]
    ) -> dict[KeyUsage, OwnKey]:
        prints = {name: one["certificate"] for name, one in stored.items()}
        certified = {name: held for name, held in prints.items() if held is not None}
        found = await self._by_fingerprint(conn, certified)
        return {
            KeyUsage.from_label(name): OwnKey(one["generation"], one["generated"], found.get(name))
            for name, one in stored.items()
        }

    async def _by_fingerprint(
        self, conn: StoreConnection, names: Mapping[str, str]
    ) -> dict[str, Certificate]:
        for missing in {one for one in names.values() if one not in self._read}:
            row = await rows.find(conn, certificates, fingerprint=missing)
            if row is not None:
                self._read[missing] = Certificate.from_der(row.der)
        found = {name: self._read[fingerprint] for name, fingerprint in names.items()}
        while len(self._read) > CERTIFICATES_IN_MEMORY:
            self._read.popitem(last=False)
        return found

    async def _keep(self, conn: StoreConnection, held: list[Certificate]) -> None:
        """Store those that are not known to be stored. What is in memory was read from there."""
        new = {one.fingerprint: one.der for one in held}
        unknown: list[Values] = [
            {"fingerprint": f, "der": der} for f, der in new.items() if f not in self._read
        ]
        if unknown:
            await conn.execute(_KEEP, unknown)


_TEMPLATE: Final = ("device_type", "cells", "wrapped_contingency")
"""What all devices of a fleet begin with."""


@lru_cache
def _update(columns: tuple[str, ...]) -> Prepared:
    """Change these columns of a device's row. The row itself is long, and not asked for again."""
    return Prepared(update(devices).where(devices.c.eui == param("of")), *columns)


def _columns(state: DeviceState, since: DeviceState | None = None) -> dict[str, Any]:
    """The device's row; of one that stands in the store as `since`, what is other than there."""
    return {
        column: written(getattr(state, name))
        for column, (name, written) in _WRITTEN.items()
        if since is None or getattr(state, name) is not getattr(since, name)
    }


def _cells_to(cells: Mapping[CellId, Certificate]) -> str:
    return canonical({cell.name: held.fingerprint for cell, held in cells.items()})


def _own_keys_to(own: Mapping[KeyUsage, OwnKey]) -> str:
    return canonical({usage.label: _key_to(one) for usage, one in own.items()})


def _key_to(own: OwnKey) -> dict[str, Any]:
    held = own.certificate
    return {
        "generation": own.generation,
        "generated": own.generated,
        "certificate": None if held is None else held.fingerprint,
    }


def _own(state: DeviceState) -> list[Certificate]:
    return [own.certificate for own in state.own.values() if own.certificate is not None]


def _counters_to(counters: Counters) -> str:
    return canonical(
        {
            name: {role.label: value for role, value in getattr(counters, name).items()}
            for name in ("commands", "credentials", "top_up")
        }
    )


def _counters_from(stored: Mapping[str, Mapping[str, int]]) -> Counters:
    return Counters(
        **{
            name: {RemotePartyRole.from_label(label): value for label, value in roles.items()}
            for name, roles in stored.items()
        }
    )


_WRITTEN: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "device_type": ("device_type", str),
    "cells": ("cells", _cells_to),
    "counters": ("counters", _counters_to),
    "alert_counter": ("alert_counter", int),
    "wrapped_contingency": ("wrapped_contingency", lambda wrapped: wrapped),
    "own_keys": ("own", _own_keys_to),
}
"""Columns of a device's row: of which part of its state, and how that is written."""


def _pending_from(row: Any) -> Pending | None:
    if row.role is None:
        return None
    return Pending(
        role=RemotePartyRole.from_label(row.role),
        message=row.message,
        reference=row.reference,
        execution_date_time=row.execution_date_time,
        due=row.due,
    )
