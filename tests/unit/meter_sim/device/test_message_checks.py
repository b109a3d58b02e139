"""Each check on a message: refused by exactly that one, nothing changed, nothing said; and the
same message accepted by a device with that one check off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gbcs.codes import Cra, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import OtherInformation, encode
from gbcs.payloads.credentials import SeqNumberChange, SpecialistSeqNumber
from gbcs.protect import sign
from meter_sim.checks import REQUEST
from meter_sim.device.device_types import NETWORK_DS, SUPPLIER_DS, TRANS_COS_DS, DeviceType
from meter_sim.device.model import Counters, DeviceState, NotUnderstood
from meter_sim.device.processing import process
from meter_sim.device.rules.evidence import Authority, ReceivedCommand
from meter_sim.device.use_cases import authority_of
from services.chassis.checks import Check, CheckRun, Refused
from tests.unit.meter_sim.estate import (
    ACB,
    DEVICE,
    NETWORK,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Estate,
    ask_details,
    hear,
    make_book,
)

OTHER_DEVICE = "0253494dd0000002"


@dataclass(frozen=True)
class Case:
    check: str
    data: Callable[[Estate], bytes]
    state: Callable[[DeviceState], DeviceState] = lambda state: state
    device_type: DeviceType = DeviceType.ESME
    succeeds: Callable[[DeviceState], bool] = lambda state: (
        state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_B
    )
    name: str = ""


def flipped(data: bytes, at: int) -> bytes:
    octets = bytearray(data)
    octets[at] ^= 0x01
    return bytes(octets)


def heard_before(state: DeviceState) -> DeviceState:
    return replace(state, counters=Counters(credentials={RemotePartyRole.TRANSITIONAL_COS: 6001}))


def answered(state: DeviceState) -> bool:
    return state is not None


def unsigned_by_contingency(estate: Estate) -> bytes:
    command = estate.command(
        Mode.ANY_BY_CONTINGENCY,
        originator="0253494d000017ff",
        replacements=(estate.command().new(SUPPLIER_DS, SUPPLIER_B),),
        signer=estate.identity(SUPPLIER_B, "02"),
    )
    return command.with_fields(plaintext_symmetric_key=bytes(16)).data


INNER_AT = 7 + 3 + 5  # MAC header start, three length octets, security header

CASES = [
    Case("meter.frame", lambda e: e.command().data + b"\x00", name="a trailing octet"),
    Case("meter.frame", lambda e: flipped(e.command().data, 3), name="a field that is not empty"),
    Case("meter.frame", lambda e: flipped(e.command().data, 12), name="another security header"),
    Case("meter.inner", lambda e: flipped(e.command().data, INNER_AT), name="another inner tag"),
    Case("meter.cra", lambda e: e.command(cra=Cra.RESPONSE).data, name="a Response"),
    Case("meter.cra", lambda e: e.command(cra=Cra.ALERT).data, name="an Alert"),
    Case(
        "meter.cra", lambda e: e.command(header={"date_time": bytes(12)}).data, name="a date-time"
    ),
    Case("meter.recipient", lambda e: e.command(header={"recipient": OTHER_DEVICE}).data),
    Case(
        "meter.message_code",
        lambda e: e.command(Mode.LOAD_CONTROLLER_BY_SUPPLIER).data,
        device_type=DeviceType.GSME,
        succeeds=lambda s: s.counters.credentials == {RemotePartyRole.SUPPLIER: 6001},
        name="a mode that gas meters do not have",
    ),
    Case(
        "meter.message_code",
        lambda e: encode(ask_details(e, (RemotePartyRole.LOAD_CONTROLLER,), code=0x011B)),
        device_type=DeviceType.GSME,
        succeeds=lambda s: s.counters.commands == {RemotePartyRole.ACCESS_CONTROL_BROKER: 7001},
        name="CS02f on a gas meter",
    ),
    Case(
        "meter.message_code",
        lambda e: e.command(header={"other": OtherInformation(0x0107, SUPPLIER_A)}).data,
        name="and more after it",
    ),
    Case("meter.originator", lambda e: e.command(originator=SUPPLIER_B).data, name="a stranger"),
    Case("meter.originator", lambda e: e.command(originator=ACB).data, name="the Broker"),
    Case("meter.contingency_key", unsigned_by_contingency),
    Case("meter.mac", lambda e: flipped(e.command().data, -1), name="one bit of it"),
    Case(
        "meter.mac",
        lambda e: encode(replace(e.command().message, mac=None)),
        name="no MAC header",
    ),
    Case(
        "meter.mac",
        lambda e: encode(sign(e.command().unsigned, e.holder(TRANS_COS_DS).sign)),
        name="a Signed Pre-Command that the Broker never saw",
    ),
    Case("meter.counter", lambda e: e.command().data, heard_before, name="equal"),
    Case("meter.counter", lambda e: e.command(counter=6000).data, heard_before, name="lower"),
    Case(
        "meter.signature",
        lambda e: e.command(signer=e.identity(SUPPLIER_B, "02")).data,
        name="another party's key",
    ),
    Case(
        "meter.signature",
        lambda e: e.command(signer=e.identity(TCOS, "05", generation=9)).data,
        name="another key of the same party",
    ),
    Case(
        "meter.payload",
        lambda e: e.command().with_fields(plaintext_symmetric_key=bytes(16)).data,
        name="a symmetric key",
    ),
    Case(
        "meter.payload",
        lambda e: e.command(replacements=(e.command().new(SUPPLIER_DS),) * 2).data,
        name="a cell twice",
    ),
    Case(
        "meter.payload",
        lambda e: (
            e.command()
            .with_fields(other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 1 << 63),))
            .data
        ),
        name="a floor beyond the highest",
    ),
    Case(
        "meter.payload",
        lambda e: (
            e.command()
            .with_fields(other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 1),) * 2)
            .data
        ),
        name="the floor of a role twice",
    ),
    Case(
        "meter.payload",
        lambda e: (
            e.command()
            .with_fields(
                other_changes=(
                    SeqNumberChange(RemotePartyRole.SUPPLIER, 1, (SpecialistSeqNumber(1),) * 2),
                )
            )
            .data
        ),
        name="a top-up floor twice",
    ),
    Case(
        "meter.payload",
        lambda e: e.command(replacements=()).data,
        succeeds=lambda s: s.counters.credentials == {RemotePartyRole.TRANSITIONAL_COS: 6001},
        name="nothing to replace",
    ),
    Case("meter.mode", lambda e: e.command().with_fields(mode=Mode.SUPPLIER_BY_SUPPLIER).data),
    Case(
        "meter.authorising_counter",
        lambda e: e.command().with_fields(authorising_counter=6002).data,
    ),
    Case(
        "meter.authorising_cell",
        lambda e: e.command().with_fields(authorising_cell=SUPPLIER_DS).data,
        name="another's",
    ),
    Case(
        "meter.authorising_cell",
        lambda e: e.command().with_fields(authorising_cell=None).data,
        name="none",
    ),
    Case(
        "meter.floors",
        lambda e: (
            e.command()
            .with_fields(other_changes=(SeqNumberChange(RemotePartyRole.RECOVERY, 1 << 62),))
            .data
        ),
        name="of a role that CoS does not touch",
    ),
    Case(
        "meter.floors",
        lambda e: e.command().with_fields(new_floor=7).data,
        name="of the CoS Party itself",
    ),
    Case(
        "meter.floors",
        lambda e: (
            e.command(Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR)
            .with_fields(new_floor=9, new_specialist_floors=(SpecialistSeqNumber(1),))
            .data
        ),
        succeeds=lambda s: s.counters.top_up == {} and s.counters.credentials[NETWORK_DS.role] == 9,
        name="of a network operator's top-ups",
    ),
    Case(
        "meter.floors",
        lambda e: (
            e.command(Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY)
            .with_fields(
                other_changes=(SeqNumberChange(NETWORK_DS.role, 9, (SpecialistSeqNumber(1),)),)
            )
            .data
        ),
        succeeds=lambda s: s.counters.top_up == {} and s.counters.credentials[NETWORK_DS.role] == 9,
        name="of a network operator's top-ups, by recovery",
    ),
    Case(
        "meter.cells_permitted",
        lambda e: e.command(replacements=(e.command().new(NETWORK_DS, SUPPLIER_A),)).data,
        succeeds=lambda s: s.cells[NETWORK_DS].subject_eui == SUPPLIER_A,
        name="the network operator's",
    ),
    Case(
        "meter.cells_permitted",
        lambda e: e.command(replacements=(e.command().new(TRANS_COS_DS, SUPPLIER_A),)).data,
        succeeds=lambda s: s.cells[TRANS_COS_DS].subject_eui == SUPPLIER_A,
        name="the CoS Party's own",
    ),
]


def ids(case: Case) -> str:
    return f"{case.check}: {case.name}" if case.name else case.check


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_refused_by_exactly_that_check(estate: Estate, case: Case):
    state = case.state(estate.device(case.device_type))
    means = estate.means()
    run = means.book.start("test", section="request")
    with pytest.raises(Refused) as refused:
        process(state, case.data(estate), means, run)

    assert refused.value.check == case.check
    assert [v.check for v in run.verdicts() if v.outcome == "refused"] == [case.check]


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_and_accepted_with_that_check_off(estate: Estate, case: Case):
    state = case.state(estate.device(case.device_type))

    reaction = hear(state, case.data(estate), estate.means(make_book(case.check)))

    assert case.succeeds(reaction.state)
    assert reaction.response


def test_they_are_made_in_the_order_of_the_domain_facts(
    estate: Estate, esme: DeviceState, monkeypatch: pytest.MonkeyPatch
):
    """docs/sources.md#device-checks, steps 1 to 8: MAC before counter, counter before signature."""
    order = (
        *("frame", "inner", "cra", "recipient", "message_code", "originator", "contingency_key"),
        *("mac", "counter", "signature", "payload", "mode", "authorising_counter"),
        *("authorising_cell", "floors", "cells_permitted"),
    )
    made, apply = list[str](), CheckRun.apply

    def noted(run: CheckRun, check: Check[Any], evidence: Any) -> None:
        made.append(check.id)
        apply(run, check, evidence)

    means = estate.means()
    with monkeypatch.context() as watched:
        watched.setattr(CheckRun, "apply", noted)
        run = means.book.start("test", section="request")
        process(esme, estate.command().data, means, run)
        made = [one for one in made if not one.startswith("meter.certificate.")]
    assert made == [f"meter.{name}" for name in order]
    assert [check.id for check in REQUEST] == [f"meter.{name}" for name in order]
    again = replace(esme, counters=hear(esme, estate.command().data, means).state.counters)
    forged = estate.command(signer=estate.holder(NETWORK_DS))
    octets = forged.data
    for state, data, first in (
        (again, octets[:-1] + bytes((octets[-1] ^ 1,)), "meter.mac"),
        (again, octets, "meter.counter"),
        (esme, forged.with_fields(mode=Mode.SUPPLIER_BY_SUPPLIER).data, "meter.signature"),
    ):
        with pytest.raises(Refused) as refused:
            hear(state, data, means)
        assert refused.value.check == first


