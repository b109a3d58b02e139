"""Someone stands between the broker and the CoS Party: what they can do, and who notices by what.

One stack of its own, whose broker is told that the CoS Party is where the proxy listens.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stack_bench import Bench

from cli.keys_commands import hold_ceremony
from stack.connection import Connection
from stack.evidence.collect import collect
from stack.evidence.report import Report
from stack.evidence.verify import judge, write_bundle
from stack.layout import Stack
from stack.processes import start, stop
from stack.provision import provision
from stack.switching import FINAL_STATES
from tamper.exchange import Exchange, Response
from tamper.proxy import Proxy
from tamper.script import Script, load_script

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("tampered-stack")]


@dataclass
class Between:
    """The proxy, and every exchange that passed it."""

    proxy: Proxy
    seen: list[tuple[str, Exchange]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def watch(self, stage: str, exchange: Exchange) -> None:
        with self.changed:
            self.seen.append((stage, exchange))
            self.changed.notify_all()

    def wait_for(self, stage: str, count: int) -> list[Exchange]:
        def found() -> list[Exchange]:
            return [exchange for told, exchange in self.seen if told == stage]

        with self.changed:
            assert self.changed.wait_for(lambda: len(found()) >= count, timeout=30), self.seen
            return found()


@pytest.fixture(scope="module")
def between() -> Iterator[Between]:
    with Proxy("http://127.0.0.1:1") as proxy:
        between = Between(proxy)
        proxy._watch = between.watch
        yield between


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory, between: Between) -> Iterator[Stack]:
    data = tmp_path_factory.mktemp("tampered") / "data"
    hold_ceremony(data)
    detours = {("acb", "ecos_party"): between.proxy.url}
    stack = start(data, lambda _line: None, first_port=None, detours=detours)
    between.proxy.point_at(stack.services["ecos_party"].interface)
    yield stack
    stop(stack)


@pytest.fixture
def bench(tampered: Stack, between: Between) -> Iterator[Bench]:
    assert tampered.data is not None
    between.proxy.script = Script()
    with Connection(tampered) as connection:
        bench = Bench(tampered.data, connection)
        bench.reset()
        provision(connection, tampered.data, afresh=True)
        between.seen.clear()
        yield bench
    between.proxy.script = Script()


def ask(bench: Bench) -> tuple[str, str]:
    """Supplier B asks for the home with the enduring CoS Party: the meter and the request ID."""
    meter = bench.meter("ecos_party")
    request_id, document = bench.supplier("B").change_of_supplier(meter, bench.mpxn(meter))
    assert bench.post(document).is_success
    return meter, str(request_id)


def ended(bench: Bench, request_id: str) -> str:
    told = bench.connection.request_state(request_id)
    for _ in range(10):
        if told["state"] in FINAL_STATES:
            return str(told["state"])
        told = bench.connection.request_state(request_id, wait=20)
    raise AssertionError(told)


def refusals(bench: Bench, party: str, request_id: str) -> set[str]:
    told = bench.connection.lab(party, "GET", f"/lab/trace/{request_id}")["entries"]
    return {entry["name"] for entry in told if entry["kind"] == "refused"}


def evidence_of(bench: Bench, request_id: str) -> Report:
    bench.connection.settle()
    return judge(write_bundle(collect(bench.connection, bench.data, request_id)))


def test_an_honest_proxy_changes_nothing(bench: Bench, between: Between) -> None:
    meter = bench.meter("ecos_party")
    outcome = bench.switch(meter, "B")
    assert outcome.ok
    assert bench.cells(meter)["supplier/digitalSignature/management"].subject == (
        bench.supplier("B").eui
    )
    answered = between.wait_for("response", 2)
    assert [one.request.header("cos-purpose") for one in answered] == [
        "cos-command",
        "device-response",
    ]
    assert all(not one.acts for one in answered)
    asked, told = answered[0].request.decoded(), answered[0].response
    assert asked["link"]["signatures"]["cos"]["parameters"]["tag"] == "cos-link-v1"
    request = asked["json"]["service_request"]["duis"]
    assert request["header"]["request_id"] == outcome.request_id
    assert told is not None
    command = told.decoded()["json"]["signed_command"]["gbcs"]
    assert (command["recipient"], command["mac"]) == (meter, "absent")


def flip(exchange: Exchange) -> None:
    assert exchange.response is not None
    exchange.response.flip(len(exchange.response.body) // 2)


def as_the_other_cos_party(bench: Bench, *, claim: str) -> Callable[[Exchange], None]:
    folder = bench.data / "tcos_party"

    def act(exchange: Exchange) -> None:
        exchange.resign(folder / "keys", folder / "passphrase", claim)

    return act


def drop(exchange: Exchange) -> None:
    exchange.drop()


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("a flipped byte", "link.response.content_digest"),
        ("the other CoS Party, openly", "link.response.peer"),
        ("the other CoS Party, claiming to be this one", "link.response.peer"),
    ],
)
def test_a_changed_answer_is_refused_and_the_true_one_is_still_taken(
    bench: Bench, between: Between, name: str, check: str
) -> None:
    act = {
        "a flipped byte": flip,
        "the other CoS Party, openly": as_the_other_cos_party(bench, claim="tcos_party"),
        "the other CoS Party, claiming to be this one": as_the_other_cos_party(
            bench, claim="ecos_party"
        ),
    }[name]
    between.proxy.script = Script(response=act)
    before = bench.cells(bench.meter("ecos_party"))
    meter, request_id = ask(bench)
    between.wait_for("request", 2)  # the broker has judged the first answer, and asks again
    assert refusals(bench, "acb", request_id) == {check}
    assert bench.connection.request_state(request_id)["state"] == "with_cos_party"
    assert bench.cells(meter) == before

    between.proxy.script = Script()
    assert ended(bench, request_id) == "completed"
    # However often it was asked, the CoS Party signed one command.
    refs = {
        entry["gbcs_ref"]
        for entry in bench.connection.lab("ecos_party", "GET", f"/lab/trace/{request_id}")[
            "entries"
        ]
        if entry["kind"] == "signed"
    }
    assert len(refs) == 1
    # Both logs together show it too: what was refused, by what, and that the rest is true.
    report = evidence_of(bench, request_id)
    assert report.ok, report.wrong
    refused = [one for one in report.told if one.part.endswith("refusal")]
    assert refused
    assert all(one.party == "acb" and check in one.detail for one in refused)


def test_with_those_checks_off_the_flipped_byte_gets_as_far_as_the_command(
    bench: Bench, between: Between
) -> None:
    """The twin: what the digest stopped is now for the broker's checks on the command itself."""
    bench.check("acb", "link.response.content_digest", enabled=False)

    def spoil_the_command(exchange: Exchange) -> None:
        assert exchange.response is not None
        told = exchange.response.json
        if "signed_command" in told:
            command = bytearray(base64.b64decode(told["signed_command"]))
            command[-1] ^= 1
            told["signed_command"] = base64.b64encode(command).decode()
            exchange.response.json = told

    between.proxy.script = Script(response=spoil_the_command)
    _, request_id = ask(bench)
    assert ended(bench, request_id) in {"refused", "failed"}
    refused = bench.connection.request_state(request_id)["refused"]
    assert refused["check"] == "acb.return.signature"


