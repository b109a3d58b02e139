"""A whole change of supplier over HTTP between six processes, against the cryptography it needs.

CPU is that of the six processes as the kernel counts it, with all their threads, until everything
owed to anybody has been delivered. The floor is the primitives that one change was counted to
need, at what each costs bare in the same run. The driver's own work is not in it, nor in the floor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from bench import estate, history
from bench.bare import PRIMITIVES, Bare
from bench.counts import Counted
from bench.figures import Figure
from bench.load import Driver, Run

AT_ONCE: Final = (1, 8, 32)
MOST_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        rounds: how often each load is repeated, taking turns with the others.
        seconds: how long one load is to take, about.
        earlier: after how many earlier changes, in all, 32 in flight are measured again.
    """

    rounds: int
    seconds: float
    earlier: tuple[int, ...]


STANDARD: Final = Effort(rounds=5, seconds=4.0, earlier=(10_000, 100_000))
QUICK: Final = Effort(rounds=2, seconds=2.0, earlier=())


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out.

    Attributes:
        figures: as `bench/results.json` has them.
        by_in_flight: for each number in flight, changes a second.
        by_history: for each number of earlier changes, CPU over the floor at 32 in flight.
        by_system: milliseconds of CPU of one change at 32 in flight, by system.
        bare: what the primitives cost meanwhile.
    """

    figures: dict[str, Figure]
    by_in_flight: dict[int, Figure]
    by_history: dict[int, Figure]
    by_system: dict[str, float]
    bare: Bare


def measured(say: Callable[[str], None], counted: Counted, effort: Effort = STANDARD) -> Measured:
    """Measure alone, with 8 and with 32 in flight, and with 32 after many earlier changes."""
    needed = counted.primitives

    def over(run: Run) -> float:
        return run.cpu_us / run.bare.of(needed)

    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        say(f"change: the ceremony of {estate.HOMES} homes")
        estate.hold_ceremony(data)
        with estate.running(data) as connection:
            runs = _rounds(say, Driver(connection, data), effort)
        by_history = {0: Figure.of([over(run) for run in runs[MOST_AT_ONCE]])}
        made = 0
        for earlier in effort.earlier:
            if not history.fill(say, data, earlier - made):
                say(f"change: no room on this disk for {earlier} earlier changes")
                break
            made = earlier
            with estate.running(data) as connection:
                some = _bounded(Driver(connection, data), effort)
            by_history[earlier] = Figure.of([over(run) for run in some])
            say(f"change: after {earlier} earlier ones x {by_history[earlier].median:.2f}")
    alone, together = runs[1], runs[MOST_AT_ONCE]
    figures = {
        "floor_us": Figure.of([run.bare.of(needed) for run in together]),
        "cpu_over_floor_at_32": by_history[0],
        "wall_over_floor_alone": Figure.of([
            median(run.each) * 1e6 / run.bare.of(needed) for run in alone
        ]),
        "per_second_at_32": Figure.of([run.changes / run.wall for run in together]),
    }  # fmt: skip
    if history.MANY in by_history:
        figures["cpu_over_floor_after_100k"] = by_history[history.MANY]
    systems = together[0].cpu
    return Measured(
        figures,
        {n: Figure.of([run.changes / run.wall for run in some]) for n, some in runs.items()},
        by_history,
        {s: median(run.cpu[s] / run.changes * 1e3 for run in together) for s in systems},
        Bare(*(median(getattr(run.bare, name) for run in together) for name in PRIMITIVES)),
    )


def _rounds(say: Callable[[str], None], driver: Driver, effort: Effort) -> dict[int, list[Run]]:
    changes = {n: _warm(driver, n, effort.seconds) for n in AT_ONCE}
    runs: dict[int, list[Run]] = {n: [] for n in AT_ONCE}
    for turn in range(effort.rounds):
        for n in AT_ONCE:
            run = driver.run(n, changes[n])
            runs[n].append(run)
            say(
                f"change: round {turn + 1} of {effort.rounds}, {n} in flight: "
                f"{run.changes / run.wall:.1f} a second, {run.cpu_us / 1e3:.1f} ms of CPU each"
            )
    return runs


def _bounded(driver: Driver, effort: Effort) -> list[Run]:
    """As many rounds as are wanted, or as there is time for: the first ones may be slow."""
    changes = _warm(driver, MOST_AT_ONCE, effort.seconds)
    runs: list[Run] = []
    while len(runs) < effort.rounds and sum(run.wall for run in runs) < 5 * effort.seconds:
        runs.append(driver.run(MOST_AT_ONCE, changes))
    return runs


def _warm(driver: Driver, in_flight: int, seconds: float) -> int:
    """Let each home change once; how many changes then take about so long."""
    first = driver.run(in_flight, max(4, in_flight))
    fits = round(first.changes / first.wall * seconds / in_flight)
    return in_flight * max(1, fits)
