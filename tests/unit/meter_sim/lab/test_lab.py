"""The lab port: the factory and what it refuses, looking into devices, time, Alerts, scrapping."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from gbcs.message import decode
from gbcs.payloads.credentials import decode_alert
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.stores.private import sign_raw
from meter_sim.checks import INSTALLATION
from meter_sim.device.device_types import (
    CELLS,
    SUPPLIER_DS,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    DeviceType,
)
from meter_sim.device.security_log import KEPT
from meter_sim.store import history
from tests.unit.meter_sim.estate import (
    ACB,
    DEVICE,
    NOW,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Estate,
    device_certificate,
    make_authority,
)
from tests.unit.meter_sim.running import CrashedError, Running

SUPPLIER = "supplier/digitalSignature/management"


@pytest.mark.parametrize("kind", DeviceType)
async def test_every_type_of_device_can_be_installed(meters: Running, kind: DeviceType):
    assert (await meters.install(kind)).json() == {"asked": 1, "installed": 1}
    device = await meters.device()
    assert device["device_type"] == kind.value
    table = CELLS[kind]
    assert set(device["cells"]) == {cell.name for cell in table.required | table.optional}
    assert device["pending"] == device["log"] == []


async def test_installing_the_same_again_changes_nothing(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(estate.command().data)
    again = await meters.install()
    assert (again.status_code, again.json()["installed"]) == (200, 0)
    assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_B
    other = await meters.install(DeviceType.GSME)
    assert (other.status_code, other.json()["check"]) == (409, "meter.install.new")
    assert (await meters.device())["device_type"] == "ESME"


async def test_own_certificates_are_kept_and_shown(meters: Running, estate: Estate):
    order = meters.order()
    own = device_certificate(estate, DEVICE, "digital_signature")
    order["certificates"] = {"digital-signing": base64.b64encode(own.der).decode()}
    assert (await meters.lab.post("/lab/devices", json=order)).status_code == 201
    shown = (await meters.device())["certificates"]["digital-signing"]
    assert shown["subject"] == DEVICE
    assert shown["fingerprint"] == own.fingerprint


def real(estate: Estate) -> Any:
    """Credentials without the marks, as a published test infrastructure has them."""
    authority = make_authority("Z1", "07", estate.root, "1.2.826.0.1.8641679.1.2.1.4")
    return estate.identity(
        SUPPLIER_A, "02", issuer=authority, policy="1.2.826.0.1.8641679.1.2.1.4"
    ).certificate


def without(order: dict[str, Any], cell: str) -> dict[str, Any]:
    return order | {"cells": {name: der for name, der in order["cells"].items() if name != cell}}


def with_cell(order: dict[str, Any], cell: str, der: bytes) -> dict[str, Any]:
    return order | {"cells": order["cells"] | {cell: base64.b64encode(der).decode()}}


def with_own(order: dict[str, Any], der: bytes) -> dict[str, Any]:
    return order | {"certificates": {"digital-signing": base64.b64encode(der).decode()}}


def compressed(estate: Estate, der: bytes) -> bytes:
    return in_odd_form(der, OddForm.COMPRESSED_POINT, partial(sign_raw, estate.issuing.key))


BAD_ORDERS = {
    "a real EUI-64": (
        "meter.install.identity",
        lambda e, o: o | {"eui": "00db1234567890a0"},
    ),
    "no EUI-64": ("meter.install.identity", lambda e, o: o | {"eui": "DEVICE"}),
    "no type": ("meter.install.identity", lambda e, o: o | {"device_type": "TOASTER"}),
    "an empty cell": ("meter.install.cells", lambda e, o: without(o, SUPPLIER)),
    "a cell too many": (
        "meter.install.cells",
        lambda e, o: with_cell(
            o, "wanProvider/digitalSignature/management", e.holder(SUPPLIER_DS).certificate.der
        ),
    ),
    "no cell's name": ("meter.install.cells", lambda e, o: with_cell(o, "a/b/c", b"")),
    "another role": (
        "meter.install.contents",
        lambda e, o: with_cell(o, SUPPLIER, e.identity(TCOS, "05").certificate.der),
    ),
    "another use": (
        "meter.install.contents",
        lambda e, o: with_cell(o, SUPPLIER, e.holder(SUPPLIER_KA).certificate.der),
    ),
    "no wrapped key": (
        "meter.install.contingency_key",
        lambda e, o: o | {"wrapped_contingency_key": "AAAA"},
    ),
    "no certificate": ("meter.install.contents", lambda e, o: with_cell(o, SUPPLIER, b"\x30\x00")),
    "another device's certificate": (
        "meter.install.own_certificates",
        lambda e, o: with_own(
            o, device_certificate(e, "0253494dd0000002", "digital_signature").der
        ),
    ),
    "a compressed point in a cell": (
        "meter.install.contents",
        lambda e, o: with_cell(o, SUPPLIER, compressed(e, e.holder(SUPPLIER_DS).certificate.der)),
    ),
    "a compressed point of its own": (
        "meter.install.own_certificates",
        lambda e, o: with_own(
            o, compressed(e, device_certificate(e, DEVICE, "digital_signature").der)
        ),
    ),
    "another key's certificate": (
        "meter.install.own_certificates",
        lambda e, o: with_own(
            o, device_certificate(e, DEVICE, "digital_signature", wrong=True).der
        ),
    ),
    "unmarked material": (
        "meter.install.simulated",
        lambda e, o: with_cell(o, SUPPLIER, real(e).der),
    ),
}


@pytest.mark.parametrize("name", BAD_ORDERS)
async def test_what_the_factory_refuses(meters: Running, estate: Estate, name: str):
    check, spoil = BAD_ORDERS[name]
    refused = await meters.lab.post("/lab/devices", json=spoil(estate, meters.order()))
    assert refused.status_code == 422
    assert refused.json()["check"] == check
    assert (await meters.get("/lab/devices"))["total"] == 0


@pytest.mark.parametrize(
    "name", ["a real EUI-64", "another role", "unmarked material", "another key's certificate"]
)
async def test_and_makes_with_that_check_off(meters: Running, estate: Estate, name: str):
    check, spoil = BAD_ORDERS[name]
    await meters.switch(check, enabled=False)
    made = await meters.lab.post("/lab/devices", json=spoil(estate, meters.order()))
    assert made.status_code == 201, made.text


def test_every_installation_check_has_a_case():
    assert {check.id for check in INSTALLATION} == {check for check, _ in BAD_ORDERS.values()}


async def test_a_new_device_may_hold_the_brokers_certificates(meters: Running, estate: Estate):
    held = {
        SUPPLIER_DS: estate.identity(ACB, "04"),
        SUPPLIER_KA: estate.identity(ACB, "04", "key_agreement"),
        SUPPLIER_TOP_UP: estate.identity(ACB, "04", "key_agreement"),
    }
    cells = estate.cells(DeviceType.GPF) | {cell: one.certificate for cell, one in held.items()}
    assert (await meters.install(DeviceType.GPF, cells=cells)).status_code == 201


async def test_many_at_once_all_or_none(meters: Running):
    orders = [meters.order(eui=f"0253494dd00000{n:02x}") for n in range(20)]
    made = await meters.lab.post("/lab/devices", json=orders)
    assert made.json() == {"asked": 20, "installed": 20}
    more = [meters.order(eui="0253494dd00000aa"), meters.order(DeviceType.GSME, orders[0]["eui"])]
    assert (await meters.lab.post("/lab/devices", json=more)).status_code == 409
    assert (await meters.get("/lab/devices"))["total"] == 20


async def test_devices_are_listed_in_pages(meters: Running):
    euis = [f"0253494dd00000{n:02x}" for n in range(5)]
    await meters.lab.post("/lab/devices", json=[meters.order(eui=eui) for eui in euis])
    first = await meters.get("/lab/devices?limit=3")
    assert [d["eui"] for d in first["devices"]] == euis[:3]
    second = await meters.get(f"/lab/devices?limit=3&after={first['next']}")
    assert [d["eui"] for d in second["devices"]] == euis[3:]
    assert (first["total"], second["next"]) == (5, None)


async def test_what_is_not_there_is_said_to_be_not_there(meters: Running):
    for path in ("", "/refusals", "/trace", "/security-log", "/pending"):
        missing = await meters.lab.get(f"/lab/devices/{DEVICE}{path}")
        assert (missing.status_code, missing.json()["check"]) == (404, "meter.device.known")
    assert (await meters.lab.delete(f"/lab/devices/{DEVICE}")).status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"eui": DEVICE}, {"eui": 5}, [], "x", {"cells": {"a": "not base64!"}}]
)
async def test_orders_that_are_none(meters: Running, body: Any):
    if isinstance(body, dict) and "cells" in body:
        body = meters.order() | body
    answer = await meters.lab.post("/lab/devices", json=body)
    assert answer.status_code in {200, 422}
    assert (await meters.get("/lab/devices"))["total"] == 0


async def test_scrapping_forgets_the_device(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    assert (await meters.lab.delete(f"/lab/devices/{DEVICE}")).status_code == 204
    assert (await meters.send(estate.command(counter=6002).data)).status_code == 404
    meters.service.base.clock.set(NOW + timedelta(days=2))
    await meters.settled()
    assert meters.alerts == []
    await meters.install()
    assert (await meters.device())["log"] == []


async def test_when_its_time_comes_it_is_executed_and_the_alert_pushed(
    meters: Running, estate: Estate
):
    await meters.install()
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    pending = (await meters.get(f"/lab/devices/{DEVICE}/pending"))["pending"]
    assert [p["role"] for p in pending] == ["transitionalCoS"]
    assert pending[0]["reference"] == f"{TCOS}:{DEVICE}:6001"

    held = await meters.lab.put("/lab/clock", json={"mode": "held", "at": "2026-11-22T11:59:59Z"})
    assert held.status_code == 200
    await meters.settled()
    assert meters.alerts == []
    await meters.lab.put("/lab/clock", json={"step": 1})
    await meters.settled()

    alert = decode_alert(decode(meters.alerts[0]).payload)
    assert alert.alert_code == 0x8F66
    device = await meters.device()
    assert device["cells"][SUPPLIER]["subject"] == SUPPLIER_B
    assert device["pending"] == []
    assert device["alert_counter"] == 1
    assert [entry["code"] for entry in device["log"]] == ["0x8F70", "0x8F66"]


async def test_the_watch_wakes_when_the_clock_is_changed(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    await meters.lab.put("/lab/clock", json={"mode": "held", "at": "2026-11-22T12:00:00Z"})
    async with asyncio.timeout(60):
        await meters.alerted.wait()
    assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_B


async def test_the_watch_wakes_when_the_time_comes_by_itself(meters: Running, estate: Estate):
    await meters.install()
    base, due = meters.service.base, NOW + timedelta(days=1)
    base.clock.shift(due - timedelta(seconds=1) - base.system_clock.now())
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    async with asyncio.timeout(60):
        await meters.alerted.wait()
    assert (await meters.device())["pending"] == []


async def test_whoever_watches_is_told_of_what_is_pending_and_of_nothing_else(
    meters: Running, estate: Estate
):
    told: list[str] = []
    meters.workflow.when_pending(lambda: told.append("pending"))
    await meters.install()
    await meters.send(estate.command().data)
    await meters.send(b"noise")
    assert told == []
    later = estate.command(counter=6002)
    await meters.send(later.with_fields(execution_date_time="20261122120000Z").data)
    assert told == ["pending"]


async def test_the_watch_outlives_a_failure(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    meters.crash_at = "executed"
    meters.service.base.clock.set(NOW + timedelta(days=1))
    with pytest.raises(CrashedError):
        await meters.executed()
    meters.crash_at = None
    async with asyncio.timeout(60):
        await meters.alerted.wait()


async def test_an_alert_nobody_wants_is_not_repeated_for_ever(meters: Running, estate: Estate):
    await meters.install()
    meters.alert_status = 403
    await meters.send(estate.command().with_fields(execution_date_time="20200101000000Z").data)
    async with asyncio.timeout(60):
        await meters.alerted.wait()
    await meters.settled()
    assert [entry["state"] for entry in (await meters.get("/lab/outbox"))["entries"]] == ["dead"]
    assert len(meters.alerts) == 1


async def test_the_security_log_keeps_the_newest(meters: Running):
    await meters.install()
    for n in range(KEPT + 45):
        await meters.send(bytes([n]))
    log = (await meters.get(f"/lab/devices/{DEVICE}/security-log"))["entries"]
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert len(log) == len(refusals) == KEPT
    assert refusals[-1]["heard"] == base64.b64encode(bytes([KEPT + 44])).decode()
    async with meters.service.base.database.connect() as conn:
        for table in (history.exchanges, history.security_log):
            rows = (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            assert KEPT <= rows < KEPT + history.ROWS_BETWEEN_LOOKS


async def test_the_order_says_what_the_record_says_and_more(meters: Running):
    """A device record names its meter point and supplier; a meter knows neither."""
    order = meters.order() | {"mpxn": "1234567890123", "supplier": "A", "cos_party": "tcos_party"}
    assert (await meters.lab.post("/lab/devices", json=order)).status_code == 201
    assert "1234567890123" not in (await meters.lab.get(f"/lab/devices/{DEVICE}")).text


def test_no_key_material_in_a_repr(estate: Estate):
    own = estate.fleet.keys_of(DEVICE)
    z = own.shared_secret(estate.acb_ka.certificate)
    for shown in (repr(own), repr(estate.fleet), repr(replace(estate.means()))):
        assert z.hex() not in shown
        assert repr(z) not in shown