def test_a_replayed_request_is_refused_by_its_nonce(bench: Bench, between: Between) -> None:
    answers: list[Response] = []

    def replay(exchange: Exchange) -> None:
        answers.append(exchange.send_again())

    between.proxy.script = Script(response=replay)
    _, request_id = ask(bench)
    assert ended(bench, request_id) == "completed"
    between.wait_for("response", 2)
    assert [answer.status for answer in answers] == [409, 409]
    assert {answer.json["check"] for answer in answers} == {"link.request.nonce"}
    assert evidence_of(bench, request_id).ok


def test_a_request_changed_and_signed_with_the_brokers_own_key_is_not_the_suppliers(
    bench: Bench, between: Between
) -> None:
    """The broker's link key does not help: the document inside is the supplier's."""
    folder = bench.data / "acb"
    changed: list[bytes] = []

    def rewrite(exchange: Exchange) -> None:
        told = exchange.request.json
        if exchange.request.header("cos-purpose") != "cos-command" or changed:
            exchange.drop()
            return
        document = base64.b64decode(told["service_request"])
        mpxn = bench.mpxn(bench.meter("ecos_party")).encode()
        assert document.count(mpxn) == 1
        changed.append(document.replace(mpxn, bench.mpxn(bench.meter("tcos_party")).encode()))
        told["service_request"] = base64.b64encode(changed[0]).decode()
        exchange.request.json = told
        exchange.resign(folder / "keys", folder / "passphrase", "acb")

    between.proxy.script = Script(request=rewrite)
    before = bench.cells(bench.meter("ecos_party"))
    meter, request_id = ask(bench)
    answer = between.wait_for("response", 1)[0].response
    assert answer is not None
    assert answer.json["check"] == "ecos.request.signature"
    assert refusals(bench, "ecos_party", request_id) == {"ecos.request.signature"}
    between.wait_for("request", 2)
    # Nor can the refusal be passed off as the answer to what the broker really sent.
    assert refusals(bench, "acb", request_id) == {"link.response.signature"}
    assert bench.cells(meter) == before
    # For the CoS Party the message identifier is taken now, so the true request is refused too.
    between.proxy.script = Script()
    assert ended(bench, request_id) == "refused"
    told = bench.connection.request_state(request_id)["refused"]
    assert told["check"] == "link.request.message_id"
    assert bench.cells(meter) == before
    # The evidence names whose log holds a document that the supplier never signed, and whose log
    # lacks a message that was signed with its key.
    wrong = evidence_of(bench, request_id).wrong
    ecos = [one.detail for one in wrong if one.party == "ecos_party"]
    acb = [one.detail for one in wrong if one.party == "acb"]
    assert len(ecos) == len(acb) == 1
    assert ecos[0].startswith("carries another service request")
    assert acb[0].startswith("lacks what it signed: ecos_party row ")
    assert bench.cells(meter) == before


