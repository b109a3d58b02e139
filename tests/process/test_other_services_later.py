"""The broker's other services: a device's own keys, days to come, late answers; all six systems."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stack_bench import Bench
from stack_services import SUPPLIER, ask, refused, renewed
from typer.testing import CliRunner

from cli.app import app
from duis.model import FutureDatedAlert, Response, ResponseMessage
from duis.request_id import RequestId
from gbcs.codes import AlertCode
from keys.certificate import Certificate
from services.chassis.time.clock import SystemClock
from stack.cells import cells_of
from stack.clocks import real_clocks, set_clocks, step_clocks
from stack.own_keys import KeyName, command_device, issue
from stack.receiver import Receiver
from stack.service_requests import ask_update, request_handover, send_update, sign_pre_command
from stack.switching import Outcome

pytestmark = pytest.mark.xdist_group("stack")

LIMIT = 30  # seconds for a document to be delivered; none takes a tenth of it

KEYS = ["key-agreement", pytest.param("digital-signing", marks=pytest.mark.check)]


@pytest.mark.parametrize("key", KEYS)
def test_a_device_is_given_a_new_key_by_the_command_line(
    bench: Bench, tmp_path: Path, key: str
) -> None:
    """A real key pair, its request certified by the device authority, put on, read back, used."""
    meter = bench.meter("ecos_party")
    request, given, shown = (tmp_path / name for name in ("new.csr", "new.pem", "shown.pem"))

    def cos(*words: object, code: int = 0) -> dict[str, Any]:
        command = [*map(str, words), "--data", str(bench.data), "--json"]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == code, done.output
        return dict(json.loads(done.stdout))

    caller = ["--supplier", "A", "--meter", meter]
    of_key = [*caller, "--key", key]
    before = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["certificates"]
    issued = cos("request", "issue-credentials", *of_key, "--out", request)
    assert (issued["state"], issued["device"]["result"]) == ("completed", "success")
    cos("keys", "certify", "--request", request, "--out", given)
    certificate = Certificate.from_pem(given.read_bytes())
    assert certificate.subject_eui == meter
    update = ["request", "update-device-certificate", *caller, "--certificate", given]
    assert cos(*update)["device"] == {"result": "success", "pem": None}
    cos("request", "provide-device-certificate", *of_key, "--out", shown)

    assert Certificate.from_pem(shown.read_bytes()).der == certificate.der
    after = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["certificates"]
    assert {name for name in after if after[name] != before[name]} == {key}
    assert after[key]["fingerprint"] == certificate.fingerprint
    # The same certificate again: no key pair waits for one, and the device says so.
    again = cos(*update, code=1)
    assert again["device"]["result"] == "noCorrespondingKeyPairGenerated"
    assert (again["state"], again["response_code"]) == ("completed", "I0")
    # And the device is served, and understood, by its new key.
    assert bench.switch(meter, "B").ok
    refused = cos("request", "provide-device-certificate", *of_key, code=1)
    assert refused["refused"]["check"] == "acb.device_pre_command.holder"


def test_a_command_line_that_is_given_no_certificate(bench: Bench, tmp_path: Path) -> None:
    """Wrong input is said plainly and changes nothing."""
    junk, out = tmp_path / "junk", tmp_path / "out"
    junk.write_text("-----BEGIN nothing")
    meter = bench.meter("ecos_party")
    before = bench.state(meter)
    caller = ["--supplier", "A", "--meter", meter, "--data", str(bench.data), "--json"]
    update = ["request", "update-device-certificate", *caller, "--certificate", str(junk)]
    certify = ["keys", "certify", "--request", str(junk), "--out", str(out), "--json"]

    for words in (update, [*certify, "--data", str(bench.data)]):
        told = CliRunner().invoke(app, words)
        assert told.exit_code == 2, told.output
        assert str(junk) in json.loads(told.stdout)["error"]
    assert not out.exists()
    assert bench.state(meter) == before


@pytest.fixture
def today(bench: Bench) -> Iterator[datetime]:
    """The present, with every clock standing; real time again afterwards."""
    now = SystemClock().now().replace(microsecond=0)
    set_clocks(bench.connection, now)
    yield now
    real_clocks(bench.connection)


def answers(bench: Bench, receiver: Receiver, outcome: Outcome, count: int) -> list[Response]:
    """What supplier A was told in answer to a request, once it has been told so often."""
    supplier, about = bench.supplier("A"), RequestId.from_text(outcome.request_id)

    def heard() -> list[Response]:
        read = [supplier.read(d.document) for d in receiver.deliveries if d.supplier == "A"]
        return [answer for answer in read if answer.request_id == about]

    with receiver.changed:
        receiver.changed.wait_for(lambda: len(heard()) >= count, LIMIT)
    found = heard()
    assert len(found) == count, [answer.code for answer in found]
    return found


def test_a_renewal_for_a_day_to_come(bench: Bench, receiver: Receiver, today: datetime) -> None:
    """The device keeps the command; turned to its day, it does it, and everybody is told."""
    meter, a, new = bench.meter("tcos_party"), bench.supplier("A"), renewed(bench, "A")
    before, day = bench.cells(meter), today + timedelta(days=10)
    written = ask(bench, ask_update(a, meter, new, execution=day))
    assert written.response is not None
    signed = sign_pre_command(a, a.read(written.response), new, execution=day)

    outcome = ask(bench, send_update(a, meter, signed))

    assert outcome.state == "scheduled"
    (pending,) = bench.device(meter)["pending"]
    assert (pending["role"], bench.cells(meter)) == ("supplier", before)
    step_clocks(bench.connection, timedelta(days=10))
    accepted, executed = answers(bench, receiver, outcome, 2)
    assert (accepted.code, executed.code) == ("I0", "I0")
    assert isinstance(executed.body, ResponseMessage)
    assert isinstance(executed.body.content, FutureDatedAlert)
    assert executed.body.content.alert_code == AlertCode.FUTURE_DATED_SUCCESS
    assert bench.connection.request_state(outcome.request_id)["state"] == "completed"
    assert new.key_agreement is not None
    after = bench.cells(meter)
    assert after[SUPPLIER[1]].key_identifier == new.key_agreement.key_identifier.hex()
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    assert record[SUPPLIER[1]]["key_identifier"] == after[SUPPLIER[1]].key_identifier
    assert bench.device(meter)["pending"] == []
    owed = bench.connection.lab("acb", "GET", f"/lab/notices?user={a.eui}")["notices"]
    assert "N42" in [one["code"] for one in owed]


@pytest.mark.check
def test_a_handover_for_a_day_to_come(
    bench: Bench, receiver: Receiver, dcc_controlled: str, today: datetime
) -> None:
    """The broker keeps the request: the device hears nothing of it before its day."""
    day = today + timedelta(days=10)
    before = bench.state(dcc_controlled)

    outcome = ask(bench, request_handover(bench.supplier("A"), dcc_controlled, execution=day))

    assert outcome.state == "scheduled"
    assert bench.state(dcc_controlled) == before
    step_clocks(bench.connection, timedelta(days=10))
    (answer,) = answers(bench, receiver, outcome, 1)
    assert answer.code == "I0"
    cells = cells_of(bench.connection, dcc_controlled)
    assert {cells[name].subject for name in SUPPLIER} == {bench.supplier("A").eui}


@pytest.mark.check
def test_an_answer_that_comes_late(bench: Bench, receiver: Receiver, today: datetime) -> None:
    """6.17, the answer held back for an hour: the request fails, and then it does not."""
    meter = bench.meter("tcos_party")
    delay = {"delay_answers": 1, "delay_seconds": 3600}
    bench.connection.lab("meter_sim", "PUT", f"/lab/devices/{meter}/wan", delay)

    outcome = command_device(
        bench.connection, bench.supplier("A"), meter, issue(KeyName.DIGITAL_SIGNING)
    )

    assert (outcome.state, refused(outcome)) == ("failed", "acb.device_answer.received")
    step_clocks(bench.connection, timedelta(hours=1))
    assert [answer.code for answer in answers(bench, receiver, outcome, 2)] == ["E11", "I0"]
    told = bench.connection.request_state(outcome.request_id)
    assert (told["state"], told["refused"]) == ("completed", None)
