"""Every route of every system under schemathesis: whatever is sent, no system answers 5xx.

Both ports of all six, from the descriptions the systems give of themselves. The lab ports are
asked with their credential, so their acts do happen: the stack is the run's own.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.keys_commands import hold_ceremony
from fuzz.finding import Tally
from stack.connection import Connection
from stack.processes import start, stop
from stack.provision import provision
from stack.systems import SYSTEMS

MISSING = "schemathesis is not installed: .venv/bin/pip install -e '.[fuzz]' --no-build-isolation"
_GENERATED = re.compile(r"(\d+) generated")
_FAILURES = re.compile(r"^=+ FAILURES =+$.*?(?=^=+ )", re.MULTILINE | re.DOTALL)


def run(count: int, seed: int) -> Iterator[Tally]:
    """Have about `count` requests made of each port of each system."""
    if importlib.util.find_spec("schemathesis") is None:
        yield Tally("OpenAPI", skipped=MISSING)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        hold_ceremony(data)
        stack = start(data, lambda _line: None, first_port=None)
        try:
            with Connection(stack) as connection:
                provision(connection, data)
                asked = Asked(Path(folder), count, seed)
                for system in SYSTEMS:
                    for port in ("interface", "lab"):
                        yield _port(connection, system, port, asked)
        finally:
            stop(stack)


@dataclass(frozen=True)
class Asked:
    """How much to try, from which seed, and a folder to work in."""

    folder: Path
    count: int
    seed: int


def _port(connection: Connection, system: str, port: str, asked: Asked) -> Tally:
    tally = Tally(f"OpenAPI, {system} {port}")
    described = connection.lab(system, "GET", f"/lab/openapi/{port}.json")
    operations = sum(len(methods) for methods in described["paths"].values())
    schema = asked.folder / f"{system}-{port}.json"
    schema.write_text(json.dumps(described))
    credential = f"Authorization: Bearer {connection.stack.lab_tokens[system]}"
    done = subprocess.run(  # noqa: S603 - schemathesis' own command
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            str(schema),
            "--url",
            getattr(connection.stack.services[system], port),
            *(["--header", credential] if port == "lab" else []),
            "--checks=not_a_server_error",
            f"--max-examples={max(1, asked.count // max(1, operations))}",
            f"--seed={asked.seed}",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        cwd=asked.folder,
        check=False,
    )
    generated = _GENERATED.findall(done.stdout)
    tally.tried = int(generated[-1]) if generated else 0
    if done.returncode != 0 or not generated:
        told = done.stdout + done.stderr
        found = _FAILURES.search(told)
        tally.findings.append("\n".join((found[0] if found else told).splitlines()[-80:]))
    return tally
