"""What a device has heard it does not hear again; and what a floor may do to that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import encode
from gbcs.payloads.credentials import Replacement, SeqNumberChange, SpecialistSeqNumber
from meter_sim.device.device_types import (
    SUPPLIER_CELLS,
    SUPPLIER_DS,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    TRANS_COS_DS,
)
from meter_sim.device.model import Counters, DeviceState
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    ECOS,
    SUPPLIER_A,
    SUPPLIER_B,
    Estate,
    ask_details,
    hear,
    make_book,
)


def refused(state: DeviceState, data: bytes, estate: Estate) -> str:
    with pytest.raises(Refused) as found:
        hear(state, data, estate.means())
    return found.value.check


def test_the_same_command_again_is_refused(estate: Estate, esme: DeviceState):
    data = estate.command().data
    after = hear(esme, data, estate.means()).state
    assert refused(after, data, estate) == "meter.counter"
    assert refused(after, estate.command(counter=6000).data, estate) == "meter.counter"
    assert hear(after, estate.command(counter=6002).data, estate.means()).response


def test_a_device_without_its_counter_check_still_never_counts_down(
    estate: Estate, esme: DeviceState
):
    after = hear(esme, estate.command().data, estate.means()).state
    weak = estate.means(make_book("meter.counter"))
    again = hear(after, estate.command(counter=5).data, weak).state
    assert again.counters.credentials[Role.TRANSITIONAL_COS] == 6001


def test_counter_zero_is_never_new(estate: Estate, esme: DeviceState):
    assert refused(esme, estate.command(counter=0).data, estate) == "meter.counter"


def test_each_role_counts_for_itself(estate: Estate, esme: DeviceState):
    after = hear(esme, estate.command(counter=9000).data, estate.means()).state
    own = estate.command(
        Mode.SUPPLIER_BY_SUPPLIER,
        counter=1,
        originator=SUPPLIER_B,
        signer=estate.holder(SUPPLIER_DS, SUPPLIER_B, 1),
    )
    assert hear(after, own.data, estate.means()).response


def test_details_and_credentials_count_apart(estate: Estate, esme: DeviceState):
    ask = ask_details(
        estate,
        (Role.SUPPLIER,),
        by=estate.holder(TRANS_COS_DS),
        cell=TRANS_COS_DS,
        originator="0253494d00000004",
        counter=10_000,
    )
    after = hear(esme, encode(ask), estate.means()).state
    assert after.counters.commands == {Role.TRANSITIONAL_COS: 10_000}
    assert hear(after, estate.command(counter=5).data, estate.means()).response
    assert refused(after, encode(ask), estate) == "meter.counter"


def test_a_floor_takes_the_place_of_the_old_partys_counters(estate: Estate, esme: DeviceState):
    counters = Counters(
        commands={Role.SUPPLIER: 50_000}, credentials={Role.SUPPLIER: 60_000}, top_up={}
    )
    state = replace(esme, counters=counters)
    floors = (SeqNumberChange(Role.SUPPLIER, 7),)
    command = estate.command().with_fields(other_changes=floors)

    after = hear(state, command.data, estate.means()).state

    assert after.counters.commands[Role.SUPPLIER] == 7
    assert after.counters.credentials[Role.SUPPLIER] == 7
    assert after.counters.top_up == {}


def test_without_a_floor_the_incoming_party_counts_on(estate: Estate, esme: DeviceState):
    state = replace(esme, counters=Counters(credentials={Role.SUPPLIER: 60_000}))
    after = hear(state, estate.command().data, estate.means()).state
    assert after.counters.credentials[Role.SUPPLIER] == 60_000


def test_a_floor_without_change_of_the_signing_key_is_not_applied(
    estate: Estate, esme: DeviceState
):
    """A supplier that renews its key agreement key alone cannot let its old Commands in again."""
    command = estate.command(Mode.SUPPLIER_BY_SUPPLIER)
    command = command.but(replacements=(command.new(SUPPLIER_KA),)).with_fields(new_floor=0)
    reaction = hear(esme, command.data, estate.means())
    assert reaction.state.counters.credentials[Role.SUPPLIER] == 6001
    assert reaction.outcome is not None
    assert reaction.outcome.changes == ()


def test_a_floor_with_a_reissue_of_the_same_key_never_lowers(estate: Estate, esme: DeviceState):
    reissued = estate.identity(SUPPLIER_A, "02", generation=3, same_key=True)
    command = estate.command(
        Mode.SUPPLIER_BY_SUPPLIER,
        replacements=(Replacement(reissued.certificate.der, SUPPLIER_DS),),
    ).with_fields(new_floor=0)
    reaction = hear(esme, command.data, estate.means())
    assert reaction.state.cells[SUPPLIER_DS] == reissued.certificate
    assert reaction.state.counters.credentials[Role.SUPPLIER] == 6001
    assert reaction.outcome is not None
    assert reaction.outcome.changes == (SeqNumberChange(Role.SUPPLIER, 6001),)
    assert refused(reaction.state, command.data, estate) == "meter.counter"


def test_a_top_up_floor_with_the_same_top_up_key_never_lowers(estate: Estate, esme: DeviceState):
    """The counter of top-ups goes with the key that top-ups are made with."""
    state = replace(esme, counters=Counters(top_up={Role.SUPPLIER: 50}))
    floors = (SeqNumberChange(Role.SUPPLIER, 7, (SpecialistSeqNumber(9),)),)
    command = estate.command()
    held = Replacement(esme.cells[SUPPLIER_TOP_UP].der, SUPPLIER_TOP_UP)
    same = command.but(replacements=(command.new(SUPPLIER_DS), held))
    for asked, expected in ((same, 50), (command, 9)):
        reaction = hear(state, asked.with_fields(other_changes=floors).data, estate.means())
        assert reaction.state.counters.top_up == {Role.SUPPLIER: expected}
        assert reaction.outcome is not None
        applied = (SpecialistSeqNumber(expected),)
        assert reaction.outcome.changes == (SeqNumberChange(Role.SUPPLIER, 7, applied),)


def test_a_top_up_floor_without_the_top_up_cell_is_not_applied(estate: Estate, esme: DeviceState):
    state = replace(esme, counters=Counters(top_up={Role.SUPPLIER: 50}))
    floors = (SeqNumberChange(Role.SUPPLIER, 7, (SpecialistSeqNumber(99),)),)
    command = estate.command()
    command = command.but(replacements=(command.new(SUPPLIER_DS),))
    reaction = hear(state, command.with_fields(other_changes=floors).data, estate.means())
    assert reaction.state.counters.top_up == {Role.SUPPLIER: 50}
    assert reaction.outcome is not None
    assert reaction.outcome.changes == (SeqNumberChange(Role.SUPPLIER, 7),)


def test_own_floors_are_echoed_under_the_authorising_role(estate: Estate, esme: DeviceState):
    command = estate.command(Mode.SUPPLIER_BY_SUPPLIER).with_fields(
        new_floor=3, new_specialist_floors=(SpecialistSeqNumber(9),)
    )
    reaction = hear(esme, command.data, estate.means())
    assert reaction.outcome is not None
    assert reaction.outcome.changes == (
        SeqNumberChange(Role.SUPPLIER, 3, (SpecialistSeqNumber(9),)),
    )
    assert reaction.state.counters.credentials[Role.SUPPLIER] == 3
    assert reaction.state.counters.top_up == {Role.SUPPLIER: 9}


def test_after_a_change_of_supplier_the_old_one_is_a_stranger(estate: Estate, esme: DeviceState):
    after = hear(esme, estate.command().data, estate.means()).state
    late = estate.command(Mode.SUPPLIER_BY_SUPPLIER, counter=1 << 40)
    assert refused(after, late.data, estate) == "meter.originator"
    forged = late.but(originator=SUPPLIER_B)
    assert refused(after, forged.data, estate) == "meter.signature"
    assert {after.cells[cell].subject_eui for cell in SUPPLIER_CELLS} == {SUPPLIER_B}


def test_migration_hands_the_cos_cell_to_the_new_party(estate: Estate, esme: DeviceState):
    new = estate.identity(ECOS, "05")
    command = estate.command(
        Mode.TRANS_COS_BY_TRANS_COS,
        replacements=(Replacement(new.certificate.der, TRANS_COS_DS),),
    ).with_fields(apply_time_checks=False, new_floor=100)
    after = hear(esme, command.data, estate.means()).state
    assert after.cells[TRANS_COS_DS].subject_eui == ECOS
    assert after.counters.credentials[Role.TRANSITIONAL_COS] == 100
    assert refused(after, estate.command(counter=6002).data, estate) == "meter.originator"
    change = estate.command(originator=ECOS, signer=new, counter=101)
    assert hear(after, change.data, estate.means()).response
