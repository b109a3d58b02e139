"""The two ways time is written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gbcs.date_time import (
    from_date_time,
    from_generalized_time,
    to_date_time,
    to_generalized_time,
)
from gbcs.errors import EncodeError, ParseError

MOMENT = datetime(2015, 1, 1, tzinfo=UTC)
PUBLISHED = bytes.fromhex("07df0101ff000000008000ff")


def test_the_published_form():
    assert to_date_time(MOMENT) == PUBLISHED
    assert from_date_time(PUBLISHED) == MOMENT


def test_status_and_hundredths():
    octets = to_date_time(MOMENT.replace(microsecond=990_000), status=0)
    assert octets.hex() == "07df0101ff000000638000" + "00"
    assert from_date_time(octets) == MOMENT.replace(microsecond=990_000)


def test_other_zones_are_written_in_utc():
    moment = datetime(2026, 7, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert from_date_time(to_date_time(moment)) == moment
    assert to_generalized_time(moment) == "20260630233000Z"


def test_deviation_is_from_local_time_to_utc():
    summer = bytes.fromhex("07ea0701ff001e00" + "00" + "ffc4" + "80")
    assert from_date_time(summer) == datetime(2026, 6, 30, 23, 30, tzinfo=UTC)


def test_unspecified_hundredths_count_as_none():
    assert from_date_time(PUBLISHED[:8] + b"\xff" + PUBLISHED[9:]) == MOMENT


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        PUBLISHED[:-1],
        PUBLISHED + b"\x00",
        b"\xff" * 12,
        bytes(12),
        PUBLISHED[:2] + b"\x0d" + PUBLISHED[3:],
        PUBLISHED[:5] + b"\x18" + PUBLISHED[6:],
        PUBLISHED[:8] + b"\x64" + PUBLISHED[9:],
        bytes.fromhex("270f0c1fff173b3b00" + "7fff" + "00"),
    ],
)
def test_what_is_no_time_is_refused(octets: bytes):
    with pytest.raises(ParseError):
        from_date_time(octets)


@pytest.mark.parametrize("text", ["20300102000000Z", "99991231235959Z", "00010101000000Z"])
def test_generalized_time_both_ways(text: Any):
    assert to_generalized_time(from_generalized_time(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "20300102000000", "2030-01-02T00:00Z", "20300102000060Z", "\uff120300102000000Z", None],
)
def test_what_is_no_generalized_time_is_refused(text: Any):
    with pytest.raises(ParseError, match="YYYYMMDDHHMMSSZ"):
        from_generalized_time(text)


def test_naive_times_are_refused():
    naive = MOMENT.replace(tzinfo=None)
    with pytest.raises(EncodeError, match="zone"):
        to_date_time(naive)
    with pytest.raises(EncodeError, match="zone"):
        to_generalized_time(naive)


@pytest.mark.parametrize("status", [-1, 256])
def test_a_status_is_one_octet(status: Any):
    with pytest.raises(EncodeError, match="status"):
        to_date_time(MOMENT, status)
