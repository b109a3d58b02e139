"""How `cos clock` reads times and durations, and moves six clocks as one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from cli.app import app
from stack.clocks import (
    agree,
    parse_duration,
    parse_instant,
    read_clocks,
    real_clocks,
    set_clocks,
    step_clocks,
)
from stack.errors import UNREACHABLE, USAGE, CommandError
from stack.layout import Stack
from stack.systems import DEVICES_LAST, SYSTEMS

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Systems:
    """Six lab clocks that stand where the test put them, for as long as the machine stands."""

    def __init__(self) -> None:
        self.offsets = dict.fromkeys(SYSTEMS, 0.0)
        self.held: dict[str, datetime] = {}
        self.silent = ""
        self.acts: list[str] = []
        self.stack = Stack(None, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def lab(self, system: str, method: str, path: str, body: Any = None) -> Any:
        assert path == "/lab/clock"
        if system == self.silent:
            raise CommandError(f"{system} cannot be reached", UNREACHABLE)
        if method == "PUT":
            self.acts.append(system)
            self.held.pop(system, None)
            self.offsets[system] = body.get("seconds", 0.0)
            if body["mode"] == "held":
                self.held[system] = datetime.fromisoformat(body["at"])
        now = self.held.get(system, NOON + timedelta(seconds=self.offsets[system]))
        mode = "held" if system in self.held else "offset" if self.offsets[system] else "real"
        return {
            "mode": mode,
            "now": now.isoformat(),
            "offset_seconds": (now - NOON).total_seconds(),
        }


@pytest.fixture
def systems() -> Systems:
    return Systems()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("-0.5", -0.5),
        ("P10D", 864_000),
        ("p1w", 604_800),
        ("-PT1H30M", -5400),
        ("+P1DT2.5S", 86_402.5),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "P1M", "P1Y", "10D", "1e9", "P-1D", "nan",
                                  "P9999999999D", "9" * 40])  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        parse_duration(text)
    assert refused.value.code == USAGE


def test_an_instant_needs_a_zone() -> None:
    assert parse_instant("2026-11-21T13:00:00+01:00") == NOON
    for text in ("2026-11-21T12:00:00", "2026-11-21", "tomorrow", "0001-01-01T00:00:00+23:00"):
        with pytest.raises(CommandError) as refused:
            parse_instant(text)
        assert refused.value.code == USAGE


def test_all_are_set_the_devices_last(systems: Systems) -> None:
    at = NOON + timedelta(days=3)
    clocks = set_clocks(systems, at)  # type: ignore[arg-type]
    assert {clock.now for clock in clocks.values()} == {at}
    assert set(systems.acts) == set(SYSTEMS)
    assert systems.acts[-1] == "meter_sim"
    assert agree(clocks)


def test_running_clocks_run_on_after_a_step(systems: Systems) -> None:
    step_clocks(systems, timedelta(days=1))  # type: ignore[arg-type]
    clocks = step_clocks(systems, timedelta(hours=-1))  # type: ignore[arg-type]
    assert {(c.mode, c.offset) for c in clocks.values()} == {("offset", timedelta(hours=23))}


def test_standing_clocks_stand_after_a_step(systems: Systems) -> None:
    set_clocks(systems, NOON)  # type: ignore[arg-type]
    clocks = step_clocks(systems, timedelta(days=1))  # type: ignore[arg-type]
    assert {(c.mode, c.now) for c in clocks.values()} == {("held", NOON + timedelta(days=1))}


def test_clocks_that_disagree_follow_the_one_ahead(systems: Systems) -> None:
    systems.offsets["acb"] = 3600.0
    assert not agree(read_clocks(systems))  # type: ignore[arg-type]
    clocks = step_clocks(systems, timedelta(minutes=1))  # type: ignore[arg-type]
    assert {clock.offset for clock in clocks.values()} == {timedelta(minutes=61)}
    assert agree(real_clocks(systems))  # type: ignore[arg-type]


@pytest.mark.parametrize("silent", DEVICES_LAST)
def test_if_one_does_not_answer_none_is_moved(systems: Systems, silent: str) -> None:
    systems.silent = silent
    with pytest.raises(CommandError):
        set_clocks(systems, NOON)  # type: ignore[arg-type]
    assert systems.acts == []


def test_out_of_the_calendar_is_refused(systems: Systems) -> None:
    set_clocks(systems, datetime(9999, 12, 31, tzinfo=UTC))  # type: ignore[arg-type]
    with pytest.raises(CommandError) as refused:
        step_clocks(systems, timedelta(days=2))  # type: ignore[arg-type]
    assert refused.value.code == USAGE


def test_the_command(systems: Systems, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cli.on_stack.find_stack", lambda *_: systems.stack)
    monkeypatch.setattr("cli.on_stack.Connection", lambda _: systems)
    run = CliRunner().invoke
    done = run(app, ["clock", "step", "-PT1H", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["together"] is True
    assert {clock["offset_seconds"] for clock in told["clocks"].values()} == {-3600.0}
    assert run(app, ["clock", "set", "2027-01-01T00:00:00Z"]).exit_code == 0
    assert set(systems.held.values()) == {datetime(2027, 1, 1, tzinfo=UTC)}
    assert run(app, ["clock", "set", "soon"]).exit_code == USAGE
    systems.offsets["acb"] = 99.0
    assert run(app, ["clock", "real"]).exit_code == 0
    assert not systems.held
    systems.offsets["acb"] = 99.0
    assert run(app, ["clock", "show"]).exit_code == 1
    systems.silent = "acb"
    assert run(app, ["clock", "show", "--json"]).exit_code == UNREACHABLE
