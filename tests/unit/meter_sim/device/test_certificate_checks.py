"""Each check on a certificate: the status its refusal gives, the cell as it was, the others done;
and the cell replaced by a device with that one check off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from gbcs.codes import RemotePartyRole, StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import (
    CellOutcome,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    decode_response,
)
from keys.issuing.odd_forms import OddForm, in_odd_form
from keys.stores.private import sign_raw
from meter_sim.checks import CERTIFICATE
from meter_sim.device.device_types import SUPPLIER_DS, SUPPLIER_KA, SUPPLIER_TOP_UP, DeviceType
from meter_sim.device.model import Reaction
from tests.unit.meter_sim.estate import NOW, SUPPLIER_A, SUPPLIER_B, Estate, hear, make_book

LONG_AGO = (NOW - timedelta(days=400), NOW - timedelta(days=30))
NOT_YET = (NOW + timedelta(days=1), NOW + timedelta(days=400))


@dataclass(frozen=True)
class Case:
    check: str
    status: StatusCode
    name: str
    certificate: Callable[[Estate], bytes]
    device_type: DeviceType = DeviceType.ESME


def supplier(estate: Estate, **how: object) -> bytes:
    return estate.identity(SUPPLIER_B, "02", generation=1, **how).certificate.der  # type: ignore[arg-type]


def odd(form: OddForm) -> Callable[[Estate], bytes]:
    """The right certificate, written otherwise and signed so."""
    return lambda estate: in_odd_form(supplier(estate), form, partial(sign_raw, estate.issuing.key))


CASES = [
    Case(
        "meter.certificate.profile",
        StatusCode.BAD_CERTIFICATE,
        "key usage not critical",
        lambda e: supplier(e, critical_usage=False),
    ),
    Case(
        "meter.certificate.profile",
        StatusCode.BAD_CERTIFICATE,
        "no subject unique identifier",
        lambda e: supplier(e, subject=False),
    ),
    *(
        Case("meter.certificate.profile", StatusCode.BAD_CERTIFICATE, form.value, odd(form))
        for form in OddForm
    ),
    Case(
        "meter.certificate.role",
        StatusCode.BAD_CERTIFICATE,
        "a network operator's",
        lambda e: e.identity(SUPPLIER_B, "03").certificate.der,
    ),
    Case(
        "meter.certificate.key_usage",
        StatusCode.BAD_CERTIFICATE,
        "a key agreement key",
        lambda e: supplier(e, usage="key_agreement"),
    ),
    Case(
        "meter.certificate.validity",
        StatusCode.BAD_CERTIFICATE,
        "expired",
        lambda e: supplier(e, valid=LONG_AGO),
    ),
    Case(
        "meter.certificate.validity",
        StatusCode.BAD_CERTIFICATE,
        "not yet valid",
        lambda e: supplier(e, valid=NOT_YET),
    ),
    Case(
        "meter.certificate.path",
        StatusCode.NO_TRUST_ANCHOR,
        "of an authority that nobody supplied",
        lambda e: supplier(e, issuer=e.other_issuing),
    ),
    Case(
        "meter.certificate.path",
        StatusCode.NO_TRUST_ANCHOR,
        "of another policy than its issuer's",
        lambda e: supplier(e, policy="2.999.1.2"),
    ),
]


def outcomes(reaction: Reaction) -> dict[str, CellOutcome]:
    outcome = decode_response(decode(reaction.response).payload).outcome
    assert outcome is not None
    return {one.cell.name: one for one in outcome.outcomes}


def ids(case: Case) -> str:
    return f"{case.check}: {case.name}"


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_that_cell_fails_with_its_status_and_the_others_succeed(estate: Estate, case: Case):
    state = estate.device(case.device_type)
    command = estate.command()
    bad = Replacement(case.certificate(estate), SUPPLIER_DS)
    command = command.but(replacements=(bad, command.new(SUPPLIER_KA)))

    reaction = hear(state, command.data, estate.means())

    found = outcomes(reaction)[SUPPLIER_DS.name]
    assert found.status is case.status
    assert found.existing_subject.hex() == SUPPLIER_A
    assert found.replacing_subject == found.existing_subject
    assert found.replacing_key_id == found.existing_key_id
    assert reaction.state.cells[SUPPLIER_DS] == state.cells[SUPPLIER_DS]
    assert reaction.state.cells[SUPPLIER_KA].subject_eui == SUPPLIER_B
    assert outcomes(reaction)[SUPPLIER_KA.name].status is StatusCode.SUCCESS
    verdicts = next(r for r in reaction.cells if r.cell == SUPPLIER_DS).verdicts
    assert [v.check for v in verdicts if v.outcome == "refused"] == [case.check]


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_and_succeeds_with_that_check_off(estate: Estate, case: Case):
    state = estate.device(case.device_type)
    der = case.certificate(estate)
    command = estate.command(replacements=(Replacement(der, SUPPLIER_DS),))

    reaction = hear(state, command.data, estate.means(make_book(case.check)))

    assert outcomes(reaction)[SUPPLIER_DS.name].status is StatusCode.SUCCESS
    assert reaction.state.cells[SUPPLIER_DS].der == der


def test_a_cell_the_device_does_not_have(estate: Estate):
    state = estate.device(DeviceType.HCALCS)
    command = estate.command(device_type=DeviceType.HCALCS)
    command = command.but(replacements=(command.new(SUPPLIER_TOP_UP), command.new(SUPPLIER_KA)))

    reaction = hear(state, command.data, estate.means())

    found = outcomes(reaction)[SUPPLIER_TOP_UP.name]
    assert found.status is StatusCode.TRUST_ANCHOR_NOT_FOUND
    assert found.existing_subject == found.replacing_subject == bytes(8)
    assert found.existing_key_id == found.replacing_key_id == bytes(8)
    assert SUPPLIER_TOP_UP not in reaction.state.cells

    weakened = hear(state, command.data, estate.means(make_book("meter.certificate.cell")))
    assert weakened.state.cells[SUPPLIER_TOP_UP].subject_eui == SUPPLIER_B


def test_every_check_has_a_case():
    tested = {case.check for case in CASES} | {"meter.certificate.cell"}
    assert {check.id for check in CERTIFICATE} == tested


def test_what_is_no_certificate_is_never_kept(estate: Estate):
    command = estate.command(replacements=(Replacement(b"\x30\x03\x02\x01\x01", SUPPLIER_DS),))
    off = [check.id for check in CERTIFICATE]
    for book in (make_book(), make_book(*off)):
        reaction = hear(estate.device(), command.data, estate.means(book))
        assert outcomes(reaction)[SUPPLIER_DS.name].status is StatusCode.BAD_CERTIFICATE
        assert reaction.state.cells == estate.device().cells


def test_time_is_ignored_when_the_command_says_so(estate: Estate):
    old = Replacement(supplier(estate, valid=LONG_AGO), SUPPLIER_DS)
    command = estate.command(replacements=(old,)).with_fields(apply_time_checks=False)
    reaction = hear(estate.device(), command.data, estate.means())
    assert outcomes(reaction)[SUPPLIER_DS.name].status is StatusCode.SUCCESS


def test_an_expired_issuing_authority_is_noticed(estate: Estate):
    command = estate.command()
    late = estate.means(at=NOW + timedelta(days=3651))
    long = (NOW - timedelta(days=1), NOW + timedelta(days=9000))
    new = Replacement(supplier(estate, valid=long), SUPPLIER_DS)
    reaction = hear(estate.device(), command.but(replacements=(new,)).data, late)
    assert outcomes(reaction)[SUPPLIER_DS.name].status is StatusCode.BAD_CERTIFICATE


def test_no_path_certificates_no_path(estate: Estate):
    command = estate.command().with_fields(path_certificates=())
    reaction = hear(estate.device(), command.data, estate.means())
    assert {one.status for one in outcomes(reaction).values()} == {StatusCode.NO_TRUST_ANCHOR}
    assert reaction.state.cells == estate.device().cells


def test_supplying_ones_own_authority_does_not_make_it_trusted(estate: Estate):
    """The path must end at the device's own root, not at one that came along."""
    der = supplier(estate, issuer=estate.other_issuing)
    path = (estate.other_issuing.certificate.der, estate.other_root.certificate.der)
    command = estate.command(replacements=(Replacement(der, SUPPLIER_DS),))
    reaction = hear(
        estate.device(), command.with_fields(path_certificates=path).data, estate.means()
    )
    assert outcomes(reaction)[SUPPLIER_DS.name].status is StatusCode.NO_TRUST_ANCHOR


def test_a_floor_is_not_set_when_its_signing_cell_failed(estate: Estate):
    """Else the old supplier, who is still there, could be replayed below its counter."""
    state = estate.device()
    floors = (SeqNumberChange(RemotePartyRole.SUPPLIER, 0, (SpecialistSeqNumber(0),)),)
    command = estate.command()
    bad = Replacement(supplier(estate, valid=LONG_AGO), SUPPLIER_DS)
    command = command.but(replacements=(bad, command.new(SUPPLIER_TOP_UP)))

    reaction = hear(state, command.with_fields(other_changes=floors).data, estate.means())

    assert RemotePartyRole.SUPPLIER not in reaction.state.counters.credentials
    assert RemotePartyRole.SUPPLIER not in reaction.state.counters.top_up
    assert reaction.outcome is not None
    assert reaction.outcome.changes == ()
