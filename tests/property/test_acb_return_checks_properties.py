"""Whatever a CoS Party changes in a correct command, the broker refuses, and says what was wrong.

The generator changes one field of a correct command to any other value the format can carry,
writes it out and signs it with the party's own key. Which check must refuse follows from which
field was changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acb.checks import RETURN_CHECKS, book
from acb.model import CosParty, ReturnEvidence
from acb.steps import gather
from duis.model import CANCEL_DATE, ServiceRequest
from gbcs.codes import (
    CellUsage,
    Cra,
    CredentialsReplacementMode,
    KeyUsage,
    RemotePartyRole,
)
from gbcs.message import OtherInformation, decode, encode
from gbcs.payloads.credentials import CellId, Replacement, SeqNumberChange, SpecialistSeqNumber
from services.chassis.checks import Refused
from tests.unit.acb.estate import (
    DEVICE,
    TCOS,
    Estate,
    command_message,
    signed_octets,
    update_for,
)

COUNTER = 5
LAST = 4

numbers = st.integers(0, 2**63 - 1)
entities = st.binary(min_size=8, max_size=8).map(bytes.hex)
cells = st.builds(
    CellId, st.sampled_from(RemotePartyRole), st.sampled_from(KeyUsage), st.sampled_from(CellUsage)
)
times = (
    st.datetimes().filter(lambda at: at.year >= 1900).map(lambda at: at.strftime("%Y%m%d%H%M%SZ"))
)
specialists = st.lists(st.builds(SpecialistSeqNumber, numbers), max_size=2).map(tuple)
floors = st.builds(
    SeqNumberChange, st.sampled_from(RemotePartyRole), numbers, st.none() | specialists
)


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return Estate.make(tmp_path_factory.mktemp("acb") / "data")


def certificates(estate: Estate) -> st.SearchStrategy[bytes]:
    """Certificates that exist: of every supplier, both CoS Parties and the authorities."""
    found = [estate.root.der, estate.issuing.der]
    for keys in estate.suppliers.values():
        found += [keys.certificate(name).der for name in keys.names()]
    found += [keys.certificate("digital-signing").der for keys in estate.party_keys.values()]
    return st.sampled_from(found)


def payload_changes(estate: Estate) -> st.SearchStrategy[tuple[str, Any]]:
    """A field of the payload, and any value for it."""
    certificate = certificates(estate)
    replacements = st.lists(st.builds(Replacement, certificate, cells), max_size=4).map(tuple)
    fields: dict[str, st.SearchStrategy[Any]] = {
        "mode": st.sampled_from(CredentialsReplacementMode),
        "authorising_counter": numbers,
        "authorising_cell": st.none() | cells,
        "replacements": replacements,
        "path_certificates": st.lists(certificate, max_size=3).map(tuple),
        "apply_time_checks": st.booleans(),
        "new_floor": numbers,
        "new_specialist_floors": specialists,
        "other_changes": st.none() | st.lists(floors, max_size=3).map(tuple),
        "execution_date_time": st.none() | st.just("99991231235959Z") | times,
        "plaintext_symmetric_key": st.binary(max_size=32),
    }
    return st.one_of([st.tuples(st.just(name), value) for name, value in fields.items()])


CHECK_OF_FIELD = {
    "mode": "mode",
    "authorising_counter": "counter",
    "authorising_cell": "authorising_cell",
    "replacements": "certificates",
    "path_certificates": "path_certificates",
    "apply_time_checks": "time_checks",
    "new_floor": "floors",
    "new_specialist_floors": "floors",
    "other_changes": "floors",
    "execution_date_time": "execution_date",
    "plaintext_symmetric_key": "nothing_else",
    "cra": "form",
    "counter": "counter",
    "originator": "originator",
    "recipient": "recipient",
    "date_time": "form",
    "other": "form",
    "message_code": "message_code",
}


def requests(estate: Estate) -> st.SearchStrategy[ServiceRequest]:
    """Any request a supplier may make: at once, dated, cancelling, with fewer certificates."""
    plain = estate.request()
    body = plain.body
    return st.builds(
        lambda **changes: replace(plain, body=replace(body, **changes)),
        supplier_floor=numbers,
        prepayment_top_up_floor=st.none() | numbers,
        key_agreement=st.sampled_from([None, body.key_agreement]),
        key_agreement_top_up=st.sampled_from([None, body.key_agreement_top_up]),
        apply_time_checks=st.booleans(),
        execution_date_time=st.sampled_from(
            [None, CANCEL_DATE, CANCEL_DATE.replace(year=2030), CANCEL_DATE.replace(year=2031)]
        ),
    )


def refusal(estate: Estate, request: ServiceRequest, raw: bytes) -> str | None:
    evidence = gather.read_returned(
        ReturnEvidence(
            raw=raw,
            request=request,
            cos_party=CosParty("tcos_party", TCOS),
            certificate=estate.cos_certificate(TCOS),
            path=estate.path,
            last_counter=LAST,
        )
    )
    run = book().start("property", "return")
    try:
        for check in RETURN_CHECKS:
            run.apply(check, evidence)
    except Refused as refused:
        return refused.check
    run.approve()
    return None


def signer(estate: Estate) -> Any:
    return estate.party_keys[TCOS].signer("digital-signing").sign


relaxed = settings(
    deadline=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@relaxed
@given(data=st.data())
def test_the_faithful_command_passes_whatever_was_asked(
    estate: Estate, data: st.DataObject
) -> None:
    request = data.draw(requests(estate))
    raw = signed_octets(
        command_message(update_for(request.body, COUNTER), counter=COUNTER), signer(estate)
    )

    assert refusal(estate, request, raw) is None


@relaxed
@given(data=st.data())
def test_a_changed_payload_is_refused_by_the_check_of_that_field(
    estate: Estate, data: st.DataObject
) -> None:
    request = data.draw(requests(estate))
    honest = update_for(request.body, COUNTER)
    name, value = data.draw(payload_changes(estate))
    changed = replace(honest, **{name: value})
    raw = signed_octets(command_message(changed, counter=COUNTER), signer(estate))

    expected = None if changed == honest else f"acb.return.{CHECK_OF_FIELD[name]}"
    assert refusal(estate, request, raw) == expected


@relaxed
@given(data=st.data())
def test_a_changed_header_is_refused_by_the_check_of_that_field(
    estate: Estate, data: st.DataObject
) -> None:
    request = estate.request()
    honest = command_message(update_for(request.body, COUNTER), counter=COUNTER)
    extras = st.tuples(entities, st.none() | numbers).map(
        lambda pair: OtherInformation(honest.message_code, pair[0], pair[1])
    )
    fields: dict[str, st.SearchStrategy[Any]] = {
        "cra": st.sampled_from(Cra),
        "counter": numbers,
        "originator": entities,
        "recipient": entities,
        "date_time": st.binary(min_size=12, max_size=12),
        "other": extras,
        "message_code": st.integers(0, 0xFFFF),
    }
    name = data.draw(st.sampled_from(sorted(fields)))
    value = data.draw(fields[name])
    field, written = ("other", OtherInformation(value)) if name == "message_code" else (name, value)
    header = replace(honest.header, **{field: written})
    raw = signed_octets(replace(honest, header=header), signer(estate))

    expected = None if header == honest.header else f"acb.return.{CHECK_OF_FIELD[name]}"
    assert refusal(estate, request, raw) == expected


@relaxed
@given(data=st.data())
def test_any_octet_changed_after_signing_is_refused(estate: Estate, data: st.DataObject) -> None:
    request = estate.request()
    honest = command_message(update_for(request.body, COUNTER), counter=COUNTER)
    raw = bytearray(signed_octets(honest, signer(estate)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))

    assert refusal(estate, request, bytes(raw)) is not None


@relaxed
@given(noise=st.binary(max_size=300))
def test_noise_is_refused_as_unreadable(estate: Estate, noise: bytes) -> None:
    assert refusal(estate, estate.request(), noise) == "acb.return.decode"


def test_the_generator_writes_what_it_says(estate: Estate) -> None:
    honest = command_message(update_for(estate.body(), COUNTER), counter=COUNTER)
    raw = signed_octets(honest, signer(estate))

    assert decode(raw).header == honest.header
    assert encode(decode(raw)) == raw
    assert honest.header.recipient == DEVICE
