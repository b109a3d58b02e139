"""Adding a fleet to an estate: what it says afterwards, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.keys_commands import hold_ceremony
from keys.issuing.plan import DevicesPlan
from stack.errors import MISSING, REFUSED, USAGE, CommandError
from stack.fleets import FleetPlan, add_fleet, homes_in
from stack.provision import fleets_of

NOW = datetime(2030, 1, 2, tzinfo=UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    hold_ceremony(tmp_path / "data")
    return tmp_path / "data"


def plan(incoming: str = "B", **changes: Any) -> FleetPlan:
    run = {
        "first_eui": "0253494de0000000", "count": 1000, "device_type": "ESME",
        "first_mpxn": "1400000000000", "supplier": "A", "cos_party": "ecos_party",
    }  # fmt: skip
    return FleetPlan(DevicesPlan.model_validate(run | changes), incoming)


def said(data: Path) -> list[str]:
    own, fleets = data / "registration" / "estate.json", data / "fleets.json"
    return [own.read_text(), fleets.read_text() if fleets.is_file() else ""]


def test_every_home_is_registered_and_no_command_has_to_read_them_all(data: Path) -> None:
    before = (data / "estate.json").read_bytes()
    add_fleet(data, plan(), NOW)
    points = json.loads((data / "registration" / "estate.json").read_text())["meter_points"]
    assert len(points) == 2 + 1000
    last = points[-1]
    assert (last["mpxn"], last["devices"]) == ("1400000000999", ["0253494de00003e7"])
    assert [p["participant"] for p in last["registrations"]] == ["SUPA", "SUPB"]
    assert (data / "estate.json").read_bytes() == before
    assert len((data / "fleets.json").read_text()) < 10_000
    assert list(homes_in(data))[-1] == ("0253494de00003e7", "1400000000999", "B")


def test_a_second_fleet_stands_beside_the_first(data: Path) -> None:
    add_fleet(data, plan(count=2), NOW)
    add_fleet(data, plan(count=1, first_eui="0253494de0000002", first_mpxn="1400000000002"), NOW)
    assert [entry["run"]["count"] for entry in fleets_of(data)] == [2, 1]
    assert len(set(homes_in(data))) == 3


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (plan(first_eui="0253494dd0000002"), USAGE),
        (plan(first_eui="0253494dcfffffff", count=3), USAGE),
        (plan(first_mpxn="1200000000002"), USAGE),
        (plan(first_eui="0253494dffffffff"), USAGE),
        (plan(first_mpxn="9999999999999"), USAGE),
        (plan(supplier="Z"), USAGE),
        (plan(incoming="Z"), USAGE),
    ],
)
def test_what_is_in_use_unknown_or_too_many_is_refused_and_nothing_changes(
    data: Path, wanted: FleetPlan, code: int
) -> None:
    before = said(data)
    with pytest.raises(CommandError) as refused:
        add_fleet(data, wanted, NOW)
    assert refused.value.code == code
    assert said(data) == before


def test_there_must_be_a_ceremony_and_no_stack_that_was_started(data: Path) -> None:
    with pytest.raises(CommandError) as refused:
        add_fleet(data.parent / "nothing", plan(), NOW)
    assert refused.value.code == MISSING
    (data / "registration" / "store.sqlite3").touch()
    before = said(data)
    with pytest.raises(CommandError) as refused:
        add_fleet(data, plan(), NOW)
    assert refused.value.code == REFUSED
    assert said(data) == before


def test_the_command_says_what_is_wrong(data: Path) -> None:
    words = ["keys", "fleet", "--data", str(data), "--count", "3"]
    done = CliRunner().invoke(app, [*words, "--first-eui", "nonsense"])
    assert done.exit_code == USAGE
    assert "first_eui" in done.output
    done = CliRunner().invoke(app, [*words, "--cos-party", "nobody"])
    assert done.exit_code == MISSING
    assert fleets_of(data) == []
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0
    assert json.loads(done.output) == {"first_eui": "0253494de0000000", "homes": 3}
