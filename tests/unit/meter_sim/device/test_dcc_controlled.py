"""A newly installed device is the Broker's, until modes 2 and 3 hand it over."""

from __future__ import annotations

import base64

import pytest

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import decode
from meter_sim.device.dcc_controlled import HELD_BY_BROKER, BrokerCertificates, dcc_controlled
from meter_sim.device.device_types import CELLS, DeviceType
from tests.unit.meter_sim.estate import (
    ACB,
    DEVICE,
    NETWORK,
    SUPPLIER_A,
    SUPPLIER_B,
    Estate,
)
from tests.unit.meter_sim.running import Running


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


async def install(meters: Running, estate: Estate, kind: DeviceType) -> None:
    order = meters.order(kind)
    order["cells"] = {
        name: der
        for name, der in order["cells"].items()
        if not name.startswith(("supplier/", "networkOperator/"))
    }
    order["dcc_controlled"] = {
        "digital_signature": b64(estate.identity(ACB, "04").certificate.der),
        "key_agreement": b64(estate.acb_ka.certificate.der),
    }
    answer = await meters.lab.post("/lab/devices", json=order)
    assert answer.status_code == 201, answer.text


async def holders(meters: Running) -> dict[str, set[str]]:
    cells = (await meters.device())["cells"]
    found: dict[str, set[str]] = {}
    for name, held in cells.items():
        found.setdefault(name.partition("/")[0], set()).add(held["subject"])
    return found


@pytest.mark.parametrize("kind", [DeviceType.ESME, DeviceType.GSME, DeviceType.GPF])
async def test_the_broker_holds_a_new_device_and_hands_it_over(
    meters: Running, estate: Estate, kind: DeviceType
):
    await install(meters, estate, kind)
    held = await holders(meters)
    assert (held["supplier"], held["networkOperator"]) == ({ACB}, {ACB})
    broker = estate.identity(ACB, "04")

    stranger = estate.command(Mode.SUPPLIER_BY_SUPPLIER, device_type=kind)
    assert (await meters.send(stranger.data)).status_code == 204
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert refusals[-1]["refused"]["check"] == "meter.originator"

    for mode, new, counter in (
        (Mode.SUPPLIER_BY_SUPPLIER, SUPPLIER_B, 6001),
        (Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR, NETWORK, 6002),
    ):
        command = estate.command(
            mode, device_type=kind, originator=ACB, signer=broker, counter=counter
        )
        cells = [one.cell for one in command.replacing()]
        command = command.but(replacements=tuple(command.new(cell, new) for cell in cells))
        command = command.with_fields(new_floor=0)
        answer = await meters.send(command.data)
        assert decode(answer.content).header.recipient == ACB
    held = await holders(meters)
    assert (held["supplier"], held["networkOperator"]) == ({SUPPLIER_B}, {NETWORK})

    late = estate.command(
        Mode.SUPPLIER_BY_SUPPLIER, device_type=kind, originator=ACB, signer=broker, counter=6003
    )
    assert (await meters.send(late.data)).status_code == 204, "it is no longer the Broker's"
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert refusals[-1]["refused"]["check"] == "meter.originator"
    await meters.switch("meter.originator", enabled=False)
    await meters.switch("meter.signature", enabled=False)
    assert (await meters.send(late.data)).status_code == 200, "the twin: unless nobody looks"
    assert (await holders(meters))["supplier"] == {SUPPLIER_A}


async def test_a_whole_fleet_may_begin_so(meters: Running, estate: Estate):
    broker = {
        "digital_signature": b64(estate.identity(ACB, "04").certificate.der),
        "key_agreement": b64(estate.acb_ka.certificate.der),
    }
    cells = meters.order()["cells"]
    some = {name: der for name, der in cells.items() if not name.startswith("supplier/")}
    order = {"first_eui": DEVICE, "count": 1000, "device_type": "ESME", "cells": some}
    answer = await meters.lab.post("/lab/fleets", json=order | {"dcc_controlled": broker})
    assert answer.status_code == 201, answer.text
    held = await holders(meters)
    assert (held["supplier"], held["networkOperator"]) == ({ACB}, {NETWORK})


@pytest.mark.parametrize("kind", DeviceType)
def test_each_type_has_its_cells_filled_and_no_others(kind: DeviceType):
    broker = BrokerCertificates(b"ds", b"ka")
    filled = dcc_controlled(kind.value, {}, broker)
    wanted = {cell.name for cell in CELLS[kind].required if cell.role in HELD_BY_BROKER}
    assert set(filled) == wanted
    for name, der in filled.items():
        assert der == (b"ds" if "/digitalSignature/" in name else b"ka")
    given = dict.fromkeys(wanted, b"own")
    assert dcc_controlled(kind.value, given, broker) == given
    assert {Role.SUPPLIER, Role.NETWORK_OPERATOR} == HELD_BY_BROKER


def test_no_such_type_has_no_cells():
    assert dcc_controlled("TOASTER", {"a": b"b"}, BrokerCertificates(b"", b"")) == {"a": b"b"}
