"""The domain time of a stack: every system's lab clock, moved together to the same instant.

Each system has a clock of its own, as real ones have. Execution dates, registrations and the
validity of certificates are judged by it; the signed link and the evidence are not (docs/decisions,
"link time is real time"). Moving one clock alone is an experiment about disagreement; moving all is
a calendar that somebody turns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stack.connection import Connection
from stack.errors import USAGE, CommandError
from stack.systems import DEVICES_LAST

_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = re.compile(r"[+-]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class ClockState:
    """One system's clock as it tells it: ``real``, ``held`` (stands) or ``offset`` (runs)."""

    mode: str
    now: datetime
    offset: timedelta

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "mode": self.mode,
            "now": self.now.isoformat(),
            "offset_seconds": self.offset.total_seconds(),
        }


def parse_instant(text: str) -> datetime:
    """An instant from ISO 8601 text that names its zone (``2026-12-01T00:00:00Z``).

    Raises:
        CommandError: it is no instant, or has no zone (exit code 2).
    """
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise CommandError(f"{text!r} is no time: write it as 2026-12-01T00:00:00Z", USAGE)


def parse_duration(text: str) -> timedelta:
    """A duration from seconds (``-90``, ``0.5``) or ISO 8601 text (``P10D``, ``-PT1H30M``).

    Months and years are not durations of a known length and are refused.

    Raises:
        CommandError: it is neither, or too long to be represented (exit code 2).
    """
    try:
        if _SECONDS.fullmatch(text):
            return timedelta(seconds=float(text))
        found = _DURATION.fullmatch(text.upper())
        if found is not None and text[-1].upper() not in "PT":
            parts = found.groupdict(default="0")
            length = timedelta(**{name: float(parts[name]) for name in parts if name != "sign"})
            return -length if parts["sign"] == "-" else length
    except OverflowError:
        pass
    raise CommandError(f"{text!r} is no duration: write seconds, or P10D, PT1H30M, -PT5M", USAGE)


def read_clocks(connection: Connection) -> dict[str, ClockState]:
    """Every system's clock, in the order in which they are set."""
    return {name: _told(connection.lab(name, "GET", "/lab/clock")) for name in DEVICES_LAST}


def set_clocks(connection: Connection, instant: datetime) -> dict[str, ClockState]:
    """Have every clock stand at `instant`."""
    return _act(connection, {"mode": "held", "at": instant.isoformat()})


def step_clocks(connection: Connection, by: timedelta) -> dict[str, ClockState]:
    """Move every clock by `by`, forth or back; afterwards all show the same.

    Clocks that run go on running, and clocks that stand, stand. If they disagree beforehand, all
    follow the one that is furthest ahead; if any stands, all do.

    Raises:
        CommandError: the step leads outside the calendar, or a system does not answer.
    """
    before = read_clocks(connection).values()
    try:
        if any(clock.mode == "held" for clock in before):
            return set_clocks(connection, max(clock.now for clock in before) + by)
        offset = max(clock.offset for clock in before) + by
    except OverflowError:
        raise CommandError("the step leads outside the calendar", USAGE) from None
    return _act(connection, {"mode": "offset", "seconds": offset.total_seconds()})


def real_clocks(connection: Connection) -> dict[str, ClockState]:
    """Have every clock follow the machine's again."""
    return _act(connection, {"mode": "real"})


def agree(clocks: dict[str, ClockState]) -> bool:
    """Whether all clocks stand at the same instant, or run equally far from the machine's."""
    if len({clock.mode for clock in clocks.values()}) > 1:
        return False
    if any(clock.mode == "held" for clock in clocks.values()):
        return len({clock.now for clock in clocks.values()}) == 1
    return len({clock.offset for clock in clocks.values()}) == 1


def _act(connection: Connection, act: dict[str, Any]) -> dict[str, ClockState]:
    read_clocks(connection)  # all answer, or none is moved
    return {name: _told(connection.lab(name, "PUT", "/lab/clock", act)) for name in DEVICES_LAST}


def _told(told: dict[str, Any]) -> ClockState:
    return ClockState(
        str(told["mode"]),
        datetime.fromisoformat(told["now"]),
        timedelta(seconds=float(told["offset_seconds"])),
    )
