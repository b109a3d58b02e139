"""Times and durations as tests write them: values of `datetime`, or text as in `cos clock`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(
    r"(?P<sign>[+-]?)P(?=[\dT])(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SECONDS = re.compile(r"[+-]?\d+(?:\.\d+)?")


def duration(value: timedelta | str | float) -> timedelta:
    """A duration: seconds (``-90``, ``"0.5"``) or ISO 8601 text (``P10D``, ``-PT1H30M``).

    Months and years are not durations of a known length and are refused.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, timedelta):
        return value
    text = str(value)
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    found = _DURATION.fullmatch(text.upper())
    if found is None:
        raise ValueError(f"{text!r} is no duration: write seconds, or P10D, PT1H30M, -PT5M")
    parts = found.groupdict(default="0")
    length = timedelta(**{name: float(parts[name]) for name in parts if name != "sign"})
    return -length if parts["sign"] == "-" else length


def instant(value: datetime | str) -> datetime:
    """An instant in UTC: an aware datetime, or ISO 8601 text that names its zone.

    Raises:
        ValueError: it is none, or has no zone.
    """
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError(f"{value!s} names no zone: write it as 2026-12-01T00:00:00Z")
    return at.astimezone(UTC)
