"""A change of supplier for a day to come: the meter keeps it, and acts when its day has come.

The calendar of the whole stack is turned (`cos clock`); nobody waits for real days.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from respelling import oddly
from stack_bench import Bench
from stack_homes import new_home
from typer.testing import CliRunner

from cli.app import app
from duis.alerts import ChangeOfSupplier
from duis.model import (
    CANCEL_DATE,
    DccAlert,
    FutureDatedAlert,
    Header,
    Response,
    ResponseMessage,
    ServiceRequest,
    UpdateSecurityCredentialsCoS,
)
from duis.request_id import RequestId
from duis.xml import request_from_xml, request_to_xml
from gbcs.codes import AlertCode, Cra, StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import CredentialsAlert, decode_alert, decode_response
from keys.issuing.issue import Flaw, flawed_certificate
from keys.roles import OrganisationRole, Usage
from services.chassis.time.clock import SystemClock
from stack import faults
from stack.clocks import agree, read_clocks, real_clocks, set_clocks, step_clocks
from stack.receiver import Receiver
from stack.supplier import Supplier
from stack.switching import Outcome
from stack.systems import COS_PARTIES, SYSTEMS

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

LIMIT = 30  # seconds for a document to be delivered; none takes a tenth of it
SIGNING = "supplier/digitalSignature/management"
SUPPLIER_CELLS = (
    SIGNING,
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
)
PARTIES = ["tcos_party", pytest.param("ecos_party", marks=pytest.mark.check)]


@pytest.fixture
def today(bench: Bench) -> Iterator[datetime]:
    """The present, with every clock standing; real time again afterwards, whatever happened."""
    now = SystemClock().now().replace(microsecond=0)
    set_clocks(bench.connection, now)
    yield now
    assert agree(real_clocks(bench.connection))
    assert {clock.mode for clock in read_clocks(bench.connection).values()} == {"real"}


def ask(bench: Bench, meter: str, execution: datetime, supplier: str = "B") -> Outcome:
    request_id, document = bench.supplier(supplier).change_of_supplier(
        meter, bench.mpxn(meter), execution=execution
    )
    return bench.submit(document, request_id)


def about(answer: Response) -> str | None:
    """The device that a document is about."""
    if answer.request_id is not None:
        return answer.request_id.target
    if isinstance(answer.body, DccAlert) and isinstance(answer.body.content, ChangeOfSupplier):
        device = answer.body.content.device
        return None if device is None else device.device
    return None


def told(bench: Bench, receiver: Receiver, name: str, count: int, *meters: str) -> list[Response]:
    """What a supplier was told of these meters, as verified with its own copy of the broker's key.

    What the broker still owes from before, to a service that is gone, may come as well.
    """
    supplier = bench.supplier(name)

    def heard() -> list[Response]:
        read = [supplier.read(d.document) for d in receiver.deliveries if d.supplier == name]
        return [answer for answer in read if about(answer) in meters]

    with receiver.changed:
        receiver.changed.wait_for(lambda: len(heard()) >= count, LIMIT)
        found = heard()
    assert len(found) == count, f"{name} was told {len(found)} times, not {count}"
    return found


def known_to(bench: Bench, party: str, meter: str) -> dict[str, dict[str, str]]:
    """What a CoS Party knows of a device's cells, by the device's own word."""
    bench.connection.settle(LIMIT, "forward-to-cos-party")
    cells: dict[str, dict[str, str]] = bench.connection.lab(party, "GET", f"/lab/devices/{meter}")[
        "cells"
    ]
    return cells


def alert_in(answer: Response) -> tuple[CredentialsAlert, str]:
    """The device's alert that an answer carries, and whom it was for."""
    assert isinstance(answer.body, ResponseMessage)
    content = answer.body.content
    assert isinstance(content, FutureDatedAlert)
    message = decode(content.gbcs_payload)
    assert (message.header.cra, message.message_code) == (Cra.ALERT, 0x00CB)
    alert = decode_alert(message.payload)
    assert content.alert_code == alert.alert_code
    return alert, message.header.recipient


