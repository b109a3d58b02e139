"""What the network between a party and one device shall do to what it carries next.

Counted: so many are lost, delayed, duplicated, overtaken. Seeded: which of the next ones that
befalls is drawn from a seed, the same from the same; without a seed it is the next ones in order.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Knob(StrEnum):
    """What may befall a message, or an answer, on its way."""

    LOSE = "lose"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"


class Way(StrEnum):
    """Which way it was going: to the device, or back."""

    MESSAGES = "messages"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class WanOrder:
    """What is asked of the network: how many each knob takes of the next `among` each way.

    Where `among` is smaller than the sum, it is the sum. `delay_seconds` by the devices' clock.
    """

    counts: Mapping[tuple[Knob, Way], int] = field(default_factory=dict)
    among: int = 0
    seed: int | None = None
    delay_seconds: float = 0.0


class Disturbances:
    """What is still to happen to what goes to and from one device."""

    def __init__(self, order: WanOrder) -> None:
        self.delay_seconds = order.delay_seconds
        self._next = {way: deque(_drawn(order, way)) for way in Way}

    def next(self, way: Way) -> Knob | None:
        """What happens to this one; None: it just arrives."""
        return self._next[way].popleft() if self._next[way] else None

    def left(self) -> dict[str, int]:
        """How many are still to be taken, by knob and way."""
        counted = {way: Counter(self._next[way]) for way in Way}
        return {f"{knob}_{way}": counted[way][knob] for knob in Knob for way in Way}


def _drawn(order: WanOrder, way: Way) -> list[Knob | None]:
    """What befalls the next ones this way, the first first."""
    drawn: list[Knob | None] = []
    for knob in Knob:
        drawn += [knob] * order.counts.get((knob, way), 0)
    drawn += [None] * (order.among - len(drawn))
    if order.seed is None:
        return drawn
    lots = [hashlib.sha256(f"{order.seed} {way} {n}".encode()).digest() for n in range(len(drawn))]
    return [knob for _, knob in sorted(zip(lots, drawn, strict=True), key=lambda pair: pair[0])]
