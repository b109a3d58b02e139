"""What it costs to start, to wait and to keep: `cos up`, one service, `cos --help`, at rest."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Final

from bench import estate, stores
from bench.figures import Figure
from bench.load import Driver
from bench.processes import cpu_of, ran_ns, resident_of
from stack.layout import load_stack
from stack.processes import stop
from stack.systems import SYSTEMS

STORED_CHANGES: Final = 8
KIB: Final = 1024
COS: Final = (sys.executable, "-c", "from cli.app import main; main()")


def measured(
    say: Callable[[str], None], rounds: int = 3, idle: float = 5.0, homes: int | None = None
) -> dict[str, Figure]:
    """Measure starts, rest and what a change leaves on the disk.

    Args:
        say: told what is being done.
        rounds: how often each start is repeated.
        idle: seconds for which nobody asks anything.
        homes: also start a stack that has so many, for the first time.
    """
    python, helped, up, ready = [], [], [], []
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        say("start: the ceremony of 2 homes")
        estate.hold_ceremony(data, 2)
        for turn in range(rounds):
            say(f"start: round {turn + 1} of {rounds}")
            python.append(_cpu([sys.executable, "-c", "pass"])[0])
            helped.append(_cpu([*COS, "--help"])[0])
            up.append(_cpu([*COS, "up", "--detach", "--data", str(data)])[1])
            stack = load_stack(data)
            try:
                ready.append(mean(cpu_of(stack.pids).values()))
            finally:
                stop(stack)
        with estate.running(data) as connection:
            pids = connection.stack.pids
            driver = Driver(connection, data)
            driver.one_after_the_other(2, 4)
            connection.settle(limit=60)
            say(f"start: at rest for {idle:g} s")
            time.sleep(1)  # until the last connection has been given up
            before = {one: ran_ns(pid) for one, pid in pids.items()}
            time.sleep(idle)
            rest = {one: (ran_ns(pid) - before[one]) / idle / 1e6 for one, pid in pids.items()}
            memory = resident_of(pids.values())
            held = _octets(data)
            driver.one_after_the_other(2, STORED_CHANGES)
            connection.settle(limit=60)
            stored = (_octets(data) - held) / STORED_CHANGES / KIB
    bare = Figure.of(python)
    many = {} if homes is None else {f"up_with_{homes}_s": Figure.of([_up(say, homes)])}
    return {
        "up_with_2_s": Figure.of(up),
        **many,
        "service_cpu_s": Figure.of(ready),
        "service_cpu_over_python": Figure.of([one / bare.median for one in ready]),
        "help_cpu_s": Figure.of(helped),
        "help_cpu_over_python": Figure.of([one / bare.median for one in helped]),
        "idle_ms_per_s": Figure.of([mean(rest.values())]),
        "resident_mb": Figure.of([memory]),
        "stored_kb_per_change": Figure.of([stored]),
    }


def _up(say: Callable[[str], None], homes: int) -> float:
    """Seconds of `cos up` with a fleet of so many homes, which it makes known to the systems."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        say(f"start: a fleet of {homes} homes")
        estate.hold_ceremony(data, 2)
        estate.add_homes(data, homes)
        say(f"start: a stack with {homes} homes")
        took = _cpu([*COS, "up", "--detach", "--data", str(data)])[1]
        stop(load_stack(data))
        return took


def _octets(data: Path) -> int:
    return sum(table.octets for s in SYSTEMS for table in stores.tables(data, s).values())


def _cpu(command: Sequence[str]) -> tuple[float, float]:
    """CPU seconds of a command and what it waited for, and seconds until it ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, wall
