"""The tables: every mode on every device that has it, and on none that has not."""

from __future__ import annotations

import pytest

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.codes import StatusCode
from gbcs.message import decode
from gbcs.mode_facts import MODE_FACTS
from gbcs.payloads.credentials import Replacement
from meter_sim.device.device_types import ACB_DS, ACB_KA, CELLS, ROOT, SUPPLIER_DS, DeviceType
from meter_sim.device.modes import MODES, Protection, rule
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    ACB,
    HOLDERS,
    SUPPLIER_B,
    Authority,
    Command,
    Estate,
    hear,
    make_authority,
    make_book,
)

HERE = [
    (mode, kind)
    for mode in MODES
    for kind in DeviceType
    if kind in rule(mode, kind).devices and mode is not Mode.ANY_BY_CONTINGENCY
]
NOT_HERE = [
    (mode, kind) for mode in MODES for kind in DeviceType if kind not in rule(mode, kind).devices
]


def honest(estate: Estate, mode: Mode, kind: DeviceType) -> Command:
    command = estate.command(mode, device_type=kind)
    if rule(mode, kind).cells != {ROOT}:
        return command
    new_root, link = succession(estate)
    path = (link.certificate.der,)
    return command.but(replacements=(Replacement(new_root.certificate.der, ROOT),)).with_fields(
        path_certificates=path
    )


def succession(estate: Estate) -> tuple[Authority, Authority]:
    """A new root, and the same key and name signed by the old root."""
    new = make_authority("SIM-ZC", "00", None)
    return new, make_authority("SIM-ZC", "00", estate.root)


@pytest.mark.parametrize(("mode", "kind"), HERE, ids=lambda v: getattr(v, "label", v))
def test_an_honest_command_of_every_mode_succeeds(estate: Estate, mode: Mode, kind: DeviceType):
    state = estate.device(kind)
    command = honest(estate, mode, kind)

    reaction = hear(state, command.data, estate.means())

    assert reaction.outcome is not None
    assert {one.status for one in reaction.outcome.outcomes} == {StatusCode.SUCCESS}
    assert len(reaction.outcome.outcomes) == len(command.replacing()) > 0
    for replacement in command.replacing():
        assert reaction.state.cells[replacement.cell].der == replacement.certificate
    changed = {cell for cell in state.cells if state.cells[cell] != reaction.state.cells[cell]}
    assert changed == {replacement.cell for replacement in command.replacing()}
    assert changed <= rule(mode, kind).cells
    role = rule(mode, kind).authority.role
    assert reaction.state.counters.credentials[role] == 6001
    said = decode(reaction.response)
    assert said.header.recipient == HOLDERS[role]
    assert (said.mac, len(said.signature or b"")) == (None, 64)


@pytest.mark.parametrize(("mode", "kind"), NOT_HERE, ids=lambda v: getattr(v, "label", v))
def test_elsewhere_its_message_code_is_unknown(estate: Estate, mode: Mode, kind: DeviceType):
    with pytest.raises(Refused) as refused:
        hear(estate.device(kind), estate.command(mode, device_type=kind).data, estate.means())
    assert refused.value.check == "meter.message_code"


def kind_for(mode: Mode) -> DeviceType:
    return DeviceType.ESME if DeviceType.ESME in MODES[mode].devices else DeviceType.CHF


WRONG = [
    (mode, protection)
    for mode in MODES
    for protection in Protection
    if protection is not rule(mode, kind_for(mode)).protection
]


@pytest.mark.parametrize(("mode", "protection"), WRONG, ids=lambda v: getattr(v, "label", v))
def test_no_mode_is_heard_with_another_protection(
    estate: Estate, mode: Mode, protection: Protection
):
    kind = kind_for(mode)
    command = honest(estate, mode, kind).but(protection=protection)
    if mode is Mode.ANY_BY_CONTINGENCY:
        command = command.with_fields(plaintext_symmetric_key=bytes(16))
    with pytest.raises(Refused) as refused:
        hear(estate.device(kind), command.data, estate.means())
    assert refused.value.check in {"meter.mac", "meter.signature", "meter.contingency_key"}


def test_the_table_names_only_cells_that_some_device_has():
    everywhere = frozenset().union(*(t.required | t.optional for t in CELLS.values()))
    for row in MODES.values():
        assert row.cells <= everywhere
        assert row.authority in everywhere
        for kind in row.devices:
            table = CELLS[kind]
            assert row.cells & (table.required | table.optional)


@pytest.mark.parametrize("kind", [DeviceType.ESME, DeviceType.GSME, DeviceType.GPF])
def test_the_clock_status_of_a_response_is_as_published(estate: Estate, kind: DeviceType):
    """FF from most devices, 00 from a gas meter whose clock is in order."""
    command = honest(estate, Mode.SUPPLIER_BY_TRANS_COS, kind)
    said = decode(hear(estate.device(kind), command.data, estate.means()).response)
    assert said.header.date_time is not None
    assert len(said.header.date_time) == 12
    assert said.header.date_time[4] == 0xFF, "the day of the week is not said"
    assert said.header.date_time[9:] == bytes((0x80, 0, 0 if kind is DeviceType.GSME else 0xFF))


