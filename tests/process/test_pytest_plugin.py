"""The plugin in somebody else's folder: the documented example, and what it restores."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from stack.connection import Connection
from stack.provision import provision

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
    cos_clock.step("P10DT1H")
    assert cos_clock.now() == before + timedelta(days=41, hours=1)
    cos_clock.hold("2026-12-01T00:00:00Z")
    assert cos_clock.now().isoformat() == "2026-12-01T00:00:00+00:00"


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


FOREIGN = """
import cli
import keys
import services
from services.billing import price


def test_its_own_modules_are_its_own():
    assert [one.WHOSE for one in (cli, keys, services)] == ["ours"] * 3 and price() == 7


def test_a_home_changes_hands(cos_device, cos_suppliers, cos_submit, cos_meter):
    assert cos_submit(cos_suppliers["B"].change_of_supplier(cos_device.eui, cos_device.mpxn)).ok
    assert cos_meter.supplier == cos_suppliers["B"].eui
"""

FAILING = """
import json
import urllib.request


def test_by_the_plugin(cos_device, cos_suppliers, cos_submit):
    ask = cos_suppliers["C"].change_of_supplier
    assert cos_submit(ask(cos_device.eui, cos_device.mpxn)).ok


def test_by_a_client_of_its_own(cos_stack, cos_device, cos_suppliers):
    signed = cos_suppliers["C"].change_of_supplier(cos_device.eui, cos_device.mpxn)
    url = cos_stack.url("acb") + "/service-requests"
    asked = urllib.request.Request(url, signed.document, {"Content-Type": "application/xml"})
    urllib.request.urlopen(asked, timeout=30).close()
    state = ""
    while state not in ("refused", "completed"):
        with urllib.request.urlopen(f"{url}/{signed.request_id}?wait=20", timeout=30) as answer:
            state = json.load(answer)["state"]
    assert cos_stack.story(signed.request_id).events == [], signed.request_id


def test_that_asks_for_nothing(cos_stack):
    assert False
"""


BY_URL = """
def test_the_checks(cos_stack, cos_checks):
    with cos_checks.off("acb.request.signature"):
        assert cos_stack.lab("acb", "GET", "/lab/party")["weakened"] == ["acb.request.signature"]
    assert cos_stack.lab("acb", "GET", "/lab/party")["weakened"] == []


def test_a_device(cos_device): ...
"""


def own_modules(folder: Path) -> None:
    """What a project has that is called what the stack's packages are called."""
    for name in ("cli", "keys", "services", "acb", "cos_party", "gbcs"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('WHOSE = "ours"\n')
    (folder / "services" / "billing.py").write_text("def price():\n    return 7\n")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_is_installed() -> None:
    found = [one.value for one in entry_points(group="pytest11")]
    assert "pytest_cos_stack.plugin" in found, "install it: pip install -e ./pytest-cos-stack"


@pytest.mark.check
def test_the_documented_example_works_in_an_empty_folder(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "pytest-plugin.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 1
    (tmp_path / "test_my_supplier.py").write_text(examples[0])
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_beside_a_project_with_modules_of_the_same_names(tmp_path: Path) -> None:
    """It starts a stack there, signs and drives it, and the project's modules stay its own."""
    own_modules(tmp_path)
    (tmp_path / "test_ours.py").write_text(FOREIGN)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_failing_test_carries_the_trace_of_its_requests(
    tmp_path: Path, data: Path, running: Connection
) -> None:
    provision(running, data)
    own_modules(tmp_path)
    (tmp_path / "test_failing.py").write_text(FAILING)
    done = run(tmp_path, f"--cos-data={data}")
    assert "3 failed" in done.stdout, done.stdout + done.stderr
    one, other, none = re.split(r"^_+ test_\S+ _+$", done.stdout, flags=re.MULTILINE)[1:]
    for told in (one, other):
        assert told.count("cos trace 02-53-49-4D-30-00-00-00:") == 1
        assert "REFUSED ecos.registration.incoming_supplier: " in told
        assert "ecos_party -> acb" in told
    assert "cos trace" not in none


def test_it_attaches_by_url(tmp_path: Path, data: Path, running: Connection) -> None:
    provision(running, data)
    (tmp_path / "test_urls.py").write_text(BY_URL)
    named = [
        f"--cos-service={name}={one.interface},{one.lab}"
        for name, one in running.stack.services.items()
    ]
    credentials = [f"--cos-lab-token={n}={t}" for n, t in running.stack.lab_tokens.items()]
    done = run(tmp_path, *named, *credentials)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed, 1 error" in done.stdout
    assert "in the stack's data folder: --cos-data=DIR" in done.stdout
    done = run(tmp_path, *named, *credentials, f"--cos-data={data}")
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cos-command=/nowhere/cos"], "no stack to test: /nowhere/cos is no executable"),
        (["--cos-service=acb=ftp://127.0.0.1"], "'ftp://127.0.0.1' is no URL of a service"),
        (["--cos-service=broker=http://127.0.0.1"], "expected NAME=VALUE with NAME one of"),
    ],
)
def test_what_is_given_wrong_is_said_in_a_line(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "test_one.py").write_text("def test_one(cos_stack): ...")
    done = run(tmp_path, *arguments)
    assert done.returncode == 1
    assert said in done.stdout
    assert "def cos_stack" not in done.stdout


def test_loading_it_imports_no_system() -> None:
    told = subprocess.run(
        [sys.executable, "-c",
         "import json, sys, pytest_cos_stack.plugin; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    ours = {"gbcs", "keys", "duis", "services", "cli", "probe", "tamper", "acb"}
    assert not (ours | {"httpx", "lxml", "cryptography"}) & set(json.loads(told.stdout))


def test_a_system_starts_where_the_working_folder_has_modules_of_its_name(tmp_path: Path) -> None:
    """`cos up` too, by hand, in such a project."""
    own_modules(tmp_path)
    cos = Path(sys.executable).with_name("cos")
    data = tmp_path / "stack"
    try:
        done = subprocess.run(
            [cos, "up", "--detach", "--data", data], cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        subprocess.run([cos, "down", "--data", data], check=False, capture_output=True)
