"""However a `cos up` that was not detached is ended, its six systems end with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack.layout import load_stack
from stack.processes import runs
from stack.systems import SYSTEMS

pytestmark = pytest.mark.check

AT_ONCE = "registration is ready"
RUNNING = "Running; Ctrl-C stops everything."


@pytest.mark.parametrize(
    ("when", "what", "code"),
    [
        (AT_ONCE, signal.SIGINT, 130),
        (AT_ONCE, signal.SIGTERM, 128 + signal.SIGTERM),
        (RUNNING, signal.SIGINT, 0),
        (RUNNING, signal.SIGTERM, 128 + signal.SIGTERM),
        (RUNNING, signal.SIGHUP, 128 + signal.SIGHUP),
    ],
)
def test_nothing_is_left_running(
    when: str, what: signal.Signals, code: int, tmp_path: Path
) -> None:
    data = tmp_path / "stack"
    with subprocess.Popen(
        [sys.executable, "-c", START, "up", "--data", str(data)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as up:  # fmt: skip
        assert up.stdout is not None
        said = next((line for line in up.stdout if when in line), None)
        assert said is not None, "it ended before that"
        pids = json.loads((data / "stack.json").read_text())["pids"]
        up.send_signal(what)
        told = up.stdout.read()
        assert up.wait() == code, told
    assert "Traceback" not in told
    stack = load_stack(data)
    assert set(pids) == set(SYSTEMS)
    assert not [name for name in SYSTEMS if runs(stack, name)]


# Whoever runs the tests may ignore these signals, and a child inherits that: a terminal does not.
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
from cli.app import main
main()
"""
