"""A system dies in the middle of a change of supplier (`kill -9`) and is started again.

Wherever it was hit: nothing is lost, and nothing is done twice. These tests stop real processes, so
they have a stack of their own.
"""

from __future__ import annotations

import os
import signal
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from stack_bench import Bench
from stack_homes import Home, new_home

from cli.keys_commands import hold_ceremony
from gbcs.message import decode
from services.chassis.time.clock import SystemClock
from stack.connection import Connection
from stack.layout import save_stack
from stack.processes import launch, start, stop, wait_until_ready
from stack.receiver import Receiver
from stack.switching import FINAL_STATES

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("crashes"), pytest.mark.timeout(300)]

LIMIT = 120  # seconds after which something that must happen did not
FORWARD = "forward-to-cos-party"
PARTIES = ["tcos_party", "ecos_party"]
SUPPLIER_CELLS = (
    "supplier/digitalSignature/management",
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
)
T = TypeVar("T")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crashes") / "data"
    hold_ceremony(folder)
    return folder


@pytest.fixture(scope="module")
def running(data: Path) -> Iterator[Connection]:
    stack = start(data, lambda _line: None, first_port=None)
    try:
        with Connection(stack) as connection:
            yield connection
    finally:
        for pid in stack.pids.values():
            resume(pid)
        stop(stack)


