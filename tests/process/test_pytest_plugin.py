"""The plugin in somebody else's empty folder: the documented example, and what it restores."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from cli.connection import Connection
from cli.provision import provision

pytestmark = pytest.mark.xdist_group("stack")

ROOT = Path(__file__).resolve().parents[2]

RESTORED = """
from datetime import timedelta

import pytest

CHECK = "ecos.registration.incoming_supplier"


def checks_off(stack):
    return {s: stack.lab(s, "GET", "/lab/checks")["weakened"] for s in ("acb", "ecos_party")}


def test_a_switches_off_and_forgets(cos_stack, cos_checks):
    cos_checks.off(CHECK)
    cos_checks.off("link.request.nonce", at="ecos_party")
    assert set(checks_off(cos_stack)["ecos_party"]) == {CHECK, "link.request.nonce"}


def test_b_finds_all_on(cos_stack):
    assert checks_off(cos_stack) == {"acb": [], "ecos_party": []}


def test_c_a_check_that_several_have_must_be_placed(cos_checks):
    with pytest.raises(LookupError, match="say which"):
        cos_checks.off("link.request.nonce")
    with pytest.raises(LookupError, match="nowhere"):
        cos_checks.off("no.such.check")


def test_d_moves_the_clock_and_forgets(cos_clock):
    before = cos_clock.now()
    cos_clock.hold(before + timedelta(days=30))
    cos_clock.step(timedelta(days=1))
    assert cos_clock.now() == before + timedelta(days=31)


def test_e_finds_real_time(cos_stack):
    assert cos_stack.lab("acb", "GET", "/lab/clock")["mode"] == "real"


def test_e_arms_faults_and_forgets(
    cos_stack, cos_device, cos_suppliers, cos_submit, cos_faults, cos_quirks
):
    cos_faults.arm("acb", "delay", "outbound-request", hop="users", times=0)
    cos_quirks.on("acb", "pre-command-trailing-zero")
    weakened = cos_stack.lab("acb", "GET", "/lab/checks")["weakened"]
    assert [one.partition(":")[0] for one in weakened] == ["fault", "quirk"]
    with cos_faults.arm("acb", "drop", "outbound-request", hop="ecos_party", times=2) as fault:
        assert cos_submit(
            cos_suppliers["B"].change_of_supplier(cos_device.eui, cos_device.mpxn)
        ).ok
        assert (fault.fired, fault.told()["state"]) == (2, "spent")
    assert len(cos_stack.lab("acb", "GET", "/lab/faults")["faults"]) == 1
    with cos_quirks.on("meter_sim", "non-minimal-lengths"):
        assert cos_stack.lab("meter_sim", "GET", "/lab/party")["weakened"]
    assert not cos_stack.lab("meter_sim", "GET", "/lab/party")["weakened"]


def test_e_finds_none_armed(cos_stack):
    for system in ("acb", "meter_sim"):
        assert cos_stack.lab(system, "GET", "/lab/faults")["faults"] == []
        assert cos_stack.lab(system, "GET", "/lab/checks")["weakened"] == []


@pytest.mark.cos_party("tcos_party")
def test_f_the_other_cos_partys_meter(
    cos_stack, cos_device, cos_suppliers, cos_submit, cos_meter, cos_checks
):
    _, document = cos_suppliers["B"].change_of_supplier(cos_device.eui, cos_device.mpxn)
    with cos_checks.off("meter.mac"):
        outcome = cos_submit(document)
    assert outcome.ok and cos_meter.refusals() == []
    assert cos_meter.supplier == cos_suppliers["B"].eui
    assert cos_device.cos_party in {event.party for event in cos_stack.story(outcome).events}


@pytest.mark.cos_party("tcos_party")
def test_g_finds_it_as_it_was_made(cos_device, cos_suppliers, cos_meter):
    assert cos_meter.supplier == cos_suppliers["A"].eui
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_is_installed_with_the_package() -> None:
    found = [one.value for one in entry_points(group="pytest11")]
    assert "cos_pytest.plugin" in found, "install the package anew: pip install -e ."


@pytest.mark.check
def test_the_documented_example_works_in_an_empty_folder(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "pytest-plugin.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "test_my_supplier.py").write_text(examples[0])
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_test_gets_everything_as_it_was_and_the_stack_is_left_running(
    tmp_path: Path, data: Path, running: Connection
) -> None:
    provision(running, data)
    (tmp_path / "test_restored.py").write_text(RESTORED)
    done = run(tmp_path, f"--cos-data={data}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed" in done.stdout
    assert running.lab("acb", "GET", "/lab/party")["party"] == "acb"


@pytest.mark.check
def test_where_no_stack_runs_that_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(cos_stack): ...")
    done = run(tmp_path, "--cos-data=nowhere")
    assert done.returncode == 1
    assert "no stack to test: no stack in nowhere: start one with `cos up" in done.stdout
    assert "1 error" in done.stdout
    assert "def cos_stack" not in done.stdout


def test_loading_it_imports_no_system() -> None:
    told = subprocess.run(
        [sys.executable, "-c",
         "import json, sys, cos_pytest.plugin; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not {"cli", "httpx", "lxml", "cryptography"} & set(json.loads(told.stdout))
