"""`cos load` against a running stack: what it counts, what a refusal shows, what is put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stack_bench import Bench
from typer.testing import CliRunner

from cli.app import app
from stack.errors import REFUSED, USAGE
from stack.systems import COS_PARTIES, SYSTEMS

pytestmark = pytest.mark.xdist_group("stack")


def loaded(bench: Bench, *words: str, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["load", *words, "--data", str(bench.data), "--json"])
    assert done.exit_code == code, done.output
    told: dict[str, Any] = json.loads(done.output)
    return told


def held(bench: Bench) -> dict[str, Any]:
    lab = bench.connection.lab
    return {
        "users": lab("acb", "GET", "/lab/users"),
        "acb": lab("acb", "GET", "/lab/thresholds"),
        **{name: lab(name, "GET", "/lab/thresholds") for name in COS_PARTIES},
    }


def test_every_change_is_counted_and_what_was_set_is_put_back(bench: Bench) -> None:
    lab, eui = bench.connection.lab, bench.supplier("B").eui
    lab("acb", "PUT", f"/lab/thresholds/{eui}", {"most": 0})
    lab("acb", "PUT", f"/lab/users/{eui}/callback", {"callback_url": "http://127.0.0.1:9/mine"})
    before = held(bench)
    try:
        told = loaded(bench, "--homes", "2", "--changes", "5", "--in-flight", "8")
        assert held(bench) == before
    finally:
        lab("acb", "DELETE", f"/lab/thresholds/{eui}")
        lab("acb", "PUT", f"/lab/users/{eui}/callback", {"callback_url": None})
    assert (told["completed"], told["refused"]) == (5, {})
    assert (told["homes"], told["in_flight"]) == (2, 2)
    assert sum(told["each_second"]) == 5
    assert 0 < told["wait_ms"]["p50"] <= told["wait_ms"]["p95"] <= told["wait_ms"]["max"]
    if Path("/proc/self/stat").exists():
        assert set(told["cpu_seconds"]) == set(SYSTEMS)
        assert told["cpu_ms_each"]["all"] > 0


def test_refusals_are_counted_by_the_check_that_refused(bench: Bench) -> None:
    eui = bench.supplier("B").eui
    user = next(
        u for u in bench.connection.lab("acb", "GET", "/lab/users")["users"] if u["eui"] == eui
    )
    bench.connection.lab("acb", "POST", "/lab/users", {**user, "roles": ["ED"]})
    try:
        told = loaded(bench, "--changes", "3", code=REFUSED)
    finally:
        bench.connection.lab("acb", "POST", "/lab/users", {**user, "roles": ["IS"]})
    assert told["completed"] == 0
    assert told["refused"] == {"acb.user.role": 3}


def test_more_homes_than_there_are_is_wrong_input(bench: Bench) -> None:
    told = loaded(bench, "--homes", "100000", code=USAGE)
    assert "100000 homes asked for" in json.dumps(told)