@pytest.mark.parametrize("cos_party", PARTIES)
def test_it_is_kept_until_its_day_and_done_then(
    bench: Bench, receiver: Receiver, today: datetime, cos_party: str
) -> None:
    meter, day = new_home(bench, cos_party).meter, today + timedelta(days=10)
    before = bench.cells(meter)
    known = known_to(bench, cos_party, meter)

    outcome = ask(bench, meter, day)

    # Accepted, and nothing has changed but that the meter holds a command.
    assert outcome.state == "scheduled", outcome
    accepted = decode(bench.response_payload(outcome))
    assert decode_response(accepted.payload).outcome is None
    (pending,) = bench.device(meter)["pending"]
    assert datetime.fromisoformat(pending["due"]) == day
    assert pending["role"] == "transitionalCoS"
    assert bench.cells(meter) == before
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    assert record[SIGNING]["subject"] == before[SIGNING].subject
    assert known_to(bench, cos_party, meter) == known

    # A second before its time it is still kept.
    set_clocks(bench.connection, day - timedelta(seconds=1))
    assert bench.device(meter)["pending"] == [pending]

    step_clocks(bench.connection, timedelta(seconds=2))

    # The new supplier: first that it was accepted, then the meter's own word that it is done.
    first, second = told(bench, receiver, "B", 2, meter)
    assert isinstance(first.body, ResponseMessage)
    assert first.body.gbcs_payload == bench.response_payload(outcome)
    assert second.request_id == RequestId.from_text(outcome.request_id)
    alert, recipient = alert_in(second)
    assert recipient == bench.connection.stack.facts["parties"][cos_party]
    assert alert.alert_code == AlertCode.FUTURE_DATED_SUCCESS == 0x8F66
    assert [cell.status for cell in alert.outcome.outcomes] == [StatusCode.SUCCESS] * 3
    # The old supplier: that the home has gone, and not to whom.
    (notice,) = told(bench, receiver, "A", 1, meter)
    assert isinstance(notice.body, DccAlert)
    assert notice.body.alert_code == "N27"
    assert isinstance(notice.body.content, ChangeOfSupplier)
    assert notice.body.content.device is not None
    assert notice.body.content.device.device == meter
    # The meter, the broker's record and the CoS Party's own say the same.
    b = bench.supplier("B").eui
    after = bench.cells(meter)
    assert {after[name].subject for name in SUPPLIER_CELLS} == {b}
    assert bench.device(meter)["pending"] == []
    state = bench.connection.request_state(outcome.request_id)
    assert (state["state"], state["response_code"]) == ("completed", "I0")
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    known = known_to(bench, cos_party, meter)
    for name in SUPPLIER_CELLS:
        assert record[name]["key_identifier"] == after[name].key_identifier
        assert known[name]["key_identifier"] == after[name].key_identifier
    assert not bench.story(outcome).refusals


