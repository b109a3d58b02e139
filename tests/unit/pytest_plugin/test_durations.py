"""The plugin reads times and durations as the command line does; it cannot import its code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_cos_stack.durations import duration, instant
from stack.clocks import parse_duration
from stack.errors import CommandError


@pytest.mark.parametrize(
    "text",
    ["P10D", "-PT1H30M", "PT5M", "p2w", "P1DT2H3M4.5S", "+PT1S", "90", "-90", "0.5"],
)  # fmt: skip
def test_a_duration_is_the_one_of_the_command_line(text: str) -> None:
    assert duration(text) == parse_duration(text)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "P1M", "P1Y", "1h", "ten days", "P-1D"])
def test_what_is_none_there_is_none_here(text: str) -> None:
    with pytest.raises(CommandError):
        parse_duration(text)
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)


def test_values_are_taken_too() -> None:
    assert duration(timedelta(days=3)) == timedelta(days=3)
    assert duration(-1.5) == timedelta(seconds=-1.5)


def test_an_instant_names_its_zone() -> None:
    noon = datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert instant("2026-12-01T12:00:00Z") == instant("2026-12-01T13:00:00+01:00") == noon
    assert instant(noon) == noon
    with pytest.raises(ValueError, match="names no zone"):
        instant("2026-12-01T12:00:00")
