"""A fleet of homes on a stack of its own: any of them can change supplier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from services.chassis.time.clock import SystemClock
from stack.cells import cells_of
from stack.connection import Connection
from stack.fleets import certify, homes_in
from stack.layout import load_stack
from stack.processes import start, stop
from stack.provision import provision

pytestmark = pytest.mark.xdist_group("fleet")

COUNT = 300


def cos(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.output


def test_homes_of_a_fleet_change_supplier_and_are_certified_when_first_needed(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    cos("keys", "init", "--data", str(data))
    cos("keys", "fleet", "--data", str(data), "--count", str(COUNT))
    stack = start(data, lambda _line: None, first_port=None)
    try:
        with Connection(stack) as connection:
            assert provision(connection, data) == 2 + COUNT
            assert provision(connection, data) == 2 + COUNT  # again, and nothing is done twice
            lab = connection.lab
            assert lab("meter_sim", "GET", "/lab/devices?limit=1")["total"] == 2 + COUNT
            assert lab("acb", "GET", "/lab/devices")["total"] == 2

            told = json.loads(
                cos("load", "--homes", "20", "--changes", "30", "--data", str(data), "--json")
            )
            assert (told["completed"], told["refused"]) == (30, {})

            known = {one["eui"] for one in lab("acb", "GET", "/lab/devices")["devices"]}
            fleet = {eui for eui, _, _ in homes_in(data)}
            used = sorted(known & fleet)
            assert len(used) >= 18  # of the ceremony's two homes, some may have been drawn
            supplier = stack.supplier("B")["eui"]
            for eui in used:
                cell = cells_of(connection, eui)["supplier/digitalSignature/management"]
                assert cell.subject == supplier

            now = SystemClock().now()
            assert certify(connection, data, used, now) == 0
            untouched = min(fleet - known)
            before = lab("smki_repository", "GET", "/lab/repository")["certificates"]
            assert certify(connection, data, [untouched, used[0]], now) == 1
            assert lab("smki_repository", "GET", "/lab/repository")["certificates"] == before + 2
            assert lab("acb", "GET", f"/lab/devices/{untouched}")["status"] == "Commissioned"
    finally:
        stop(load_stack(data))