def test_every_check_has_a_case():
    assert {check.id for check in REQUEST} == {case.check for case in CASES}


def test_a_top_up_floor_without_the_floor_it_goes_with(estate: Estate, esme: DeviceState):
    command = estate.command(Mode.SUPPLIER_BY_SUPPLIER)
    command = command.with_fields(new_specialist_floors=(SpecialistSeqNumber(1),))
    with pytest.raises(Refused) as refused:
        hear(esme, command.data, estate.means())
    assert refused.value.check == "meter.payload"
    reaction = hear(esme, command.data, estate.means(make_book("meter.payload")))
    assert reaction.state.counters.top_up == {}


def test_unknown_use_case_stays_unanswered_even_with_its_check_off(
    estate: Estate, esme: DeviceState
):
    data = estate.command(message_code=0x0042).data
    with pytest.raises(Refused, match=r"meter\.message_code"):
        hear(esme, data, estate.means())
    with pytest.raises(NotUnderstood):
        hear(esme, data, estate.means(make_book("meter.message_code")))


def test_a_network_operator_cannot_do_what_a_cos_party_can(estate: Estate, esme: DeviceState):
    """Signed and MACed in earnest, by a party the device knows, for a use case not its own."""
    command = estate.command(originator=NETWORK, signer=estate.holder(NETWORK_DS))
    with pytest.raises(Refused) as refused:
        hear(esme, command.data, estate.means())
    assert refused.value.check == "meter.originator"
    assert refused.value.expected == TCOS
    assert refused.value.found == NETWORK


def test_z_never_shows(estate: Estate, esme: DeviceState):
    command = estate.command()
    authority, _ = authority_of(command.message, esme)
    assert isinstance(authority, Authority)
    claimed = ReceivedCommand(command.message, esme, authority, z=command.z)
    assert command.z.hex() not in repr(claimed)
    assert repr(command.z) not in repr(claimed)
    assert DEVICE in repr(claimed)
