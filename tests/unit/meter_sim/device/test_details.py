"""CS02a and CS02f: who may ask, how the answer is protected, what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gbcs.codes import Cra, StatusCode
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import CellId
from gbcs.payloads.details import CredentialDetails, decode_details
from gbcs.protect import sign, verify_mac, verify_signature
from keys.roles import Usage
from meter_sim.device.device_types import (
    ACB_DS,
    LOAD_CONTROLLER_DS,
    NETWORK_DS,
    SUPPLIER_DS,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    TRANS_COS_DS,
    DeviceType,
)
from meter_sim.device.model import Counters, DeviceState, NotUnderstood
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    ACB,
    DEVICE,
    LOAD,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Estate,
    Identity,
    ask_details,
    hear,
    make_book,
)


def answer(state: DeviceState, ask: Message, estate: Estate) -> tuple[Message, CredentialDetails]:
    said = decode(hear(state, encode(ask), estate.means()).response)
    return said, decode_details(said.payload)


def test_the_broker_asks_by_mac_and_is_answered_by_mac(estate: Estate, esme: DeviceState):
    state = replace(esme, counters=Counters(credentials={Role.SUPPLIER: 12}))
    said, details = answer(
        state, ask_details(estate, (Role.SUPPLIER, Role.NETWORK_OPERATOR)), estate
    )
    assert (said.header.cra, said.header.recipient) == (Cra.RESPONSE, ACB)
    assert said.header.date_time is None
    assert said.signature == b""
    verify_mac(said, estate.command().z)
    supplier, network = details.roles
    assert (supplier.role, supplier.status, supplier.current_counter) == (
        Role.SUPPLIER,
        StatusCode.SUCCESS,
        12,
    )
    assert supplier.held is not None
    assert [(one.key_usage, one.cell_usage) for one in supplier.held] == [
        (cell.key_usage, cell.cell_usage) for cell in (SUPPLIER_DS, SUPPLIER_KA, SUPPLIER_TOP_UP)
    ]
    assert {one.subject.hex() for one in supplier.held} == {SUPPLIER_A}
    assert supplier.held[0].key_id == esme.cells[SUPPLIER_DS].key_identifier
    assert network.current_counter == 0


def test_a_cos_party_asks_by_signature_and_is_answered_by_signature(
    estate: Estate, esme: DeviceState
):
    ask = ask_details(
        estate,
        (Role.TRANSITIONAL_COS,),
        by=estate.holder(TRANS_COS_DS),
        cell=TRANS_COS_DS,
        originator=TCOS,
    )
    said, details = answer(esme, ask, estate)
    assert said.mac is None
    verify_signature(said, estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE))
    assert details.roles[0].held is not None
    assert details.roles[0].held[0].subject.hex() == TCOS


def test_a_communications_hub_is_asked_by_the_brokers_signing_cell(estate: Estate):
    ask = ask_details(estate, (Role.ACCESS_CONTROL_BROKER,), cell=ACB_DS)
    _, details = answer(estate.device(DeviceType.CHF), ask, estate)
    assert details.roles[0].held is not None
    assert len(details.roles[0].held) == 2


def test_a_party_of_several_cells_is_heard_for_the_one_it_names(estate: Estate):
    broker = estate.identity(ACB, "04")
    state = estate.device(DeviceType.GPF)
    both = {SUPPLIER_DS: broker.certificate, NETWORK_DS: broker.certificate}
    state = replace(state, cells={**state.cells, **both})
    for counter, cell in enumerate(both, start=1):
        ask = ask_details(estate, (Role.SUPPLIER,), by=broker, cell=cell, counter=counter)
        after = hear(state, encode(ask), estate.means()).state
        assert after.counters.commands == {cell.role: counter}


def test_roles_that_are_not_there(estate: Estate, esme: DeviceState):
    _, details = answer(
        esme, ask_details(estate, (Role.WAN_PROVIDER, Role.LOAD_CONTROLLER)), estate
    )
    assert [role.status for role in details.roles] == [StatusCode.TRUST_ANCHOR_NOT_FOUND] * 2
    assert details.roles[0].held is None


def test_cs02f_knows_the_load_controller(estate: Estate, esme: DeviceState):
    ask = ask_details(
        estate,
        (Role.LOAD_CONTROLLER, Role.OTHER),
        code=0x011B,
        by=estate.holder(LOAD_CONTROLLER_DS),
        cell=LOAD_CONTROLLER_DS,
        originator=LOAD,
    )
    _, details = answer(esme, ask, estate)
    assert [role.status for role in details.roles] == [StatusCode.SUCCESS, StatusCode.OTHER]


def by_stranger(estate: Estate) -> Message:
    stranger = estate.identity(SUPPLIER_B, "02")
    return ask_details(
        estate, (Role.SUPPLIER,), by=stranger, cell=SUPPLIER_DS, originator=SUPPLIER_B
    )


def with_nonsense(estate: Estate) -> Message:
    ask = ask_details(estate, (), by=estate.holder(TRANS_COS_DS), originator=TCOS)
    return sign(replace(ask, payload=b"\x30\x00"), estate.holder(TRANS_COS_DS).sign)


def from_cos_party(estate: Estate, by: Identity, cell: CellId) -> Message:
    return ask_details(estate, (Role.SUPPLIER,), by=by, cell=cell, originator=TCOS)


TWINS: dict[str, tuple[str, Callable[[Estate], Message]]] = {
    "by mac in another's name": (
        "meter.originator",
        lambda e: ask_details(e, (Role.SUPPLIER,), originator=TCOS),
    ),
    "a stolen name": (
        "meter.signature",
        lambda e: from_cos_party(e, e.identity(SUPPLIER_B, "02"), TRANS_COS_DS),
    ),
    "from another's cell": (
        "meter.authorising_cell",
        lambda e: from_cos_party(e, e.holder(TRANS_COS_DS), SUPPLIER_DS),
    ),
    "no mac": ("meter.mac", lambda e: replace(ask_details(e, (Role.SUPPLIER,)), mac=bytes(12))),
}


@pytest.mark.parametrize("name", TWINS)
def test_who_may_not_ask(estate: Estate, esme: DeviceState, name: str):
    check, ask = TWINS[name]
    data = encode(ask(estate))
    with pytest.raises(Refused) as refused:
        hear(esme, data, estate.means())
    assert refused.value.check == check
    assert hear(esme, data, estate.means(make_book(check))).response


@pytest.mark.parametrize(
    ("check", "ask"), [("meter.originator", by_stranger), ("meter.payload", with_nonsense)]
)
def test_what_nobody_could_answer(
    estate: Estate, esme: DeviceState, check: str, ask: Callable[[Estate], Message]
):
    """With the check off too: there is no key to verify with, or nothing that was asked."""
    data = encode(ask(estate))
    with pytest.raises(Refused) as refused:
        hear(esme, data, estate.means())
    assert refused.value.check == check
    with pytest.raises((Refused, NotUnderstood)):
        hear(esme, data, estate.means(make_book(check)))
