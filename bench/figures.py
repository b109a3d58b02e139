"""What is measured, as numbers that can be compared: a median, and how far its rounds lie apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

RESULTS: Final = Path(__file__).with_name("results.json")
PARTS: Final = ("change", "message", "duis", "link", "start")

MARGIN: Final = 0.20
"""How much greater than the committed one a ratio may be before `make bench-check` fails."""

NOT_COMPARED: Final = frozenset({"floor_us", "per_second_at_32"})
"""Of this machine and this moment; the others of change, message, duis and link are ratios."""

RATIO: Final = "_over_python"
"""In the name of each figure of `start` that is a ratio; the others are of this machine."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Median of the rounds, and their interquartile range (their range where they are few)."""

    median: float
    spread: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Of the values that the rounds gave; at least one."""
        if len(values) < 4:
            return cls(median(values), max(values) - min(values))
        low, _, high = quantiles(values, n=4)
        return cls(median(values), high - low)

    def as_dict(self) -> dict[str, float]:
        """As `bench/results.json` has it."""
        return {"median": _short(self.median), "spread": _short(self.spread)}


Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Worse:
    """A ratio that is greater than the committed one by more than the margin."""

    name: str
    committed: float
    found: float

    def __str__(self) -> str:
        more = 100 * (self.found / self.committed - 1)
        return f"{self.name}: {self.found:.2f}, committed {self.committed:.2f} ({more:+.0f} %)"


def compared(name: str) -> bool:
    """Whether a figure, named `part.figure`, can be compared between machines."""
    part, _, figure = name.partition(".")
    return RATIO in figure if part == "start" else figure not in NOT_COMPARED


def worse(committed: Mapping[str, Any], found: Mapping[str, Any], margin: float) -> list[Worse]:
    """Every compared ratio of `found` that is beyond the margin and beyond both spreads.

    Args:
        committed: as `bench/results.json`.
        found: the same, of this run; parts that were not measured are not compared.
        margin: 0.2 permits a fifth more.
    """
    said = []
    for part, figures in found.items():
        for name, now in figures.items():
            then = committed.get(part, {}).get(name)
            if then is None or not compared(f"{part}.{name}"):
                continue
            noise = max(now["spread"], then["spread"]) / 2
            most = max(then["median"] * (1 + margin), then["median"] + noise)
            if now["median"] > most:
                said.append(Worse(f"{part}.{name}", then["median"], now["median"]))
    return said


def read(path: Path = RESULTS) -> dict[str, Any]:
    """The committed results; empty where there are none."""
    if not path.is_file():
        return {}
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def write(results: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Write results; parts that were not measured this time stay as they were."""
    every = {**read(path), **results}
    ordered = {part: every[part] for part in PARTS if part in every}
    path.write_text(json.dumps(ordered, indent=2) + "\n")


def as_dict(figures: Figures) -> dict[str, dict[str, float]]:
    """One part of the results."""
    return {name: figure.as_dict() for name, figure in figures.items()}


def _short(number: float) -> float:
    return float(f"{number:.4g}")
