"""Quirk profiles: the known oddities of real peers, which a party can be told to have.

A quirk is not a fault: the party goes on working, in a way that is known from the field. Each is
declared by the party that can have it, with its source; it is off until the lab port switches it
on, and says so like any weakening.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class UnknownQuirkError(Exception):
    """This party has no quirk of that name."""


@dataclass(frozen=True, slots=True)
class Quirk:
    """One known oddity.

    Attributes:
        name: stable name, for example ``pre-command-trailing-zero``.
        title: what the party does then, as one sentence.
        source: where it is known from.
    """

    name: str
    title: str
    source: str


class Quirks:
    """The quirks one party can have, and which it has now."""

    def __init__(self, party: str) -> None:
        self.party = party
        self._known: dict[str, Quirk] = {}
        self._on: set[str] = set()

    def declare(self, quirks: Iterable[Quirk]) -> None:
        """Add quirks that this party can have."""
        self._known |= {quirk.name: quirk for quirk in quirks}

    def has(self, name: str) -> bool:
        """Whether this one is on."""
        return name in self._on

    def find(self, name: str) -> Quirk:
        """The quirk of that name.

        Raises:
            UnknownQuirkError: there is none.
        """
        if name not in self._known:
            known = ", ".join(self._known) or "none"
            raise UnknownQuirkError(f"{self.party} can have: {known}")
        return self._known[name]

    def put(self, name: str, *, on: bool) -> None:
        """Switch one on or off.

        Raises:
            UnknownQuirkError: there is none of that name.
        """
        self.find(name)
        (self._on.add if on else self._on.discard)(name)
        _log.warning("a quirk was switched", party=self.party, quirk=name, on=on)

    def reset(self) -> None:
        """Have none."""
        self._on.clear()

    def weakened(self) -> list[str]:
        """Those that are on, as the lab port says it."""
        return [f"quirk:{name}" for name in self._known if name in self._on]

    def describe(self) -> list[dict[str, Any]]:
        """Every quirk this party can have."""
        return [
            {"name": q.name, "title": q.title, "source": q.source, "on": q.name in self._on}
            for q in self._known.values()
        ]
