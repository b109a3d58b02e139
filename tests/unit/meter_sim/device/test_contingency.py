"""Mode 9: a Command verified with a key that was unwrapped by what the Command itself brings."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.codes import StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import CellId, Replacement, SeqNumberChange, decode_update
from keys.certificate import Certificate
from meter_sim.device.contingency import WRAPPED_OCTETS, NoContingencyKeyError, unwrap, wrap
from meter_sim.device.device_types import ROOT, SUPPLIER_DS
from meter_sim.device.model import DeviceState
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    DEVICE,
    SUPPLIER_B,
    Command,
    Estate,
    Identity,
    hear,
    key,
    make_authority,
    make_book,
)
from tests.unit.meter_sim.running import Running

SYMMETRIC = bytes(range(16))
APEX = key("contingency")
WRAPPED = wrap(APEX.public_key(), SYMMETRIC)
ORIGINATOR = "0253494d000017ff"


@pytest.fixture
def device(esme: DeviceState) -> DeviceState:
    return replace(esme, wrapped_contingency=WRAPPED)


def everything(estate: Estate, **changes: object) -> Command:
    """A new root that nobody held knows, and a supplier under it."""
    root = make_authority("SIM-ZD", "00", None)
    issuing = make_authority("SIM-Z4", "07", root)
    supplier = estate.identity(SUPPLIER_B, "02", issuer=issuing).certificate
    command = estate.command(
        Mode.ANY_BY_CONTINGENCY,
        originator=ORIGINATOR,
        signer=Identity(APEX, root.certificate),
        replacements=(
            Replacement(root.certificate.der, ROOT),
            Replacement(supplier.der, SUPPLIER_DS),
        ),
    )
    fields = {
        "plaintext_symmetric_key": SYMMETRIC,
        "path_certificates": (issuing.certificate.der,),
        "other_changes": (SeqNumberChange(Role.SUPPLIER, 9, None),),
    }
    return command.with_fields(**{**fields, **changes})


def refused(state: DeviceState, command: Command, estate: Estate) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        hear(state, command.data, estate.means())
    return caught.value.check, caught.value.detail


def test_a_lost_root_is_replaced_and_what_stands_under_the_new_one(
    estate: Estate, device: DeviceState
):
    command = everything(estate)
    reaction = hear(device, command.data, estate.means())
    assert [cell.status for cell in reaction.cells] == [StatusCode.SUCCESS] * 2
    assert reaction.state.cells[ROOT].der == command.replacing()[0].certificate
    assert reaction.state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_B
    assert reaction.state.counters.credentials == {Role.ROOT: 6001, Role.SUPPLIER: 9}
    assert reaction.state.wrapped_contingency == WRAPPED
    said = decode(reaction.response)
    assert (said.header.recipient, said.message_code) == (ORIGINATOR, 0x0109)
    assert hear_again(reaction.state, command, estate) == "meter.counter"


def hear_again(state: DeviceState, command: Command, estate: Estate) -> str:
    return refused(state, command, estate)[0]


def test_another_key_than_the_contingency_key_is_refused_by_its_signature(
    estate: Estate, device: DeviceState
):
    forged = everything(estate).but(signer=estate.identity(SUPPLIER_B, "02"))
    assert refused(device, forged, estate)[0] == "meter.signature"
    twin = hear(device, forged.data, estate.means(make_book("meter.signature")))
    assert twin.state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_B


@pytest.mark.parametrize("symmetric", [bytes(16), bytes(15), b""])
def test_another_symmetric_key_unwraps_nothing(
    estate: Estate, device: DeviceState, symmetric: bytes
):
    wrong = everything(estate, plaintext_symmetric_key=symmetric)
    check, detail = refused(device, wrong, estate)
    assert check == "meter.contingency_key"
    assert SYMMETRIC.hex() not in detail
    twin = hear(device, wrong.data, estate.means(make_book("meter.contingency_key")))
    assert twin.state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_B


def test_a_device_without_one_refuses_all_contingency(estate: Estate, esme: DeviceState):
    assert refused(esme, everything(estate), estate)[0] == "meter.contingency_key"


@pytest.mark.parametrize("cell", [None, SUPPLIER_DS], ids=["none", "the supplier's"])
def test_it_names_the_root_cell_as_its_authority(
    estate: Estate, device: DeviceState, cell: CellId | None
):
    """Only the Broker's own replacement leaves the cell out (GBCS 0.8.1 p179)."""
    assert decode_update(everything(estate).message.payload).authorising_cell == ROOT
    command = everything(estate, authorising_cell=cell)
    assert refused(device, command, estate)[0] == "meter.authorising_cell"
    twin = hear(device, command.data, estate.means(make_book("meter.authorising_cell")))
    assert twin.state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_B