FACTS_BEYOND_THE_METER = {
    (Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY, "cells"): {ROOT},
    (Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY, "roles"): {Role.ROOT},
}
"""What gbcs says that a mode may carry, and a meter refuses, on purpose (see modes)."""


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.label)
def test_the_meter_and_those_who_write_to_it_read_the_standard_alike(mode: Mode):
    """Two tables made apart; a Command that fits one and not the other is a misreading of one."""
    facts = MODE_FACTS[mode]
    rows = [rule(mode, kind) for kind in rule(mode, kind_for(mode)).devices]
    rows += [rule(mode, kind_for(mode))]
    assert {row.authority if row.names_authority else None for row in rows} == (
        facts.authorising_cells
    )
    beyond = FACTS_BEYOND_THE_METER
    cells = frozenset().union(*(row.cells for row in rows))
    assert facts.targets - cells == beyond.get((mode, "cells"), set())
    assert cells <= facts.targets
    for row in rows:
        assert facts.other_roles - row.floors_of == beyond.get((mode, "roles"), set())
        assert row.floors_of <= facts.other_roles
        assert row.own_floor == facts.own_floor
        assert facts.own_specialist_floors == (row.own_floor and row.authority == SUPPLIER_DS)


def test_change_of_supplier_touches_supplier_cells_alone():
    row = MODES[Mode.SUPPLIER_BY_TRANS_COS]
    assert {cell.role for cell in row.cells} == {Role.SUPPLIER}
    assert row.floors_of == {Role.SUPPLIER}
    assert not row.own_floor


def test_recovery_cannot_touch_the_root_and_only_contingency_can():
    recovery = MODES[Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY]
    assert ROOT not in recovery.cells
    assert not MODES[Mode.ANY_BY_CONTINGENCY].held


def test_handover_of_a_gas_proxy_that_the_broker_holds(estate: Estate):
    """Cells of a new device may hold the Broker's certificates: then the Broker is the supplier."""
    held = estate.identity(ACB, "04")
    state = estate.device(DeviceType.GPF)
    state = estate.device(DeviceType.GPF, cells={**state.cells, SUPPLIER_DS: held.certificate})
    command = estate.command(
        Mode.SUPPLIER_BY_SUPPLIER, device_type=DeviceType.GPF, originator=ACB, signer=held
    )
    command = command.but(replacements=(command.new(SUPPLIER_DS, SUPPLIER_B),))
    reaction = hear(state, command.data, estate.means())
    assert reaction.state.cells[SUPPLIER_DS].subject_eui == SUPPLIER_B


def test_the_broker_signs_for_a_communications_hub(estate: Estate):
    row = rule(Mode.ACCESS_CONTROL_BROKER_BY_ACB, DeviceType.CHF)
    assert row.protection is Protection.SIGNATURE_AND_MAC
    assert row.authority == ACB_DS
    assert rule(Mode.ACCESS_CONTROL_BROKER_BY_ACB, DeviceType.ESME).authority == ACB_KA


def test_each_certificate_is_judged_by_the_root_as_it_then_stands(estate: Estate):
    """A new root first, then a certificate that only leads to it; the other way round fails."""
    new_root, link = succession(estate)
    issuing = make_authority("SIM-Z3", "07", new_root)
    path = (link.certificate.der, issuing.certificate.der)
    supplier = estate.identity(SUPPLIER_B, "02", issuer=issuing).certificate.der
    both = (Replacement(new_root.certificate.der, ROOT), Replacement(supplier, SUPPLIER_DS))
    means = estate.means(make_book("meter.contingency_key"))
    for replacements, statuses in (
        (both, [StatusCode.SUCCESS, StatusCode.SUCCESS]),
        (both[::-1], [StatusCode.NO_TRUST_ANCHOR, StatusCode.SUCCESS]),
    ):
        command = estate.command(Mode.ANY_BY_CONTINGENCY, replacements=replacements)
        command = command.with_fields(plaintext_symmetric_key=bytes(16), path_certificates=path)
        reaction = hear(estate.device(), command.data, means)
        assert [cell.status for cell in reaction.cells] == statuses


def test_a_root_without_a_link_from_the_old_one_is_not_believed(estate: Estate):
    command = honest(estate, Mode.ROOT_BY_SUPPLIER, DeviceType.ESME)
    for path in ((), (estate.issuing.certificate.der,), (estate.other_root.certificate.der,)):
        reaction = hear(
            estate.device(), command.with_fields(path_certificates=path).data, estate.means()
        )
        assert reaction.outcome is not None
        assert [o.status for o in reaction.outcome.outcomes] == [StatusCode.NO_TRUST_ANCHOR]
        assert reaction.state.cells == estate.device().cells
        weak = estate.means(make_book("meter.certificate.path"))
        reaction = hear(estate.device(), command.with_fields(path_certificates=path).data, weak)
        assert reaction.state.cells[ROOT].der == command.replacing()[0].certificate
