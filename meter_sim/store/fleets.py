"""Fleets: many devices that exist by one row, until each changes and has a row of its own.

A device of a fleet that nothing has happened to is what the fleet's template says; its keys are
derived from the seed as every device's are. So neither start-up nor memory grows with the number of
devices, only with the number of those that were changed. Our own construction: no source.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import delete, func, insert, literal, select

from meter_sim.store import history
from meter_sim.store.tables import devices, fleets, scrapped
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param

_EUI = re.compile(r"[0-9a-f]{16}")
_COVERING: Final = Prepared(
    select(fleets).where(
        fleets.c.first_eui <= param("of"),
        fleets.c.last_eui >= param("of"),
        ~select(scrapped.c.eui).where(scrapped.c.eui == param("of")).exists(),
    )
)


def eui_of(number: int) -> str:
    """An EUI-64 as text."""
    return f"{number:016x}"


async def covering(conn: StoreConnection, eui: str) -> Any | None:
    """The fleet that a device belongs to; None if there is none, or the device was scrapped."""
    if _EUI.fullmatch(eui) is None:
        return None
    return (await conn.execute(_COVERING, {"of": eui})).one_or_none()


async def clash(conn: StoreConnection, first: str, last: str) -> str | None:
    """The first EUI-64 of a fleet, or a device, that stands between these two; None if free."""
    fleet = select(fleets.c.first_eui).where(fleets.c.first_eui <= last, fleets.c.last_eui >= first)
    device = select(devices.c.eui).where(devices.c.eui.between(first, last))
    for query in (fleet, device):
        found = (await conn.execute(query.limit(1))).scalar_one_or_none()
        if found is not None:
            return str(found)
    return None


async def scrap(conn: StoreConnection, eui: str) -> bool:
    """Take a device out of its fleet; False if it belongs to none."""
    if await covering(conn, eui) is None:
        return False
    await conn.execute(insert(scrapped).values(eui=eui))
    return True


async def disband(conn: StoreConnection, first: str) -> list[str] | None:
    """Remove a fleet: which of its devices had changed; None if there is no such fleet."""
    query = select(fleets.c.last_eui).where(fleets.c.first_eui == first)
    last = (await conn.execute(query)).scalar_one_or_none()
    if last is None:
        return None
    changed = await conn.execute(select(devices.c.eui).where(devices.c.eui.between(first, last)))
    euis = [row.eui for row in changed]
    for table in (devices, scrapped):
        await conn.execute(delete(table).where(table.c.eui.between(first, last)))
    await conn.execute(delete(fleets).where(fleets.c.first_eui == first))
    await history.forget(conn, first, last)
    return euis


async def keep_row(conn: StoreConnection, eui: str, columns: dict[str, Any]) -> bool:
    """Give a device of a fleet its own row; False if it is of none."""
    fleet = await covering(conn, eui)
    if fleet is None:
        return False
    made = {"factory": fleet.factory, "installed_at": fleet.installed_at}
    await rows.put(conn, devices, {"eui": eui}, **columns, **made)
    return True


async def total(conn: StoreConnection) -> int:
    """How many devices there are, with and without rows."""
    own = select(func.count()).select_from(devices)
    template = select(func.coalesce(func.sum(fleets.c.count), literal(0)))
    # Counted twice: those of a fleet that have a row. Not there any more: the scrapped ones. One
    # that was scrapped and then installed by itself is both, and there once.
    inside = devices.join(fleets, devices.c.eui.between(fleets.c.first_eui, fleets.c.last_eui))
    twice = select(func.count()).select_from(inside)
    gone = select(func.count()).select_from(scrapped)
    again = select(func.count()).select_from(
        scrapped.join(devices, scrapped.c.eui == devices.c.eui)
    )
    numbers = [(await conn.execute(q)).scalar_one() for q in (own, template, twice, gone, again)]
    here, whole, doubled, missing, returned = (int(number) for number in numbers)
    return here + whole - doubled - missing + returned


async def page(conn: StoreConnection, after: str, limit: int) -> dict[str, str]:
    """The types of the first `limit` devices of fleets behind `after`, by EUI-64.

    Only as many names are made as are asked for, whatever the size of the fleets.
    """
    found: dict[str, str] = {}
    query = select(fleets).where(fleets.c.last_eui > after).order_by(fleets.c.first_eui)
    for fleet in (await conn.execute(query)).all():
        start = max(int(fleet.first_eui, 16), _behind(after))
        end = int(fleet.last_eui, 16)
        while start <= end and len(found) < limit:
            stop = min(end, start + limit - 1)
            span = scrapped.c.eui.between(eui_of(start), eui_of(stop))
            gone = set((await conn.execute(select(scrapped.c.eui).where(span))).scalars())
            names = (eui_of(number) for number in range(start, stop + 1))
            for name in names:
                if name not in gone and len(found) < limit:
                    found[name] = fleet.device_type
            start = stop + 1
        if len(found) >= limit:
            break
    return found


async def listed(conn: StoreConnection) -> list[dict[str, Any]]:
    """Every fleet, and how many of its devices have changed."""
    shown = []
    for fleet in (await conn.execute(select(fleets).order_by(fleets.c.first_eui))).all():
        inside = devices.c.eui.between(fleet.first_eui, fleet.last_eui)
        changed = select(func.count()).select_from(devices).where(inside)
        names = ("first_eui", "last_eui", "count", "device_type")
        shown.append(
            {name: getattr(fleet, name) for name in names}
            | {"changed": (await conn.execute(changed)).scalar_one()}
        )
    return shown


def _behind(after: str) -> int:
    """The least EUI-64 that stands behind `after` (up to 16 hexadecimal digits) in order."""
    least = int(after.ljust(16, "0"), 16)
    return least + 1 if len(after) == 16 else least
