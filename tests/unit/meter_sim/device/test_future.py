"""Commands for later: stored, replaced, cancelled, dropped, executed; and the Alert of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from gbcs.codes import AlertCode, Cra, MessageCode, StatusCode
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import decode
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    Replacement,
    SeqNumberChange,
    decode_alert,
    decode_response,
)
from gbcs.protect import verify_signature
from keys.roles import Usage
from meter_sim.device.device_types import SUPPLIER_CELLS, SUPPLIER_DS, SUPPLIER_KA, TRANS_COS_DS
from meter_sim.device.future import due_roles, execute
from meter_sim.device.model import DeviceState
from tests.unit.meter_sim.estate import (
    DEVICE,
    ECOS,
    NOW,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Command,
    Estate,
    hear,
)

LATER = "20261122120000Z"
DUE = NOW + timedelta(days=1)


def for_later(estate: Estate, when: str = LATER, **changes: object) -> Command:
    return estate.command(**changes).with_fields(execution_date_time=when)  # type: ignore[arg-type]


def accepted_only(said: bytes) -> bool:
    return decode_response(decode(said).payload).outcome is None


def test_it_is_stored_and_only_accepted(estate: Estate, esme: DeviceState):
    data = for_later(estate).data
    reaction = hear(esme, data, estate.means())

    assert accepted_only(reaction.response)
    assert decode(reaction.response).header.date_time is not None
    assert reaction.state.cells == esme.cells
    pending = reaction.state.pending[Role.TRANSITIONAL_COS]
    assert (pending.due, pending.execution_date_time) == (DUE, LATER)
    assert pending.message == data
    assert reaction.state.counters.credentials == {Role.TRANSITIONAL_COS: 6001}
    assert due_roles(reaction.state, DUE - timedelta(seconds=1)) == ()
    assert due_roles(reaction.state, DUE) == (Role.TRANSITIONAL_COS,)


def test_execution_changes_the_cells_and_alerts_the_cos_party(estate: Estate, esme: DeviceState):
    floors = (SeqNumberChange(Role.SUPPLIER, 12),)
    state = hear(
        esme, for_later(estate).with_fields(other_changes=floors).data, estate.means()
    ).state
    state = replace(state, alert_counter=2000)

    reaction = execute(state, Role.TRANSITIONAL_COS, estate.means(at=DUE))

    assert {reaction.state.cells[cell].subject_eui for cell in SUPPLIER_CELLS} == {SUPPLIER_B}
    assert reaction.state.pending == {}
    assert reaction.state.alert_counter == 2001
    assert reaction.state.counters.credentials == {
        Role.TRANSITIONAL_COS: 6001,
        Role.SUPPLIER: 12,
    }
    said = decode(reaction.response)
    assert (said.header.cra, said.header.counter) == (Cra.ALERT, 2001)
    assert (said.header.originator, said.header.recipient) == (DEVICE, TCOS)
    assert said.header.date_time is None
    assert said.mac is None
    assert said.message_code == MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT
    verify_signature(said, estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE))
    alert = decode_alert(said.payload)
    assert alert.alert_code == AlertCode.FUTURE_DATED_SUCCESS
    assert alert.execution_date_time == LATER
    assert alert.outcome.authorising_counter == 6001
    assert alert.outcome.changes == floors
    assert [event.code for event in reaction.events] == [0x8F70, 0x8F66]


def test_one_failed_cell_makes_it_8f67(estate: Estate, esme: DeviceState):
    command = for_later(estate)
    stranger = estate.identity(SUPPLIER_B, "02", generation=1, issuer=estate.other_issuing)
    bad = Replacement(stranger.certificate.der, SUPPLIER_DS)
    command = command.but(replacements=(bad, command.new(SUPPLIER_KA)))
    state = hear(esme, command.data, estate.means()).state

    reaction = execute(state, Role.TRANSITIONAL_COS, estate.means(at=DUE))

    alert = decode_alert(decode(reaction.response).payload)
    assert alert.alert_code == AlertCode.FUTURE_DATED_FAILURE
    assert [o.status for o in alert.outcome.outcomes] == [
        StatusCode.NO_TRUST_ANCHOR,
        StatusCode.SUCCESS,
    ]
    assert reaction.state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_A
    assert reaction.state.cells[SUPPLIER_KA].subject_eui == SUPPLIER_B


def test_certificates_are_judged_at_execution(estate: Estate, esme: DeviceState):
    brief = (NOW, NOW + timedelta(hours=1))
    short = estate.identity(SUPPLIER_B, "02", generation=1, valid=brief)
    command = for_later(estate, replacements=(Replacement(short.certificate.der, SUPPLIER_DS),))
    state = hear(esme, command.data, estate.means()).state
    reaction = execute(state, Role.TRANSITIONAL_COS, estate.means(at=DUE))
    assert [cell.status for cell in reaction.cells] == [StatusCode.BAD_CERTIFICATE]
    assert reaction.state.cells == esme.cells


def test_a_load_controllers_alert_has_its_own_message_code(estate: Estate, esme: DeviceState):
    command = for_later(estate, mode=Mode.LOAD_CONTROLLER_BY_SUPPLIER)
    state = hear(esme, command.data, estate.means()).state
    reaction = execute(state, Role.SUPPLIER, estate.means(at=DUE))
    assert decode(reaction.response).message_code == 0x0124
    assert decode(reaction.response).header.recipient == SUPPLIER_A


def test_the_newest_replaces_the_older(estate: Estate, esme: DeviceState):
    state = hear(esme, for_later(estate).data, estate.means()).state
    state = hear(
        state, for_later(estate, "20270101000000Z", counter=6002).data, estate.means()
    ).state
    assert [p.reference for p in state.pending.values()] == [f"{TCOS}:{DEVICE}:6002"]


def test_cancelling_deletes_it_and_is_only_accepted(estate: Estate, esme: DeviceState):
    state = hear(esme, for_later(estate).data, estate.means()).state
    reaction = hear(state, for_later(estate, CANCEL_EXECUTION, counter=6002).data, estate.means())
    assert accepted_only(reaction.response)
    assert reaction.state.pending == {}
    assert reaction.state.cells == esme.cells
    assert reaction.state.counters.credentials == {Role.TRANSITIONAL_COS: 6002}


def test_cancelling_leaves_other_roles_alone(estate: Estate, esme: DeviceState):
    mine = for_later(estate, mode=Mode.SUPPLIER_BY_SUPPLIER)
    state = hear(esme, mine.data, estate.means()).state
    state = hear(state, for_later(estate, CANCEL_EXECUTION).data, estate.means()).state
    assert set(state.pending) == {Role.SUPPLIER}


def test_what_the_old_supplier_left_pending_goes_with_it(estate: Estate, esme: DeviceState):
    mine = for_later(estate, mode=Mode.SUPPLIER_BY_SUPPLIER)
    state = hear(esme, mine.data, estate.means()).state
    reaction = hear(state, estate.command().data, estate.means())
    assert reaction.state.pending == {}
    assert any("dropped" in event.detail for event in reaction.events)


def test_what_the_old_cos_party_left_pending_goes_with_it(estate: Estate, esme: DeviceState):
    state = hear(esme, for_later(estate).data, estate.means()).state
    new = Replacement(estate.identity(ECOS, "05").certificate.der, TRANS_COS_DS)
    migration = estate.command(Mode.TRANS_COS_BY_TRANS_COS, counter=6002, replacements=(new,))
    assert hear(state, migration.data, estate.means()).state.pending == {}


def test_a_date_that_is_past_is_executed_at_the_next_look(estate: Estate, esme: DeviceState):
    reaction = hear(esme, for_later(estate, "20200101000000Z").data, estate.means())
    assert accepted_only(reaction.response)
    assert due_roles(reaction.state, NOW) == (Role.TRANSITIONAL_COS,)


def test_the_earliest_is_executed_first(estate: Estate, esme: DeviceState):
    state = hear(esme, for_later(estate).data, estate.means()).state
    earlier = for_later(estate, "20261121130000Z", mode=Mode.LOAD_CONTROLLER_BY_SUPPLIER)
    state = hear(state, earlier.data, estate.means()).state
    assert due_roles(state, DUE) == (Role.SUPPLIER, Role.TRANSITIONAL_COS)


def test_what_is_due_first_is_executed_first_whoever_asked(estate: Estate, esme: DeviceState):
    """The CoS Party's before the supplier's own: by then that supplier is another."""
    state = hear(esme, for_later(estate).data, estate.means()).state
    own = for_later(estate, "20261122130000Z", mode=Mode.SUPPLIER_BY_SUPPLIER)
    state = hear(state, own.data, estate.means()).state
    assert due_roles(state, DUE) == (Role.TRANSITIONAL_COS,)
    assert due_roles(state, DUE + timedelta(hours=1)) == (Role.TRANSITIONAL_COS, Role.SUPPLIER)