def test_without_a_symmetric_key_it_is_no_contingency(estate: Estate, device: DeviceState):
    command = everything(estate, plaintext_symmetric_key=None)
    assert refused(device, command, estate) == (
        "meter.contingency_key",
        "the Command brings no symmetric key",
    )
    garbage = everything(estate).but(payload=b"\x30\x00")
    assert refused(device, garbage, estate)[0] == "meter.contingency_key"


def test_the_new_root_must_at_least_be_signed_by_itself(estate: Estate, device: DeviceState):
    other = make_authority("SIM-ZD", "00", estate.root).certificate
    command = everything(estate).but(replacements=(Replacement(other.der, ROOT),))
    means = estate.means(make_book("meter.certificate.profile"))
    reaction = hear(device, command.data, means)
    assert [cell.status for cell in reaction.cells] == [StatusCode.NO_TRUST_ANCHOR]
    assert reaction.state.cells[ROOT] == device.cells[ROOT]
    both = estate.means(make_book("meter.certificate.profile", "meter.certificate.path"))
    assert hear(device, command.data, both).state.cells[ROOT] == other


def test_what_is_wrapped_comes_out_again_and_nothing_else():
    assert len(WRAPPED) == WRAPPED_OCTETS
    assert unwrap(WRAPPED, SYMMETRIC) == APEX.public_key()
    flipped = bytes((WRAPPED[0] ^ 1,)) + WRAPPED[1:]
    for wrapped in (flipped, WRAPPED[:-8], b"", WRAPPED + bytes(8)):
        with pytest.raises(NoContingencyKeyError):
            unwrap(wrapped, SYMMETRIC)
    with pytest.raises(NoContingencyKeyError):
        wrap(APEX.public_key(), bytes(32))


async def test_it_is_installed_with_the_device_and_used_over_the_wan(
    meters: Running, estate: Estate
):
    text = base64.b64encode(WRAPPED).decode()
    order = meters.order() | {"wrapped_contingency_key": text}
    short = await meters.lab.post("/lab/devices", json=order | {"wrapped_contingency_key": "AAAA"})
    assert (short.status_code, short.json()["check"]) == (422, "meter.install.contingency_key")
    assert (await meters.lab.get(f"/lab/devices/{DEVICE}")).status_code == 404
    assert (await meters.lab.post("/lab/devices", json=order)).status_code == 201
    assert (await meters.device())["contingency_key"] is True
    assert text not in (await meters.lab.get(f"/lab/devices/{DEVICE}")).text

    command = everything(estate)
    assert (await meters.send(command.data)).status_code == 200
    held = (await meters.device())["cells"]["root/keyCertSign/management"]
    new = Certificate.from_der(command.replacing()[0].certificate)
    assert held["fingerprint"] == new.fingerprint


async def test_the_twin_of_the_factory_check(meters: Running, estate: Estate):
    await meters.switch("meter.install.contingency_key", enabled=False)
    order = meters.order() | {"wrapped_contingency_key": "AAAA"}
    assert (await meters.lab.post("/lab/devices", json=order)).status_code == 201
    assert (await meters.send(everything(estate).data)).status_code == 204
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert refusals[0]["refused"]["check"] == "meter.contingency_key"
