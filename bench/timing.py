"""Timing several acts so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to time, and the raw act that its ratio is taken to (by its number in the list)."""

    name: str
    do: Callable[[], object]
    bare: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Median microseconds of one act, and as a multiple of its bare act."""

    name: str
    microseconds: float
    ratio: float


def measure(acts: Sequence[Act], rounds: int = 100, repetitions: int = 15) -> list[Cost]:
    """Time every act `rounds` times, `repetitions` times over; medians."""
    times = [[_time(act.do, rounds) for act in acts] for _ in range(repetitions)]
    return [
        Cost(
            act.name,
            median(row[number] for row in times),
            median(row[number] / row[act.bare] for row in times),
        )
        for number, act in enumerate(acts)
    ]


def show(title: str, costs: Sequence[Cost]) -> None:
    """Print a table."""
    print(f"\n{title}")
    for cost in costs:
        print(f"  {cost.name:44} {cost.microseconds:9.1f} us   x {cost.ratio:.2f}")


def _time(act: Callable[[], object], rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        act()
    return (time.perf_counter() - started) / rounds * 1e6