@pytest.mark.parametrize("cos_party", PARTIES)
def test_values_written_in_other_ways_are_the_same_values_to_everybody(
    bench: Bench, receiver: Receiver, today: datetime, tmp_path: Path, cos_party: str
) -> None:
    """Certificates in lines, 1 for true, zeros before numbers, the day in +00:00: so signed."""
    meter, day = new_home(bench, cos_party).meter, today + timedelta(days=10)
    supplier = bench.supplier("B")
    request_id, plain = supplier.write_change_of_supplier(meter, bench.mpxn(meter), execution=day)
    usual, odd, signed = (tmp_path / name for name in ("usual.xml", "odd.xml", "signed.xml"))
    usual.write_bytes(plain)
    odd.write_bytes(oddly(plain))
    assert b"000+00:00<" in odd.read_bytes()

    def cos(*words: str) -> str:
        done = CliRunner().invoke(app, [*words])
        assert done.exit_code == 0, done.output
        return done.output

    shown = [json.loads(cos("duis", "show", str(file), "--json")) for file in (usual, odd)]
    assert shown[0]["header"] == shown[1]["header"]
    assert shown[0]["body"] == shown[1]["body"]
    cos(
        *("duis", "sign", str(odd), "--supplier", "B", "--out", str(signed)),
        *("--data", str(bench.data)),
    )

    outcome = bench.submit(signed.read_bytes(), request_id)

    assert outcome.state == "scheduled", outcome
    (pending,) = bench.device(meter)["pending"]
    assert datetime.fromisoformat(pending["due"]) == day
    story = bench.story(outcome)
    assert {"acb", cos_party, "meter_sim"} <= {event.party for event in story.events}
    assert not story.refusals
    # The usual spelling is the same request, not a new one.
    again = bench.submit(supplier.sign(plain), request_id)
    assert again.refused is not None
    assert again.refused["check"] == "acb.request.duplicate"
    assert bench.device(meter)["pending"] == [pending]

    set_clocks(bench.connection, day + timedelta(seconds=1))

    _, second = told(bench, receiver, "B", 2, meter)
    assert second.request_id == request_id
    assert alert_in(second)[0].alert_code == AlertCode.FUTURE_DATED_SUCCESS
    after = bench.cells(meter)
    assert {after[name].subject for name in SUPPLIER_CELLS} == {supplier.eui}
    held = {after[name].key_identifier for name in SUPPLIER_CELLS}
    assert held == {
        supplier.keys.certificate(key).key_identifier.hex()
        for key in ("digital-signing", "key-agreement", "prepayment-key-agreement")
    }


@pytest.mark.parametrize("cos_party", PARTIES)
def test_what_was_withdrawn_never_happens(
    bench: Bench, receiver: Receiver, today: datetime, cos_party: str
) -> None:
    meter, day = new_home(bench, cos_party).meter, today + timedelta(days=10)
    before = bench.cells(meter)
    outcome = ask(bench, meter, day)
    assert bench.device(meter)["pending"]

    withdrawn = ask(bench, meter, CANCEL_DATE)

    assert withdrawn.state == "completed", withdrawn
    assert bench.device(meter)["pending"] == []
    state = bench.connection.request_state(outcome.request_id)
    assert (state["state"], state["refused"]["check"]) == ("failed", "acb.schedule")
    # Another home changes a day later: once it has, the withdrawn day is over for every meter.
    other = new_home(bench, next(party for party in COS_PARTIES if party != cos_party)).meter
    later = ask(bench, other, day + timedelta(days=1))
    assert later.state == "scheduled"
    set_clocks(bench.connection, day + timedelta(days=2))
    answers = told(bench, receiver, "B", 5, meter, other)
    alert, _ = alert_in(answers[-1])
    assert answers[-1].request_id == RequestId.from_text(later.request_id)
    assert alert.alert_code == AlertCode.FUTURE_DATED_SUCCESS
    assert bench.cells(meter) == before
    assert bench.connection.request_state(outcome.request_id) == state
    (notice,) = told(bench, receiver, "A", 1, meter, other)
    assert isinstance(notice.body, DccAlert)
    assert isinstance(notice.body.content, ChangeOfSupplier)
    assert notice.body.content.device is not None
    assert notice.body.content.device.device == other


def dated(
    bench: Bench, supplier: Supplier, meter: str, day: datetime, *, ends: datetime
) -> tuple[str, bytes]:
    """A request for `day` whose signing certificate for the meter is valid until `ends` only."""
    certificate = flawed_certificate(
        bench.data,
        Flaw.EXPIRED,
        eui=supplier.eui,
        role=OrganisationRole.SUPPLIER,
        usage=Usage.DIGITAL_SIGNATURE,
        public_key=supplier.keys.certificate("digital-signing").public_key,
        now=ends + timedelta(days=1),
    )
    assert certificate.not_after <= ends
    _, document = supplier.change_of_supplier(meter, bench.mpxn(meter), execution=day)
    request = request_from_xml(document)
    assert isinstance(request.body, UpdateSecurityCredentialsCoS)
    header: Header = request.header
    body = replace(request.body, digital_signing=certificate.der)
    return str(header.request_id), supplier.sign(request_to_xml(ServiceRequest(header, body)))


