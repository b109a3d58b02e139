"""What processes have used, as the kernel says (Linux: /proc)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")  # seconds
_UTIME: Final = 11  # fields of /proc/<pid>/stat behind the name in brackets; stime follows
_KIB: Final = 1024


def cpu_seconds(pid: int) -> float:
    """CPU of a process and all its threads, those that ended included, user and system."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_UTIME + 1])) * _TICK


def cpu_of(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds of each system so far."""
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def ran_ns(pid: int) -> int:
    """Nanoseconds that the threads of a process have run: a clock tick would be too coarse."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)


def resident_mb(pid: int) -> float:
    """Memory of a process that is its own: resident, with its share of what others use too, MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * _KIB / 1e6
    raise ValueError(f"/proc/{pid}/smaps_rollup says nothing of Pss")


def resident_of(pids: Iterable[int]) -> float:
    """The largest of several, MB."""
    return max(resident_mb(pid) for pid in pids)
