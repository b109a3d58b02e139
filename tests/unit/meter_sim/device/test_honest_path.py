"""The honest path through the pure rules: a device hears a change of supplier and obeys."""

from __future__ import annotations

from gbcs.codes import Cra, RemotePartyRole, StatusCode
from gbcs.date_time import from_date_time
from gbcs.message import decode
from gbcs.payloads.credentials import CellId, SeqNumberChange, SpecialistSeqNumber, decode_response
from gbcs.protect import verify_signature
from keys.roles import Usage
from meter_sim.device.device_types import SUPPLIER_CELLS, SUPPLIER_DS
from meter_sim.device.model import DeviceState
from tests.unit.meter_sim.estate import (
    DEVICE,
    NOW,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Estate,
    hear,
)


def test_change_of_supplier_replaces_the_three_cells_and_answers(estate: Estate, esme: DeviceState):
    floors = (SeqNumberChange(RemotePartyRole.SUPPLIER, 41, (SpecialistSeqNumber(5),)),)
    command = estate.command(counter=6001).with_fields(other_changes=floors)

    reaction = hear(esme, command.data, estate.means())

    for cell in SUPPLIER_CELLS:
        assert esme.cells[cell].subject_eui == SUPPLIER_A
        assert reaction.state.cells[cell].subject_eui == SUPPLIER_B
    untouched = {cell: held for cell, held in esme.cells.items() if cell not in SUPPLIER_CELLS}
    assert untouched.items() <= reaction.state.cells.items()
    assert reaction.state.counters.credentials[RemotePartyRole.TRANSITIONAL_COS] == 6001
    assert reaction.state.counters.credentials[RemotePartyRole.SUPPLIER] == 41
    assert reaction.state.counters.commands[RemotePartyRole.SUPPLIER] == 41
    assert reaction.state.counters.top_up == {RemotePartyRole.SUPPLIER: 5}

    said = decode(reaction.response)
    assert said.mac is None
    assert (said.header.cra, said.header.counter) == (Cra.RESPONSE, 6001)
    assert (said.header.originator, said.header.recipient) == (DEVICE, TCOS)
    assert said.message_code == 0x0107
    assert said.header.date_time is not None
    assert from_date_time(said.header.date_time) == NOW
    verify_signature(said, estate.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE))
    outcome = decode_response(said.payload).outcome
    assert outcome is not None
    assert outcome.changes == floors
    assert outcome.authorising_counter == 6001
    assert [one.status for one in outcome.outcomes] == [StatusCode.SUCCESS] * 3
    first = next(one for one in outcome.outcomes if one.cell == SUPPLIER_DS)
    assert first.existing_subject.hex() == SUPPLIER_A
    assert first.replacing_subject.hex() == SUPPLIER_B
    assert first.replacing_key_id == reaction.state.cells[SUPPLIER_DS].key_identifier
    assert {one.cell for one in outcome.outcomes} == set(SUPPLIER_CELLS)
    assert CellId.from_name("supplier/digitalSignature/management") == SUPPLIER_DS
