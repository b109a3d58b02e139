"""What became of an attack: who stopped it, by which check. Values only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Who said no, and by which check. `party` is a system's name."""

    party: str
    check: str


@dataclass(frozen=True)
class Observed:
    """What became of an act: who stopped it (None: nobody), and one sentence about it."""

    refused_by: Refusal | None
    note: str = ""