@pytest.mark.parametrize("cos_party", PARTIES)
def test_a_certificate_that_expires_before_the_meter_acts(
    bench: Bench, receiver: Receiver, today: datetime, cos_party: str
) -> None:
    """Good on its day; but the meter only comes to it a month later, and judges it then."""
    meter, day = new_home(bench, cos_party).meter, today + timedelta(days=10)
    before = bench.cells(meter)
    supplier = bench.supplier("B")
    request_id, document = dated(bench, supplier, meter, day, ends=day + timedelta(days=5))
    outcome = bench.submit(document, request_id)
    assert outcome.state == "scheduled", outcome

    set_clocks(bench.connection, day + timedelta(days=30))

    alert, _ = alert_in(told(bench, receiver, "B", 2, meter)[1])
    assert alert.alert_code == AlertCode.FUTURE_DATED_FAILURE == 0x8F67
    statuses = {cell.cell.name: cell.status for cell in alert.outcome.outcomes}
    assert statuses == {
        SUPPLIER_CELLS[0]: StatusCode.BAD_CERTIFICATE,
        SUPPLIER_CELLS[1]: StatusCode.SUCCESS,
        SUPPLIER_CELLS[2]: StatusCode.SUCCESS,
    }
    # Cell by cell, on the meter, in the broker's record, and for the CoS Party.
    after = bench.cells(meter)
    assert after[SIGNING] == before[SIGNING]
    assert {after[name].subject for name in SUPPLIER_CELLS[1:]} == {supplier.eui}
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    known = known_to(bench, cos_party, meter)
    for name in SUPPLIER_CELLS:
        assert record[name]["key_identifier"] == after[name].key_identifier
        assert known[name]["key_identifier"] == after[name].key_identifier
    # Whose signing certificate still stands is not told that the home has gone.
    bench.connection.settle(LIMIT, "forward-to-cos-party")
    supplier_a = bench.supplier("A")
    owed = bench.connection.lab("acb", "GET", f"/lab/notices?user={supplier_a.eui}")["notices"]
    assert meter not in [about(supplier_a.read(b64decode(one["document"]))) for one in owed]


@pytest.mark.parametrize(("cos_party", "prefix"), [("tcos_party", "tcos"), ("ecos_party", "ecos")])
def test_a_certificate_that_expires_before_its_day_is_not_signed_for(
    bench: Bench, today: datetime, cos_party: str, prefix: str
) -> None:
    meter, day = new_home(bench, cos_party).meter, today + timedelta(days=10)
    before = bench.state(meter)
    supplier = bench.supplier("B")
    ends = day - timedelta(days=3)

    request_id, document = dated(bench, supplier, meter, day, ends=ends)
    outcome = bench.submit(document, request_id)

    assert outcome.refused is not None, outcome
    assert (outcome.refused["party"], outcome.refused["check"]) == (
        cos_party,
        f"{prefix}.certificates.path",
    )
    assert bench.state(meter) == before
    # With that check off the meter is asked to keep it: it would find out on the day.
    bench.check(cos_party, f"{prefix}.certificates.path", enabled=False)
    request_id, document = dated(bench, supplier, meter, day, ends=ends)
    assert bench.submit(document, request_id).state == "scheduled"


def test_a_meter_that_is_told_at_once_after_all(
    bench: Bench, receiver: Receiver, today: datetime
) -> None:
    """Time goes back to the present, and everything works as if nobody had turned it."""
    meter = new_home(bench, "ecos_party").meter
    step_clocks(bench.connection, timedelta(days=20))
    assert ask(bench, meter, today + timedelta(days=25)).state == "scheduled"
    real_clocks(bench.connection)
    assert bench.device(meter)["pending"], "its day has not come"
    assert bench.switch(meter, "B").ok
    assert {bench.cells(meter)[name].subject for name in SUPPLIER_CELLS} == {
        bench.supplier("B").eui
    }
    assert len(told(bench, receiver, "A", 1, meter)) == 1