def resume(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return


def kill(bench: Bench, system: str) -> None:
    """End a system as a power cut would, and see that it is gone."""
    pid = bench.connection.stack.pids[system]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    url = bench.connection.stack.services[system].lab
    with pytest.raises(httpx.TransportError):
        bench.connection.http.get(f"{url}/healthz")


def halt(bench: Bench, system: str) -> None:
    """Stop a system's process where it stands: it listens, and does nothing."""
    os.kill(bench.connection.stack.pids[system], signal.SIGSTOP)


def restart(bench: Bench, system: str) -> None:
    """Start a system again as it was, and wait until it says that it is ready."""
    stack = bench.connection.stack
    stack.pids[system] = launch(bench.data, system, bench.data / system / "config.toml")
    save_stack(stack)
    wait_until_ready(stack, system)


def until(ask: Callable[[], T | None], what: str) -> T:
    """Ask over HTTP until there is an answer."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        if (found := ask()) is not None:
            return found
    raise AssertionError(f"it did not happen: {what}")


def post(bench: Bench, home: Home) -> str:
    """Supplier B asks for the home; returns the identifier of the acknowledged request."""
    request_id, document = bench.supplier("B").change_of_supplier(home.meter, home.mpxn)
    answer = bench.post(document)
    assert answer.status_code == 200, answer.text
    assert "Cos-Check" not in answer.headers
    return str(request_id)


def in_state(bench: Bench, request_id: str, state: str) -> None:
    def ask() -> str | None:
        told = bench.connection.request_state(request_id)
        assert told["state"] not in FINAL_STATES, told
        return state if told["state"] == state else None

    until(ask, f"{request_id} is {state}")


def end_of(bench: Bench, request_id: str) -> dict[str, Any]:
    def ask() -> dict[str, Any] | None:
        told = bench.connection.request_state(request_id, wait=20)
        return told if told["state"] in FINAL_STATES else None

    return until(ask, f"{request_id} ends")


def last_counter(bench: Bench, party: str) -> int:
    return int(bench.connection.lab(party, "GET", "/lab/counters")["last"] or 0)


def commands_taken(bench: Bench, meter: str) -> list[bytes]:
    """The changes of supplier that a meter acted on, by its own account."""
    entries = bench.connection.lab("meter_sim", "GET", f"/lab/devices/{meter}/trace")["entries"]
    taken = [e for e in entries if e["kind"] == "answered"]
    heard = [b64decode(entry["heard"]) for entry in taken]
    return [octets for octets in heard if decode(octets).message_code == 0x0107]


def owed(bench: Bench, supplier: str, home: Home) -> list[str]:
    """The codes of the documents a supplier was ever owed about a home."""
    one = bench.supplier(supplier)
    notices = bench.connection.lab("acb", "GET", f"/lab/notices?user={one.eui}")["notices"]
    named = "-".join(home.meter[i : i + 2] for i in range(0, 16, 2)).upper().encode()
    return [n["code"] for n in notices if named in b64decode(n["document"])]


def assert_done_once(bench: Bench, home: Home, request_id: str, counter_before: int) -> None:
    """One counter, one change on the meter, one final answer, one notice; all records agree."""
    told = end_of(bench, request_id)
    assert (told["state"], told["response_code"]) == ("completed", "I0"), told
    assert last_counter(bench, home.cos_party) == counter_before + 1
    assert len(commands_taken(bench, home.meter)) == 1
    supplier = bench.supplier("B")
    cells = bench.cells(home.meter)
    assert {cells[name].subject for name in SUPPLIER_CELLS} == {supplier.eui}
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{home.meter}")["cells"]
    assert {n: record[n]["key_identifier"] for n in SUPPLIER_CELLS} == {
        n: cells[n].key_identifier for n in SUPPLIER_CELLS
    }
    assert supplier.read(b64decode(told["response"])).code == "I0"
    assert owed(bench, "B", home) == ["I0"]
    assert owed(bench, "A", home) == ["N27"]
    bench.connection.settle(LIMIT, FORWARD)
    dead = bench.connection.lab("acb", "GET", "/lab/outbox?state=dead")["entries"]
    assert dead == []
    for party in ("acb", home.cos_party, "meter_sim"):
        assert bench.connection.lab(party, "GET", "/lab/audit/verify")["intact"] is True


@pytest.mark.parametrize("cos_party", PARTIES)
def test_the_broker_dies_while_the_cos_party_is_asked(
    bench: Bench, receiver: Receiver, cos_party: str
) -> None:
    home = new_home(bench, cos_party)
    before = last_counter(bench, cos_party)
    halt(bench, cos_party)
    request_id = post(bench, home)
    in_state(bench, request_id, "with_cos_party")

    kill(bench, "acb")
    resume(bench.connection.stack.pids[cos_party])
    restart(bench, "acb")

    assert_done_once(bench, home, request_id, before)


@pytest.mark.parametrize("cos_party", PARTIES)
def test_the_cos_party_dies_while_it_is_asked(
    bench: Bench, receiver: Receiver, cos_party: str
) -> None:
    home = new_home(bench, cos_party)
    before = last_counter(bench, cos_party)
    halt(bench, cos_party)
    request_id = post(bench, home)
    in_state(bench, request_id, "with_cos_party")

    kill(bench, cos_party)
    restart(bench, cos_party)

    assert_done_once(bench, home, request_id, before)


@pytest.mark.parametrize("cos_party", PARTIES)
def test_the_broker_dies_after_the_meter_has_acted_and_its_answer_was_lost(
    bench: Bench, receiver: Receiver, cos_party: str
) -> None:
    """The meter says nothing twice; what it holds is read back by a broker that knows nothing."""
    home = new_home(bench, cos_party)
    before = last_counter(bench, cos_party)
    bench.connection.lab("meter_sim", "PUT", f"/lab/devices/{home.meter}/wan", {"lose_answers": 1})
    request_id = post(bench, home)
    until(lambda: commands_taken(bench, home.meter) or None, "the meter acts")

    kill(bench, "acb")
    restart(bench, "acb")

    assert_done_once(bench, home, request_id, before)


def test_the_broker_dies_while_the_meter_has_the_command(bench: Bench, receiver: Receiver) -> None:
    home = new_home(bench, "ecos_party")
    before = last_counter(bench, "ecos_party")
    halt(bench, "meter_sim")
    request_id = post(bench, home)
    in_state(bench, request_id, "sent_to_device")

    kill(bench, "acb")
    resume(bench.connection.stack.pids["meter_sim"])
    restart(bench, "acb")

    assert_done_once(bench, home, request_id, before)


def test_the_meters_die_with_the_command_on_the_way(bench: Bench, receiver: Receiver) -> None:
    home = new_home(bench, "tcos_party")
    before = last_counter(bench, "tcos_party")
    halt(bench, "meter_sim")
    request_id = post(bench, home)
    in_state(bench, request_id, "sent_to_device")

    kill(bench, "meter_sim")
    restart(bench, "meter_sim")

    assert_done_once(bench, home, request_id, before)


def test_a_pending_command_outlives_the_meters(bench: Bench, receiver: Receiver) -> None:
    """What a meter holds for later, and its counters, are there after a power cut."""
    home = new_home(bench, "ecos_party")
    assert bench.submit(*dated(bench, home)).state == "scheduled"
    before = bench.device(home.meter)
    assert before["pending"]

    kill(bench, "meter_sim")
    restart(bench, "meter_sim")

    assert bench.device(home.meter) == before


def dated(bench: Bench, home: Home) -> tuple[bytes, str]:
    day = SystemClock().now().replace(microsecond=0) + timedelta(days=10)
    request_id, document = bench.supplier("B").change_of_supplier(
        home.meter, home.mpxn, execution=day
    )
    return document, str(request_id)


@pytest.mark.parametrize("cos_party", PARTIES)
def test_a_link_message_from_before_the_crash_is_not_taken_again(
    bench: Bench, cos_party: str
) -> None:
    """Whoever recorded the wire replays it to the restarted party, octet by octet."""
    home = new_home(bench, cos_party)
    assert bench.submit(*honest(bench, home)).ok
    bench.connection.settle(LIMIT, FORWARD)
    rows = bench.connection.lab("acb", "GET", "/lab/audit?limit=10000")["rows"]
    sent = next(
        row
        for row in reversed(rows)
        if row["kind"] == "link.request.sent" and row["record"]["path"] == "/link/cos-command"
    )
    url = bench.connection.stack.services[cos_party].interface + sent["record"]["path"]
    headers, body = dict(sent["record"]["headers"]), b64decode(sent["body"])
    before = bench.state(home.meter)

    kill(bench, cos_party)
    restart(bench, cos_party)
    answer = bench.connection.http.post(url, content=body, headers=headers)

    assert answer.is_client_error, answer.text
    # Its nonce is remembered for as long as the message itself is fresh.
    fresh = {"link.request.nonce", "link.request.stale"}
    assert answer.json()["check"] in fresh
    assert bench.state(home.meter) == before
    # With those checks off it is heard, and answered as the first time: no second counter.
    for check in fresh:
        bench.check(cos_party, check, enabled=False)
    again = bench.connection.http.post(url, content=body, headers=headers)
    assert again.status_code == 200, again.text
    assert bench.state(home.meter) == before


def honest(bench: Bench, home: Home) -> tuple[bytes, str]:
    request_id, document = bench.supplier("B").change_of_supplier(home.meter, home.mpxn)
    return document, str(request_id)
