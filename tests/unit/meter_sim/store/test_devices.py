"""A device is read as it was last written, whatever of it was read or written before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gbcs.codes import KeyUsage, RemotePartyRole
from meter_sim.device.device_types import SUPPLIER_DS
from meter_sim.device.model import Counters, DeviceState, OwnKey, Pending
from meter_sim.store import devices as store
from meter_sim.store.devices import DeviceStore, Installed
from meter_sim.store.tables import metadata
from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database
from tests.unit.meter_sim.estate import (
    DEVICE,
    NOW,
    SUPPLIER_B,
    Estate,
    device_certificate,
)

OTHER = "0253494dd0000002"


@pytest.fixture
async def conn(tmp_path: Path) -> AsyncIterator[StoreConnection]:
    database = await Database.open(tmp_path / "s.sqlite3")
    await database.create_all(metadata)
    async with database.begin() as open_one:
        yield open_one
    await database.close()


async def read(devices: DeviceStore, conn: StoreConnection, eui: str = DEVICE) -> DeviceState:
    """The device, the same by this store and by one that has seen nothing yet."""
    found = await devices.load(conn, eui)
    assert found is not None
    assert found == await DeviceStore().load(conn, eui)
    return found


def with_supplier(state: DeviceState, estate: Estate, generation: int = 1) -> DeviceState:
    new = estate.holder(SUPPLIER_DS, SUPPLIER_B, generation).certificate
    return replace(state, cells={**state.cells, SUPPLIER_DS: new})


async def test_a_changed_device_is_seen_changed_and_one_like_it_is_not(
    conn: StoreConnection, estate: Estate
):
    devices, first = DeviceStore(), estate.device()
    for eui in (DEVICE, OTHER):
        await devices.install(conn, Installed(replace(first, eui=eui), "made"), NOW)
    as_made = await read(devices, conn)
    assert as_made.cells == (await read(devices, conn, OTHER)).cells == first.cells

    for generation in (1, 2, 1):
        before = await read(devices, conn)
        await devices.save(conn, before, with_supplier(before, estate, generation))
        held = (await read(devices, conn)).cells[SUPPLIER_DS]
        assert held == estate.holder(SUPPLIER_DS, SUPPLIER_B, generation).certificate
        assert (await read(devices, conn, OTHER)).cells == first.cells

    await devices.save(conn, await read(devices, conn), as_made)
    assert (await read(devices, conn)).cells == first.cells


async def test_each_part_of_a_device_is_kept_by_itself(conn: StoreConnection, estate: Estate):
    devices, state = DeviceStore(), estate.device()
    await devices.install(conn, Installed(state, "made"), NOW)
    supplier, usage = RemotePartyRole.SUPPLIER, KeyUsage.DIGITAL_SIGNATURE
    own = OwnKey(1, 2, device_certificate(estate, DEVICE, "digital_signature", generation=1))
    dated = Pending(supplier, b"1", "a reference", "20261123120000Z", NOW + timedelta(days=2))
    for part in (
        {"counters": Counters({supplier: 1}, {supplier: 2**64 - 1}, {supplier: 3})},
        {"alert_counter": 7},
        {"cells": with_supplier(state, estate).cells},
        {"own": {usage: own}},
        {"wrapped_contingency": b"wrapped"},
        {"pending": {supplier: dated}},
        {"pending": {supplier: replace(dated, message=b"2"), RemotePartyRole.RECOVERY: dated}},
        {"pending": {}, "alert_counter": 8},
    ):
        before = await read(devices, conn)
        pending = part.get("pending", before.pending)
        part["pending"] = {role: replace(one, role=role) for role, one in pending.items()}
        after = replace(before, **part)
        await devices.save(conn, before, after)
        assert await read(devices, conn) == after
    await devices.save(conn, after, after)
    assert await read(devices, conn) == after


async def test_a_device_of_a_fleet_has_its_whole_row_at_its_first_change(
    conn: StoreConnection, estate: Estate
):
    devices, first = DeviceStore(), estate.device(wrapped_contingency=b"wrapped")
    await devices.install_fleet(conn, Installed(first, "made"), 10, NOW)
    before = await read(devices, conn, OTHER)
    after = replace(before, alert_counter=1)
    await devices.save(conn, before, after)
    assert await read(devices, conn, OTHER) == after == replace(first, eui=OTHER, alert_counter=1)
    assert await devices.factory(conn, OTHER) == "made"
    assert await read(devices, conn) == first


async def test_what_is_kept_in_memory_is_bounded_and_cannot_be_written_to(
    conn: StoreConnection, estate: Estate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "HOLDINGS_IN_MEMORY", 2)
    devices, state = DeviceStore(), estate.device()
    await devices.install(conn, Installed(state, "made"), NOW)
    for generation in range(1, 6):
        before = await read(devices, conn)
        await devices.save(conn, before, with_supplier(before, estate, generation))
        assert len(devices._holdings) <= 2
    with pytest.raises(TypeError):
        (await read(devices, conn)).cells[SUPPLIER_DS] = state.cells[SUPPLIER_DS]  # type: ignore[index]


async def test_the_devices_that_are_due_come_once_each_the_earliest_first(
    conn: StoreConnection, estate: Estate
):
    devices = DeviceStore()
    roles = (RemotePartyRole.SUPPLIER, RemotePartyRole.RECOVERY)
    for eui, days in ((DEVICE, (2, 4)), (OTHER, (1, 3))):
        made = replace(estate.device(), eui=eui)
        await devices.install(conn, Installed(made, "made"), NOW)
        pending = {
            role: Pending(role, b"", "r", "20261123120000Z", NOW + timedelta(days=number))
            for role, number in zip(roles, days, strict=True)
        }
        await devices.save(conn, made, replace(made, pending=pending))
    assert await devices.due(conn, NOW) == []
    assert await devices.due(conn, NOW + timedelta(days=1)) == [OTHER]
    assert await devices.due(conn, NOW + timedelta(days=9)) == [OTHER, DEVICE]
    assert await devices.due(conn, NOW + timedelta(days=9), but={OTHER}) == [DEVICE]
    assert await devices.due(conn, NOW + timedelta(days=9), but={OTHER, DEVICE}) == []
    assert await devices.next_due(conn) == NOW + timedelta(days=1)
    assert await devices.next_due(conn, {OTHER}) == NOW + timedelta(days=2)
    assert await devices.next_due(conn, {OTHER, DEVICE}) is None
