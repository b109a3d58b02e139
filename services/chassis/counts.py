"""What a process has done since it started, as numbers, for whoever measures it on the lab port.

Each source is a function that gives names and integers that only grow. What it costs to keep them
is one addition each, so they are always on: a count cannot be wrong because nobody had asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

Source = Callable[[], Mapping[str, int]]

_sources: Final[dict[str, Source]] = {}


def register(name: str, source: Source) -> None:
    """Let a source of this process be told too; its numbers are named `name.…`."""
    _sources[name] = source


def told(**sources: Source) -> dict[str, int]:
    """What those sources say, and those of this process, sorted by name."""
    every = {**_sources, **sources}
    return {
        f"{name}.{item}": number
        for name in sorted(every)
        for item, number in sorted(every[name]().items())
    }