def test_a_lost_answer_is_asked_for_again(bench: Bench, between: Between) -> None:
    lost: list[int] = []

    def lose_the_first(exchange: Exchange) -> None:
        if not lost:
            lost.append(exchange.number)
            exchange.drop()

    between.proxy.script = Script(response=lose_the_first)
    _, request_id = ask(bench)
    assert ended(bench, request_id) == "completed"
    assert lost


SCRIPT = """
def response(exchange):
    exchange.response.flip(0)
"""


def test_the_command_runs_a_script_file_and_tells_of_every_message(
    bench: Bench, between: Between, tmp_path: Path
) -> None:
    """`cos tamper` itself, in front of the registration service's health route."""
    script = tmp_path / "flip.py"
    script.write_text(SCRIPT)
    assert load_script(script).response is not None
    url = bench.connection.stack.services["ecos_party"].interface
    command = [sys.executable, "-m", "cli", "tamper", "--listen", "0", "--to", url, "--json"]
    with subprocess.Popen(
        [*command, "--script", str(script)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            proxy = json.loads(running.stdout.readline())["listening"]
            straight = bench.connection.http.get(f"{url}/healthz")
            through = bench.connection.http.get(f"{proxy}/healthz")
            asked, answered = (json.loads(running.stdout.readline()) for _ in range(2))
        finally:
            running.terminate()
    assert through.content[0] == straight.content[0] ^ 1
    assert through.content[1:] == straight.content[1:]
    assert (asked["stage"], asked["path"], asked["acts"]) == ("request", "/healthz", [])
    assert (answered["stage"], answered["acts"]) == ("response", ["response body changed"])
