"""What an attack is: an act on the wire, who holds what, and which check must refuse it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from probe.result import Observed, Refusal
from probe.world import World


class Rung(IntEnum):
    """How much the attacker has. Each rung holds at least a stronger idea than the one below."""

    HONEST = 0
    WIRE = 1
    RECORDING = 2
    SUPPLIER = 3
    ONE_PARTY = 4
    CHECK_OFF = 5
    TWO_PARTIES = 6
    OLD_KEYS = 7


RUNGS = {
    Rung.HONEST: "an honest run, which must succeed",
    Rung.WIRE: "the wire: anybody who can connect",
    Rung.RECORDING: "the wire and a recording of what an honest party signed",
    Rung.SUPPLIER: "a dishonest supplier's own account and keys",
    Rung.ONE_PARTY: "every key of one party",
    Rung.CHECK_OFF: "one party with one of its checks off",
    Rung.TWO_PARTIES: "the keys of two parties together",
    Rung.OLD_KEYS: "keys that were replaced, by rotation, recovery or migration",
}

SEPARATION = "ECoS separation consultation"
ORIGIN = f"{SEPARATION}, 11(i)"
PURPOSE = f"{SEPARATION}, 9"
BOTH_CHECK = f"{SEPARATION}, 4"
METER_CHECKS = f"{SEPARATION}, 2"
BROKER_CHECKS = f"{SEPARATION}, 3"
BETWEEN = "between"
"""The tag of attacks for which the bench stands between two systems (see `probe.between`)."""

KEY_TRANSFER = "December 2022 consultation, 3.1"


Act = Callable[[World], Observed]


_SHORT_WAYS = frozenset({"probe.model", "probe.attacks.making", "dataclasses"})


def _written_at() -> tuple[str, int]:
    """File and line that an attack is written down at: not of the short ways to write one."""
    frame = sys._getframe(1)  # noqa: SLF001 - the documented way to ask who calls
    while frame.f_back is not None and frame.f_globals.get("__name__") in _SHORT_WAYS:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        id: permanent dotted identifier.
        title: what is attempted.
        rung: how much the attacker has.
        requirement: document and paragraph that the refusal serves.
        holds: what the attacker holds.
        act: does it, and says what became of it.
        expected: who must refuse it by which check; None where it must succeed.
        may_change: parts of the state that may change though it is refused, because hearing an
            authentic message counts (`counters`); each use says why in the title or the docs.
        tags: family and more, for `--tag`.
        watches: what else must not change: `registration`, `smki_repository` (what is published),
            `meter_sim` (which devices there are), or a CoS Party (what it knows of its device).
        prepares: whether the act changes the stack first (`World.compare_from_here`).
        off: the check that is turned off before the act (rung 5).
        written_at: file and line that it is written down at, found by itself.
    """

    id: str
    title: str
    rung: Rung
    requirement: str
    holds: str
    act: Act = field(repr=False)
    expected: Refusal | None
    may_change: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    watches: frozenset[str] = frozenset()
    prepares: bool = False
    off: Refusal | None = None
    written_at: tuple[str, int] = field(default_factory=_written_at, compare=False, repr=False)

    @property
    def alone(self) -> bool:
        """Whether it needs the stack for itself; all others leave nothing behind if refused."""
        return bool(
            self.prepares
            or self.expected is None
            or self.may_change
            or self.watches
            or self.off
            or BETWEEN in self.tags
        )


@dataclass(frozen=True)
class Result:
    """What one attack did to a running stack, and in how many seconds."""

    attack: Attack
    outcome: str
    refused_by: Refusal | None
    changed: tuple[str, ...]
    ok: bool
    note: str
    seconds: float = 0.0

    @property
    def state_unchanged(self) -> bool:
        """Whether nothing at all changed, in any party or meter."""
        return not self.changed

    def as_dict(self) -> dict[str, Any]:
        """The line of `--json`."""
        attack, expected = self.attack, self.attack.expected
        return {
            "id": attack.id,
            "title": attack.title,
            "rung": int(attack.rung),
            "requirement": attack.requirement,
            "expected_party": expected.party if expected else None,
            "expected_check": expected.check if expected else None,
            "outcome": self.outcome,
            "stopped_by": None
            if self.refused_by is None
            else {"party": self.refused_by.party, "check": self.refused_by.check},
            "state_unchanged": self.state_unchanged,
            "ok": self.ok,
            "note": self.note,
            "seconds": round(self.seconds, 3),
        }
