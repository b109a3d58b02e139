"""Faults and quirks at really running systems: who notices by which check, and what still holds."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from stack_bench import Bench
from stack_homes import Home, new_home
from typer.testing import CliRunner

from cli.app import app
from gbcs.message import decode
from gbcs.payloads.credentials import decode_alert, decode_response
from gbcs.payloads.device_ber import as_der
from services.chassis.time.clock import SystemClock
from stack import faults
from stack.clocks import real_clocks, set_clocks, step_clocks
from stack.connection import Connection
from stack.errors import CommandError
from stack.evidence.collect import collect
from stack.evidence.verify import judge, write_bundle
from stack.pcapng import Packet, write
from stack.provision import provision
from stack.receiver import Receiver
from stack.switching import FINAL_STATES
from stack.trace import tell

pytestmark = pytest.mark.xdist_group("stack")

SUPPLIER = "supplier/digitalSignature/management"


@pytest.fixture(scope="module")
def provisioned(data: Path, running: Connection) -> Bench:
    provision(running, data)
    return Bench(data, running)


@pytest.fixture
def bench(provisioned: Bench) -> Iterator[Bench]:
    """The stack as it stands: each test here has homes of its own."""
    yield provisioned
    faults.clear(provisioned.connection, provisioned.connection.stack.services)
    provisioned.reset()


def arm(bench: Bench, party: str, kind: str, where: str, **more: Any) -> str:
    return str(faults.arm(bench.connection, party, faults.order_of(kind, where, **more))["id"])


def told(bench: Bench, party: str, fault: str) -> dict[str, Any]:
    answer: dict[str, Any] = bench.connection.lab(party, "GET", f"/lab/faults/{fault}")
    return answer


def begin(bench: Bench, home: Home) -> str:
    request_id, document = bench.supplier("B").change_of_supplier(home.meter, home.mpxn)
    assert bench.post(document).is_success
    return str(request_id)


def ended(bench: Bench, request_id: str) -> str:
    state = bench.connection.request_state(request_id)["state"]
    for _ in range(10):
        if state in FINAL_STATES:
            return str(state)
        state = bench.connection.request_state(request_id, wait=20)["state"]
    raise AssertionError(state)


def trace(bench: Bench, party: str, subject: str) -> list[dict[str, Any]]:
    return list(bench.connection.lab(party, "GET", f"/lab/trace/{subject}")["entries"])


def signed(bench: Bench, party: str, request_id: str) -> int:
    return sum(entry["kind"] == "signed" for entry in trace(bench, party, request_id))


def test_every_system_has_the_same_lab_routes_and_says_its_hops(bench: Bench) -> None:
    shown = faults.listed(bench.connection, bench.connection.stack.services)
    hops = {
        party: (one["hops"]["inbound"], one["hops"]["outbound"]) for party, one in shown.items()
    }
    sources = ["registration", "smki_repository"]
    cos = (["acb", "anyone"], sources)
    everyone = ["acb", "anyone", "ecos_party", "tcos_party"]
    assert hops == {
        "acb": (
            ["anyone"],
            ["ecos_party", "meter_sim", "smki_repository", "tcos_party", "users"],
        ),
        "ecos_party": cos,
        "tcos_party": cos,
        "meter_sim": (["anyone"], ["alerts"]),
        "registration": (["anyone", "ecos_party", "tcos_party"], []),
        "smki_repository": (everyone, []),
    }
    can_sign = {party for party, one in shown.items() if "old_key" in one["kinds"]}
    assert can_sign == set(hops) - {"meter_sim"}


def test_a_call_that_is_dropped_twice_still_ends_right(bench: Bench) -> None:
    home = new_home(bench, "ecos_party")
    fault = arm(
        bench, "acb", "drop", "outbound-request",
        hop="ecos_party", purpose="cos-command", times=2,
    )  # fmt: skip
    inbound = arm(bench, "ecos_party", "drop", "inbound-answer", hop="acb", purpose="cos-command")
    request_id = begin(bench, home)
    assert ended(bench, request_id) == "completed"
    assert (told(bench, "acb", fault)["fired"], told(bench, "acb", fault)["state"]) == (2, "spent")
    assert told(bench, "ecos_party", inbound)["fired"] == 1
    # Two never arrived, of the third the answer was lost: asked four times, signed once.
    assert signed(bench, "ecos_party", request_id) == 1
    assert bench.cells(home.meter)[SUPPLIER].subject == bench.supplier("B").eui
    struck = [e["name"] for e in trace(bench, "acb", request_id) if e["kind"] == "fault"]
    assert struck == ["fault.drop"] * 2
    assert [e["name"] for e in trace(bench, "ecos_party", request_id) if e["kind"] == "fault"] == [
        "fault.drop"
    ]
    # The evidence of both sides is whole, and says what the lab did beside what was said.
    bench.connection.settle()
    report = judge(write_bundle(collect(bench.connection, bench.data, request_id)))
    assert report.ok, report.wrong


@pytest.mark.check
@pytest.mark.parametrize(
    ("kind", "more", "check"),
    [
        ("bit_flip", {"seed": 1}, "link.response.content_digest"),
        ("truncate", {}, "link.response.content_digest"),
        ("old_key", {}, "link.response.signature"),
        ("old_key", {"claims": "old"}, "link.response.key"),
    ],
)
def test_an_answer_that_is_spoiled_is_refused_and_asked_for_again(
    bench: Bench, kind: str, more: dict[str, Any], check: str
) -> None:
    home = new_home(bench, "tcos_party")
    arm(bench, "tcos_party", kind, "inbound-answer", purpose="cos-command", **more)
    request_id = begin(bench, home)
    assert ended(bench, request_id) == "completed"
    refused = [e["name"] for e in trace(bench, "acb", request_id) if e["kind"] == "refused"]
    assert refused == [check]
    assert signed(bench, "tcos_party", request_id) == 1


def test_a_stale_answer_is_refused_by_the_link(bench: Bench) -> None:
    arm(bench, "acb", "stale_answer", "outbound-answer", hop="ecos_party", purpose="cos-command")
    first, second = new_home(bench, "ecos_party"), new_home(bench, "ecos_party")
    earlier = begin(bench, first)
    assert ended(bench, earlier) == "completed"
    assert not [e for e in trace(bench, "acb", earlier) if e["kind"] == "refused"]
    later = begin(bench, second)
    assert ended(bench, later) == "completed"
    refused = [e["name"] for e in trace(bench, "acb", later) if e["kind"] == "refused"]
    assert refused == ["link.response.signature"]
    assert bench.cells(second.meter)[SUPPLIER].subject == bench.supplier("B").eui


def test_a_bit_that_flips_on_the_way_to_the_meter_is_refused_by_the_meter(bench: Bench) -> None:
    home = new_home(bench, "ecos_party")
    arm(
        bench, "acb", "bit_flip", "outbound-request",
        hop="meter_sim", device=home.meter, bit=8 * 200, times=1,
    )  # fmt: skip
    request_id = begin(bench, home)
    assert (
        ended(bench, request_id) == "completed"
    )  # it is silent, so the same octets are sent again
    refusals = bench.connection.lab("meter_sim", "GET", f"/lab/devices/{home.meter}/refusals")
    assert [one["refused"]["check"] for one in refusals["refusals"]] == ["meter.mac"]
    assert bench.cells(home.meter)[SUPPLIER].subject == bench.supplier("B").eui
    story = [e for e in tell(bench.connection, request_id).events if e.kind == "fault"]
    assert [(e.party, e.name) for e in story] == [("acb", "fault.bit_flip")]


@pytest.mark.check
def test_a_duplicated_command_is_taken_once(bench: Bench) -> None:
    home = new_home(bench, "ecos_party")
    head = bench.connection.lab("ecos_party", "GET", "/lab/audit?limit=1")["head"]["seq"]
    arm(bench, "acb", "duplicate", "outbound-request", hop="ecos_party", purpose="cos-command")
    request_id = begin(bench, home)
    assert ended(bench, request_id) == "completed"
    assert signed(bench, "ecos_party", request_id) == 1
    rows = bench.connection.lab("ecos_party", "GET", f"/lab/audit?after={head}")["rows"]
    refused = [row["record"] for row in rows if row["kind"] == "link.request.refused"]
    assert [one["verdict"]["check"] for one in refused] == ["link.request.nonce"]


@pytest.mark.check
def test_a_held_request_goes_on_when_it_is_released(bench: Bench) -> None:
    home = new_home(bench, "tcos_party")
    fault = arm(bench, "acb", "delay", "inbound-request", path="/device-messages")
    assert told(bench, "acb", fault)["state"] == "armed"
    faults.remove(bench.connection, "acb", fault)
    fault = arm(bench, "tcos_party", "delay", "inbound-request", purpose="cos-command")
    request_id = begin(bench, home)
    while not told(bench, "tcos_party", fault)["held"]:
        bench.connection.request_state(request_id, wait=1)
    assert signed(bench, "tcos_party", request_id) == 0
    assert faults.release(bench.connection, "tcos_party", fault) == 1
    assert ended(bench, request_id) == "completed"
    assert signed(bench, "tcos_party", request_id) == 1


@pytest.mark.parametrize("where", ["inbound-request", "inbound-answer"])
def test_a_dropped_connection_is_closed_without_an_octet(bench: Bench, where: str) -> None:
    arm(bench, "acb", "drop", where, path="/service-requests/*")
    parts = urlsplit(bench.connection.stack.services["acb"].interface)
    asked = b"GET /service-requests/none HTTP/1.1\r\nHost: acb\r\n\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as caller:
        caller.sendall(asked)
        assert caller.recv(1) == b""
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as caller:
        caller.sendall(asked)  # the twin
        assert caller.recv(12) == b"HTTP/1.1 404"


@pytest.mark.check
def test_with_lengths_that_are_not_minimal_a_home_changes_supplier_now_and_later(
    bench: Bench, receiver: Receiver, tmp_path: Path
) -> None:
    faults.switch_quirk(bench.connection, "meter_sim", "non-minimal-lengths", on=True)
    asking, home = bench.supplier("B"), new_home(bench, "ecos_party")
    request_id, document = asking.change_of_supplier(home.meter, home.mpxn)
    outcome = bench.submit(document, request_id)
    assert outcome.ok, outcome.refused
    said = bench.response_payload(outcome)
    assert decode_response(decode(said).payload).outcome is not None
    assert recorded(bench, outcome.request_id) == ["device-response"]

    later, now = new_home(bench, "ecos_party"), SystemClock().now().replace(microsecond=0)
    set_clocks(bench.connection, now)
    try:
        request_id, document = asking.change_of_supplier(
            later.meter, later.mpxn, execution=now + timedelta(hours=2)
        )
        assert bench.submit(document, request_id).state == "scheduled"
        step_clocks(bench.connection, timedelta(hours=3))
        with receiver.changed:  # its document comes when it is done
            assert receiver.changed.wait_for(lambda: state(bench, request_id) == "completed", 30)
        assert recorded(bench, str(request_id)) == ["device-response", "device-alert"]
    finally:
        real_clocks(bench.connection)
    alert = next(
        base64.b64decode(entry["message"])
        for entry in trace(bench, "ecos_party", str(request_id))
        if entry["kind"] == "recorded" and entry["name"] == "device-alert"
    )
    assert decode_alert(decode(alert).payload).alert_code == 0x8F66

    for octets, meter in ((said, home.meter), (alert, later.meter)):
        payload = decode(octets).payload
        assert payload[:3] == b"\x30\x82\x00"
        assert as_der(payload) != payload
        record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
        assert record[SUPPLIER]["subject"] == bench.cells(meter)[SUPPLIER].subject == asking.eui
    if shutil.which("tshark"):
        dissected([said, alert], tmp_path)


def state(bench: Bench, request_id: object) -> str:
    return str(bench.connection.request_state(str(request_id))["state"])


def recorded(bench: Bench, request_id: str) -> list[str]:
    """What the CoS Party has taken of what the device said."""
    bench.connection.settle(kind="forward-to-cos-party")
    told = trace(bench, "ecos_party", request_id)
    assert not [entry for entry in told if entry["kind"] == "refused"]
    return [entry["name"] for entry in told if entry["kind"] == "recorded"]


def dissected(messages: list[bytes], folder: Path) -> None:
    """Have Wireshark's own dissector read them, and find nothing amiss."""
    target = folder / "said.pcapng"
    now = SystemClock().now()
    target.write_bytes(write([Packet(now, "what a meter said", one) for one in messages]))
    done = subprocess.run(
        ["tshark", "-r", str(target), "-V"], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("GBCS Message") >= len(messages), done.stdout
    assert "malformed" not in done.stdout.lower()


def cos(bench: Bench, *arguments: str) -> Any:
    done = CliRunner().invoke(app, [*arguments, "--data", str(bench.data), "--json"])
    return json.loads(done.stdout) if done.exit_code == 0 else done.exit_code


@pytest.mark.check
def test_the_command_arms_lists_and_undoes(bench: Bench) -> None:
    armed = cos(
        bench, "faults", "add", "registration", "status", "inbound-request",
        "--hop", "ecos_party", "--status", "500", "--times", "0",
    )  # fmt: skip
    assert (armed["times"], armed["status"], armed["state"]) == (None, 500, "armed")
    listed = cos(bench, "faults", "list", "registration")["registration"]
    assert [one["id"] for one in listed["faults"]] == [armed["id"]]
    assert listed["weakened"] == [f"fault:{armed['id']}"]
    plain = CliRunner().invoke(app, ["faults", "list", "--data", str(bench.data)])
    assert (plain.exit_code, armed["id"] in plain.stdout.split()) == (0, True), plain.stdout
    plain = CliRunner().invoke(app, ["quirks", "list", "--data", str(bench.data)])
    assert (plain.exit_code, "off" in plain.stdout.split()) == (0, True), plain.stdout
    assert cos(bench, "faults", "release", "registration", armed["id"])["released"] == 0
    assert cos(bench, "faults", "remove", "registration", armed["id"])["fired"] == 0
    assert cos(bench, "faults", "remove", "registration", armed["id"]) == 1
    assert cos(bench, "faults", "add", "acb", "drop", "inbound-answer", "--hop", "nobody") == 1
    assert cos(bench, "faults", "add", "nobody", "drop", "inbound-answer") == 2
    assert cos(bench, "faults", "reset")["removed"]["acb"] == 0
    quirk = ("meter_sim", "non-minimal-lengths")
    assert cos(bench, "quirks", "on", *quirk)["on"] is True
    shown = cos(bench, "quirks", "list", "meter_sim")["meter_sim"]
    assert [one["name"] for one in shown if one["on"]] == [quirk[1]]
    assert cos(bench, "quirks", "off", *quirk)["weakened"] == []
    assert cos(bench, "quirks", "on", "acb", "non-minimal-lengths") == 1
    with pytest.raises(CommandError, match=r"lab\.fault\.place"):
        arm(bench, "acb", "duplicate", "inbound-answer")
