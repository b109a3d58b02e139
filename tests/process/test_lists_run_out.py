"""A stack lives past the dates of its lists, and one whose list has run out can be repaired."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from cli.keys_commands import hold_ceremony
from keys.crl import read_crl
from keys.issuing.authorities import LISTS, Authorities, published_list
from services.chassis.time.clock import SystemClock
from stack.connection import Connection
from stack.errors import CommandError
from stack.processes import start, stop
from stack.provision import provision

INFRASTRUCTURE = "infrastructure"
ASKING = ("acb", "tcos_party", "ecos_party")
PATIENCE = 60.0  # seconds; how long it takes is not asserted


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Bench]:
    """A stack of its own: what happens to it would be felt by every other test."""
    data = tmp_path / "data"
    hold_ceremony(data)
    stack = start(data, lambda _line: None, first_port=None)
    try:
        with Connection(stack) as connection:
            provision(connection, data, afresh=True)
            yield Bench(data, connection)
    finally:
        stop(stack)


def publish(bench: Bench, der: bytes) -> None:
    bench.connection.lab(
        "smki_repository",
        "PUT",
        f"/lab/crl/{INFRASTRUCTURE}",
        {"pem": read_crl(der).to_pem().decode()},
    )


def renewed(bench: Bench, *words: str) -> list[dict[str, Any]]:
    """What `cos keys renew-lists` says it issued."""
    arguments = ["keys", "renew-lists", *words, "--json", "--data", str(bench.data)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def reasons(bench: Bench, party: str) -> list[str]:
    """Why a party is not ready; nothing if it is."""
    lab = bench.connection.stack.services[party].lab
    told: dict[str, Any] = bench.connection.http.get(f"{lab}/readyz").json()
    return [str(reason) for reason in told.get("reasons", [])]


def wait_until(bench: Bench, *, ready: bool) -> dict[str, list[str]]:
    """Until all who ask the repository are ready, or none is."""
    until = time.monotonic() + PATIENCE
    while True:
        said = {party: reasons(bench, party) for party in ASKING}
        if all(bool(why) != ready for why in said.values()):
            return said
        assert time.monotonic() < until, said
        time.sleep(0.1)


def test_an_untouched_stack_lives_past_a_year(own: Bench) -> None:
    for party in own.connection.stack.services:
        own.connection.lab(party, "PUT", "/lab/clock", {"step": 400 * 86_400})
    meter = own.meter("ecos_party")
    assert own.switch(meter, "B").state == "completed"
    for party in ASKING:
        assert reasons(own, party) == []


def test_a_list_that_has_run_out_is_replaced_by_the_next(own: Bench) -> None:
    """Every link answer was `crl_stale`, the one with the new list too, and so for ever."""
    now = SystemClock().now()
    old = Authorities.open(own.data).revocation_list(
        INFRASTRUCTURE, 2, now - timedelta(days=365), 364, {}
    )
    publish(own, old)
    for party in ("tcos_party", "ecos_party"):
        own.connection.lab(party, "POST", "/lab/sync")
    meter = own.meter("ecos_party")
    with pytest.raises(CommandError, match="the SMKI repository cannot be asked"):
        own.switch(meter, "B")
    said = wait_until(own, ready=False)
    for (why,) in said.values():
        assert "has run out" in why or "could not be refreshed" in why
    assert renewed(own, INFRASTRUCTURE)[0]["number"] == 3  # DATA has number 1, the repository 2
    wait_until(own, ready=True)
    assert own.switch(meter, "B").state == "completed"


def test_a_stack_that_outlived_its_lists_goes_on_with_their_successors(own: Bench) -> None:
    """Its domain time is past what organisations' and devices' lists say; then back again."""
    short = renewed(own, "--days", "30")
    assert [(one["name"], one["number"], one["published"]) for one in short] == [
        (name, 2, True) for name in LISTS
    ]
    for party in own.connection.stack.services:
        own.connection.lab(party, "PUT", "/lab/clock", {"step": 100 * 86_400})
    meter = own.meter("ecos_party")
    with pytest.raises(CommandError, match="crl_stale"):
        own.switch(meter, "B")
    assert [one["number"] for one in renewed(own)] == [3, 3, 3]
    for party in ("tcos_party", "ecos_party"):
        own.connection.lab(party, "POST", "/lab/sync")
    for party in own.connection.stack.services:
        own.connection.lab(party, "POST", "/lab/reset")  # real time: they hold by it too
    assert own.switch(meter, "B").state == "completed"


def test_no_successor_un_revokes_what_the_repository_says_is_revoked(own: Bench) -> None:
    """Published past DATA, by an operator: its serial is not in DATA's list."""
    now = SystemClock().now()
    authorities = Authorities.open(own.data)
    publish(own, authorities.revocation_list(INFRASTRUCTURE, 2, now, 365, {4711: now}))
    said = CliRunner().invoke(app, ["keys", "renew-lists", "--json", "--data", str(own.data)])
    assert said.exit_code == 1, said.output
    assert "4711" in json.loads(said.stdout)["error"]
    assert all(published_list(own.data, name).number == 1 for name in LISTS)


def test_a_stack_that_does_not_run_publishes_them_when_it_starts(own: Bench) -> None:
    stop(own.connection.stack)
    told = renewed(own, "device")
    assert [(one["number"], one["published"]) for one in told] == [(2, False)]
    stack = start(own.data, lambda _line: None, first_port=None)
    try:
        with Connection(stack) as connection:
            lists = connection.lab("smki_repository", "GET", "/lab/repository")["lists"]
    finally:
        stop(stack)
    assert {name: told["number"] for name, told in lists.items()} == {
        "organisation": 1, "device": 2, "infrastructure": 1,
    }  # fmt: skip
