"""Fleets: a million devices exist by one row, and each is a device of its own once it changes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from gbcs.message import decode
from gbcs.protect import verify_signature
from keys.roles import Usage
from meter_sim.store.fleets import eui_of
from meter_sim.store.tables import certificates, devices, fleets
from tests.unit.meter_sim.estate import SUPPLIER_A, SUPPLIER_B, Estate
from tests.unit.meter_sim.running import Running

FIRST = "0253494da0000000"
MILLION = 1_000_000
SUPPLIER = "supplier/digitalSignature/management"


def fleet(meters: Running, count: int = MILLION, first: str = FIRST, **more: Any) -> dict[str, Any]:
    order = meters.order()
    del order["eui"]
    return order | {"first_eui": first, "count": count} | more


def nth(number: int) -> str:
    return eui_of(int(FIRST, 16) + number)


async def install(meters: Running, count: int = MILLION, **more: Any) -> None:
    answer = await meters.lab.post("/lab/fleets", json=fleet(meters, count, **more))
    assert answer.status_code == 201, answer.text


async def rows(meters: Running) -> dict[str, int]:
    async with meters.service.base.database.connect() as conn:
        return {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (devices, fleets, certificates)
        }


async def test_a_million_devices_are_one_row_until_one_changes(meters: Running, estate: Estate):
    await install(meters)
    before = await rows(meters)
    assert (before["meter_devices"], before["meter_fleets"]) == (0, 1)
    assert before["meter_certificates"] < 20
    last = nth(MILLION - 1)
    assert (await meters.device(last))["cells"][SUPPLIER]["subject"] == SUPPLIER_A

    answer = await meters.send(estate.command(device=last).data, last)

    verify_signature(decode(answer.content), estate.fleet.public_key(last, Usage.DIGITAL_SIGNATURE))
    assert (await rows(meters))["meter_devices"] == 1
    assert (await meters.device(last))["cells"][SUPPLIER]["subject"] == SUPPLIER_B
    assert (await meters.device(nth(0)))["cells"][SUPPLIER]["subject"] == SUPPLIER_A
    shown = (await meters.get("/lab/fleets"))["fleets"]
    assert [(one["count"], one["changed"]) for one in shown] == [(MILLION, 1)]
    assert (await meters.send(estate.command(device=last).data, last)).status_code == 204
    assert (await meters.send(b"", nth(MILLION))).status_code == 404


@pytest.mark.parametrize("count", [1, MILLION])
async def test_memory_does_not_grow_with_the_fleet(estate: Estate, tmp_path: Path, count: int):
    """Less than a few octets a device could be spent here; the figures are in the README."""
    meters = await Running.start(estate, tmp_path)
    await install(meters, count)
    await meters.stop()
    tracemalloc.start()
    meters = await Running.start(estate, tmp_path)
    try:
        assert (await meters.get("/lab/devices?limit=5"))["total"] == count
        assert (await meters.device(nth(count - 1)))["device_type"] == "ESME"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await meters.stop()
    assert peak < 16 * MILLION


async def test_what_is_refused_leaves_no_row(meters: Running, estate: Estate):
    await install(meters, 10)
    assert (await meters.send(b"nonsense", nth(3))).status_code == 204
    assert (await rows(meters))["meter_devices"] == 0
    refusals = (await meters.get(f"/lab/devices/{nth(3)}/refusals"))["refusals"]
    assert refusals[0]["refused"]["check"] == "meter.inner"


async def test_a_refusal_that_raises_an_alert_leaves_a_row_for_its_counter(
    meters: Running, estate: Estate
):
    await install(meters, 10)
    before, untouched = await meters.device(nth(3)), await meters.device(nth(4))
    forged = bytearray(estate.command(device=nth(3)).data)
    forged[-1] ^= 1
    for _ in range(3):
        assert (await meters.send(bytes(forged), nth(3))).status_code == 204
    await meters.settled()

    assert (await rows(meters))["meter_devices"] == 1
    after = await meters.device(nth(3))
    assert after["alert_counter"] == before["alert_counter"] + 1
    assert {k: v for k, v in after.items() if k not in ("alert_counter", "log")} == {
        k: v for k, v in before.items() if k not in ("alert_counter", "log")
    }
    assert await meters.device(nth(4)) == untouched
    (alert,) = meters.alerts
    assert decode(alert).header.originator == nth(3)


async def test_a_disbanded_fleet_leaves_no_history(meters: Running):
    await install(meters, 10)
    for _ in range(4):
        await meters.send(b"nonsense", nth(3))
    await meters.lab.delete(f"/lab/fleets/{nth(0)}")
    await install(meters, 10)
    assert (await meters.device(nth(3)))["log"] == []
    assert (await meters.get(f"/lab/devices/{nth(3)}/refusals"))["refusals"] == []
    assert (await meters.get(f"/lab/devices/{nth(3)}/alerts"))["codes"] == []


async def test_future_dated_in_a_fleet_outlives_a_restart(estate: Estate, tmp_path: Path):
    meters = await Running.start(estate, tmp_path)
    await install(meters, 10)
    later = estate.command(device=nth(4)).with_fields(execution_date_time="20261122120000Z")
    assert (await meters.send(later.data, nth(4))).status_code == 200
    await meters.stop()
    meters = await Running.start(estate, tmp_path)
    try:
        assert len((await meters.device(nth(4)))["pending"]) == 1
        assert (await meters.device(nth(5)))["pending"] == []
    finally:
        await meters.stop()


async def everyone(meters: Running, limit: int, after: str = "") -> list[str]:
    found: list[str] = []
    while True:
        page = await meters.get(f"/lab/devices?limit={limit}&after={after}")
        found += [one["eui"] for one in page["devices"]]
        if page["next"] is None:
            assert page["total"] == len(found) or after
            return found
        after = page["next"]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_hold_every_device_once_in_order(meters: Running, estate: Estate, limit: int):
    await install(meters, 5)
    await install(meters, 4, first_eui=nth(8))
    for eui in (nth(6), nth(20)):
        await meters.install(eui=eui)
    await meters.send(estate.command(device=nth(2)).data, nth(2))
    for number in (1, 9, 10):
        assert (await meters.lab.delete(f"/lab/devices/{nth(number)}")).status_code == 204
    await meters.install(eui=nth(9))
    expected = [nth(n) for n in (0, 2, 3, 4, 6, 8, 9, 11, 20)]
    assert await everyone(meters, limit) == expected
    assert (await meters.get(f"/lab/devices?limit={limit}"))["total"] == len(expected)


async def test_a_page_in_the_middle_of_a_million(meters: Running):
    await install(meters)
    page = await meters.get(f"/lab/devices?limit=2&after={nth(777_777)}")
    assert [one["eui"] for one in page["devices"]] == [nth(777_778), nth(777_779)]
    assert page["total"] == MILLION
    part = await meters.get("/lab/devices?limit=1&after=0253494da00")
    assert part["devices"][0]["eui"] == FIRST
    same = await meters.get(f"/lab/devices?limit=1&after={FIRST.upper()}")
    assert same == await meters.get(f"/lab/devices?limit=1&after={FIRST}")
    for nonsense in ("x", FIRST + "0"):
        answer = await meters.lab.get("/lab/devices", params={"after": nonsense})
        assert answer.status_code == 422


async def test_a_device_of_a_fleet_can_be_scrapped_and_made_anew(meters: Running, estate: Estate):
    await install(meters, 3)
    await meters.send(estate.command(device=nth(1)).data, nth(1))
    for _ in range(2):
        assert (await meters.lab.delete(f"/lab/devices/{nth(1)}")).status_code == 204
        assert (await meters.lab.delete(f"/lab/devices/{nth(1)}")).status_code == 404
        assert (await meters.send(b"", nth(1))).status_code == 404
        assert (await meters.get("/lab/devices"))["total"] == 2
        assert (await meters.install(eui=nth(1))).status_code == 201
        assert (await meters.device(nth(1)))["counters"]["credentials"] == {}
        assert (await meters.get("/lab/devices"))["total"] == 3


async def test_nothing_is_installed_where_something_is(meters: Running):
    await meters.install(eui=nth(50))
    await install(meters, 10)
    for order in (
        fleet(meters, 11),
        fleet(meters, 10, first_eui=nth(9)),
        fleet(meters, 1, first_eui=nth(50)),
        fleet(meters, 100, first_eui=nth(20)),
    ):
        answer = await meters.lab.post("/lab/fleets", json=order)
        assert (answer.status_code, answer.json()["check"]) == (409, "meter.install.new")
    assert (await meters.install(eui=nth(5))).status_code == 409
    again = await meters.lab.post("/lab/fleets", json=fleet(meters, 10))
    assert (again.status_code, again.json()["installed"]) == (200, 0)
    assert (await meters.get("/lab/devices"))["total"] == 11


async def test_a_fleet_is_disbanded_whole(meters: Running, estate: Estate):
    await install(meters, 10)
    await meters.send(estate.command(device=nth(2)).data, nth(2))
    await meters.lab.delete(f"/lab/devices/{nth(3)}")
    assert (await meters.lab.delete(f"/lab/fleets/{nth(1)}")).status_code == 404
    assert (await meters.lab.delete(f"/lab/fleets/{FIRST}")).status_code == 204
    assert await meters.get("/lab/devices") == {"total": 0, "devices": [], "next": None}
    await install(meters, 10)
    device = await meters.device(nth(2))
    assert (device["counters"]["credentials"], device["log"]) == ({}, [])


@pytest.mark.parametrize(
    ("check", "change"),
    [
        ("meter.install.identity", {"first_eui": "0253494dffffffff", "count": 2}),
        ("meter.install.identity", {"first_eui": "00db1234567890a0"}),
        ("meter.install.cells", {"cells": {}}),
    ],
)
async def test_a_fleet_passes_the_same_factory_checks(
    meters: Running, check: str, change: dict[str, Any]
):
    answer = await meters.lab.post("/lab/fleets", json=fleet(meters, 10) | change)
    assert (answer.status_code, answer.json()["check"]) == (422, check)
    assert (await meters.get("/lab/fleets"))["fleets"] == []
    await meters.switch(check, enabled=False)
    twin = await meters.lab.post("/lab/fleets", json=fleet(meters, 10) | change)
    assert twin.status_code == 201


@pytest.mark.parametrize("change", [{"count": 0}, {"count": "9"}, {"certificates": {"a": ""}}])
async def test_what_is_no_order_for_a_fleet(meters: Running, change: dict[str, Any]):
    answer = await meters.lab.post("/lab/fleets", json=fleet(meters, 10) | change)
    assert answer.status_code == 422


async def test_a_device_whose_power_goes_before_its_first_change_is_kept_has_no_row(
    meters: Running, estate: Estate
):
    await install(meters, 10)
    path = f"/lab/devices/{nth(6)}/power"
    await meters.lab.put(path, json={"off_after_step": "state stored"})
    data = estate.command(device=nth(6)).data
    assert (await meters.send(data, nth(6))).status_code == 204
    assert (await rows(meters))["meter_devices"] == 0
    await meters.lab.put(path, json={"on": True})
    assert (await meters.device(nth(6)))["cells"][SUPPLIER]["subject"] == SUPPLIER_A
    assert (await meters.send(data, nth(6))).status_code == 200
    assert (await meters.device(nth(6)))["cells"][SUPPLIER]["subject"] == SUPPLIER_B
