"""A service that is started by `launch`: as by `python -m`, without what it has no use for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MODULE = """
import gc, json, sys

def found(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True

def main():
    print(json.dumps({
        "arguments": sys.argv[1:],
        "collects": gc.isenabled(),
        "looked_through_again": gc.get_freeze_count() == 0,
        "drawing": [name for name in ("rich", "pygments") if found(name)],
        "party": found("services.registration.main"),
    }))
"""


def test_a_service_is_run_with_its_arguments_and_without_what_draws_in_terminals(
    tmp_path: Path,
) -> None:
    (tmp_path / "of_a_service.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-m", "services.chassis.launch", "of_a_service", "--config", "here"],
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert json.loads(done.stdout) == {
        "arguments": ["--config", "here"],
        "collects": True,
        "looked_through_again": False,
        "drawing": [],
        "party": True,
    }