@pytest.mark.check
def test_an_alert_that_is_lost_for_good_is_made_up_for(
    bench: Bench, receiver: Receiver, today: datetime
) -> None:
    """The meter has changed hands and nobody heard of it: a day later the broker asks it."""
    meter, day = new_home(bench, "ecos_party").meter, today + timedelta(days=10)
    outcome = ask(bench, meter, day)
    assert outcome.state == "scheduled", outcome
    lost = faults.order_of("status", "outbound-request", hop="alerts", device=meter, status=403)
    fault = str(faults.arm(bench.connection, "meter_sim", lost)["id"])

    set_clocks(bench.connection, day + timedelta(seconds=1))
    heard_of(bench, outcome, "due")
    fired = f"/lab/faults/{fault}"
    until(lambda: bench.connection.lab("meter_sim", "GET", fired)["fired"], "the alert is lost")
    state = bench.connection.request_state(outcome.request_id)
    assert (state["state"], bench.cells(meter)[SIGNING].subject) == (
        "scheduled",
        bench.supplier("B").eui,
    )
    step_clocks(bench.connection, timedelta(days=1))

    accepted, done = told(bench, receiver, "B", 2, meter)
    assert isinstance(accepted.body, ResponseMessage)
    assert (done.request_id, done.code) == (RequestId.from_text(outcome.request_id), "I0")
    (notice,) = told(bench, receiver, "A", 1, meter)
    assert isinstance(notice.body, DccAlert)
    state = bench.connection.request_state(outcome.request_id)
    assert (state["state"], state["refused"]) == ("completed", None)
    held, record = bench.cells(meter), bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")
    for name in SUPPLIER_CELLS:
        assert record["cells"][name]["key_identifier"] == held[name].key_identifier
    heard_of(bench, outcome, "unanswered")


def until(ask: Callable[[], object], what: str) -> None:
    """Ask over HTTP until it is so."""
    deadline = time.monotonic() + LIMIT
    while not ask():
        assert time.monotonic() < deadline, f"it did not happen: {what}"
        time.sleep(0.05)


def heard_of(bench: Bench, outcome: Outcome, kind: str) -> None:
    """Wait until the broker's trace of a request has an entry of this kind."""
    path = f"/lab/trace/{outcome.request_id}"

    def found() -> bool:
        entries = bench.connection.lab("acb", "GET", path)["entries"]
        return any(entry["kind"] == kind for entry in entries)

    until(found, kind)


def test_the_link_keeps_real_time_while_the_calendar_turns(bench: Bench, today: datetime) -> None:
    """A year ahead every link message is still fresh, because its time is the machine's."""
    meter = new_home(bench, "tcos_party").meter
    set_clocks(bench.connection, today + timedelta(days=300))
    outcome = bench.switch(meter, "B")
    assert outcome.ok, outcome
    assert outcome.response is not None
    assert bench.supplier("B").read(outcome.response).at >= today + timedelta(days=299)


def test_the_command_turns_every_clock(bench: Bench, today: datetime) -> None:
    def cos(*words: str) -> dict[str, dict[str, str]]:
        done = CliRunner().invoke(app, ["clock", *words, "--data", str(bench.data), "--json"])
        assert done.exit_code == 0, done.output
        told = json.loads(done.output)
        assert told["together"] is True
        clocks: dict[str, dict[str, str]] = told["clocks"]
        assert set(clocks) == set(SYSTEMS)
        return clocks

    later = today + timedelta(days=3)
    assert {c["now"] for c in cos("set", later.isoformat()).values()} == {later.isoformat()}
    back = (later - timedelta(hours=1)).isoformat()
    assert {c["now"] for c in cos("step", "-PT1H").values()} == {back}
    assert {c["now"] for c in cos("show").values()} == {back}
    for system in SYSTEMS:
        assert bench.connection.lab(system, "GET", "/lab/clock")["now"] == back
    assert {c["mode"] for c in cos("real").values()} == {"real"}
