"""The walls between systems hold in the code, and the contracts that hold them bite."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGIN = "pytest_cos_stack"
PACKAGES = [one for one in PROJECT["tool"]["importlinter"]["root_packages"] if one != PLUGIN]

# (what is injected, into which file, which contract must break)
VIOLATIONS = [
    ("import cos_party", "acb/checks.py", "never import each other"),
    ("import acb", "cos_party/checks.py", "never import each other"),
    ("import meter_sim", "acb/steps/have_signed.py", "never import each other"),
    ("import ecos_party", "tcos_party/main.py", "two CoS Parties"),
    ("import acb", "ecos_party/main.py", "two CoS Parties"),
    ("import acb", "services/chassis/checks.py", "Code flows one way"),
    ("import services.link", "services/chassis/checks.py", "Code flows one way"),
    ("import keys.certificate", "gbcs/message.py", "formats do no I/O"),
    ("import time", "gbcs/message.py", "formats do no I/O"),
    ("import socket", "duis/gate.py", "formats do no I/O"),
    ("import services.link", "meter_sim/steps/workflow.py", "The meter trusts GBCS bytes"),
    ("import duis", "meter_sim/steps/workflow.py", "The meter trusts GBCS bytes"),
    ("import keys.stores.software", "acb/steps/have_signed.py", "Private keys are opened only"),
    (
        "import keys.stores.software",
        "cos_party/steps/sign_command.py",
        "Private keys are opened only",
    ),
    ("import acb", "cli/app.py", "drives the parties over HTTP only"),
    ("import acb", "tamper/proxy.py", "drives the parties over HTTP only"),
    ("import duis.xml", "pytest_cos_stack/supplier.py", "plugin imports nothing"),
    ("import tamper", "services/link/server.py", "No honest room"),
    ("import probe", "meter_sim/steps/workflow.py", "No honest room"),
    ("import probe", "stack/switching.py", "entry knows the attacks"),
    ("import stack", "acb/steps/have_signed.py", "No honest room"),
    ("import fuzz", "probe/world.py", "What is shipped"),
    ("import bench", "fuzz/devices.py", "do without each other"),
    ("import httpx", "acb/checks.py", "Rules decide"),
    ("import sqlalchemy", "cos_party/checks.py", "Rules decide"),
    ("import httpx", "services/link/rules/form.py", "Rules decide"),
    ("import httpx", "services/registration/checks.py", "Rules decide"),
]


PARTIES = ("services", "acb", "cos_party", "ecos_party", "tcos_party", "meter_sim")


def refuses(module: Path) -> bool:
    """Whether a module holds a check, or raises what a check raises."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="check" | "Check" | "CheckFailed")):
                return True
    return False


def test_every_module_that_can_refuse_is_one_that_may_not_fetch() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (rules,) = (c for c in contracts["contracts"] if c["name"].startswith("Rules decide"))
    assert "httpx" in rules["forbidden_modules"]
    named = tuple(f"{module}." for module in rules["source_modules"])
    refusing = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for party in PARTIES
        for path in sorted((ROOT / party).rglob("*.py"))
        if refuses(path)
    ]
    assert len(refusing) > 20
    assert [module for module in refusing if not f"{module}.".startswith(named)] == []


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(tool), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walls")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    plugin = ROOT / "pytest-cos-stack" / PLUGIN
    shutil.copytree(plugin, folder / plugin.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.check
def test_the_code_as_it_is_keeps_every_contract(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.check
@pytest.mark.parametrize(("line", "where", "contract"), VIOLATIONS)
def test_a_wall_that_is_crossed_is_named(copy: Path, line: str, where: str, contract: str) -> None:
    path = copy / where
    honest = path.read_text()
    anchor = "from __future__ import annotations\n"
    assert anchor in honest, f"{where} has no place to inject into"
    try:
        path.write_text(honest.replace(anchor, f"{anchor}\n{line}\n", 1))
        done = lint(copy)
    finally:
        path.write_text(honest)
    assert done.returncode != 0, f"{line} in {where} went unnoticed"
    broken = [row for row in done.stdout.splitlines() if row.rstrip().endswith("BROKEN")]
    assert any(contract in row for row in broken), done.stdout
