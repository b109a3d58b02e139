"""docs/your-system.md: its commands are run as they stand, in its order, against a stack."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.check

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "your-system.md"
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str, str]]:
    """Language, what the block needs, and its text."""
    found = BLOCK.findall(DOCUMENT.read_text())
    return [(language, needs.strip(), text) for language, needs, text in found]


def script() -> str:
    """All shell and Python blocks as one shell script, so that variables live on."""
    parts = ["set -euo pipefail"]
    for language, needs, text in blocks():
        if language == "sh" and (not needs or shutil.which(needs)):
            parts.append(text)
        if language == "python":
            parts.append(f"python - <<'END'\n{text}END\n")
    return "\n".join(parts)


def test_every_command_of_it_works(tmp_path: Path) -> None:
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    environment.pop("COS_DATA", None)
    run = subprocess.run
    try:
        done = run(
            ["bash", "-c", script()], cwd=tmp_path, env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    finally:
        down = [str(tools / "cos"), "down", "--data", str(tmp_path / "stack")]
        run(down, env=environment, check=False, capture_output=True)
    assert json.loads((tmp_path / "told.json").read_text())["state"] == "completed"
    assert ": scheduled" in done.stdout
    assert "✓" in (tmp_path / "heard.txt").read_text()
    assert "/service-requests" in json.loads((tmp_path / "acb.json").read_text())["paths"]


def test_the_flow_calls_what_the_broker_has() -> None:
    (flow,) = [json.loads(text) for language, _, text in blocks() if language == "json"]
    known = {node["id"] for node in flow}
    assert {to for node in flow for port in node.get("wires", []) for to in port} <= known
    text = json.dumps(flow)
    assert set(re.findall(r":8620(/[a-z-]+)", text)) == {"/service-requests"}


def test_it_runs_every_block_but_the_flow() -> None:
    assert {language for language, _, _ in blocks()} == {"sh", "python", "json"}
    assert {needs for _, needs, _ in blocks()} == {"", "xmlsec1"}
