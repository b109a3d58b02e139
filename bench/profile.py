"""Where the time of a change goes in each system, as py-spy sees it; `python -m bench.profile`.

py-spy is a tool of its own (`pip install py-spy`, not among the locked dependencies) and must be
let look into other processes. Its samples are of whatever thread holds the interpreter, so shares
are shares of the CPU that is spent in Python; waiting for the disk or the network is not in them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench import estate
from bench.load import Driver, Run
from stack.systems import SYSTEMS

RATE: Final = 200
TOP: Final = 12
_FRAME: Final = re.compile(r"(?P<name>[^(]*?) \((?P<file>[^):]*)")
_PLACES: Final = (
    ("sqlite", ("sqlite.py", "connection.py", "group_commit.py", "prepared.py")),
    ("sqlalchemy", ("sqlalchemy/",)),
    ("fastapi, starlette, pydantic", ("fastapi/", "starlette/", "pydantic")),
    ("uvicorn, asyncio", ("uvicorn/", "asyncio/")),
    ("httpx, aiohttp", ("httpx", "httpcore/", "aiohttp/", "yarl/", "multidict/")),
    ("structlog, logging", ("structlog/", "logging/")),
    ("json", ("json/",)),
    ("signxml", ("signxml/",)),
)


def sampled(
    data: Path, in_flight: int, changes: int, py_spy: str
) -> tuple[Run, dict[str, list[str]]]:
    """So many changes, and the stacks of each system meanwhile, as py-spy writes them."""
    with estate.running(data) as connection, TemporaryDirectory() as folder:
        driver = Driver(connection, data)
        driver.run(in_flight, in_flight)
        files = {system: Path(folder) / system for system in SYSTEMS}
        looking = [
            subprocess.Popen(
                [
                    *(py_spy, "record", "--rate", str(RATE), "--format", "raw", "--gil"),
                    *("--duration", "unlimited", "--output", str(files[system])),
                    *("--pid", str(connection.stack.pids[system])),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for system in SYSTEMS
        ]
        try:
            run = driver.run(in_flight, changes)
        finally:
            for one in looking:
                one.send_signal(2)
            for one in looking:
                one.wait(30)
        return run, {s: f.read_text().splitlines() for s, f in files.items() if f.is_file()}


def places(stacks: Iterable[str]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Samples by innermost place, by the room whose work it was, by each function of ours above."""
    innermost: Counter[str] = Counter()
    rooms: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for line in stacks:
        stack, _, number = line.rpartition(" ")
        frames = [_FRAME.match(one) for one in stack.split(";")]
        known = [(one["name"], one["file"]) for one in frames if one is not None]
        if not known:
            continue
        innermost[_place(*known[-1])] += int(number)
        mine = [file for _, file in known if _ours(file)]
        rooms[str(Path(mine[-1]).parent) if mine else "elsewhere"] += int(number)
        for name in {f"{file}:{name}" for name, file in known if _ours(file)}:
            below[name] += int(number)
    return innermost, rooms, below


def _ours(file: str) -> bool:
    return file.startswith(
        ("acb/", "cos_party/", "meter_sim/", "services/", "gbcs/", "duis/", "keys/")
    )


def _place(name: str, file: str) -> str:
    for place, parts in _PLACES:
        if any(part in file for part in parts):
            return place
    if _ours(file):
        return f"{file}:{name}"
    return f"other: {Path(file).name}"


def main() -> None:
    """Print a table for each system."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--in-flight", type=int, default=32, help="changes at a time")
    parser.add_argument("--changes", type=int, default=160, help="changes that are looked at")
    parser.add_argument(
        "--py-spy", default=shutil.which("py-spy"), help="where it is, if not in PATH"
    )
    asked = parser.parse_args()
    if asked.py_spy is None:
        parser.error("py-spy is not in PATH: pip install py-spy")
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        estate.hold_ceremony(data)
        run, found = sampled(data, asked.in_flight, asked.changes, asked.py_spy)
    for system, stacks in found.items():
        innermost, rooms, below = places(stacks)
        total = sum(innermost.values()) or 1
        each = run.cpu[system] / run.changes * 1e3
        print(f"\n## {system}: {each:.1f} ms of CPU a change ({total} samples)\n")
        print("| room of the innermost frame of ours | share |\n|---|---|")
        for name, number in rooms.most_common(TOP):
            print(f"| `{name}` | {number / total:.0%} |")
        print("\n| innermost | share |\n|---|---|")
        for name, number in innermost.most_common(TOP):
            print(f"| `{name}` | {number / total:.0%} |")
        print("\n| with all that it calls | share |\n|---|---|")
        for name, number in below.most_common(2 * TOP):
            print(f"| `{name}` | {number / total:.0%} |")


if __name__ == "__main__":
    main()
