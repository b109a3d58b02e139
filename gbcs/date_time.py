"""The two ways time is written: 12-octet DLMS date-time, and GeneralizedTime text.

DLMS date-time: year (2), month, day of month, day of week, hour, minute, second, hundredths,
deviation (2), clock status. FF, or FFFF for the year, means not specified; deviation 8000 means
not specified; day of week 1 is Monday. Only some responses carry one: `07DF 01 01 FF 00 00 00 00
8000 FF` in most of the RTDS vectors, status 00, 02 or 04 in gas meters'
(docs/sources.md#message-categories).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gbcs.errors import EncodeError, ParseError

DATE_TIME_LENGTH = 12
STATUS_NOT_SPECIFIED = 0xFF
_NOT_SPECIFIED = 0xFF
_DEVIATION_NOT_SPECIFIED = -0x8000
_GENERALIZED = re.compile(r"[0-9]{14}Z")


def to_date_time(moment: datetime, status: int = STATUS_NOT_SPECIFIED) -> bytes:
    """The 12-octet form of an aware time, in UTC, to the hundredth of a second.

    Day of week and deviation are left unspecified, as in the published vectors.

    Raises:
        EncodeError: the time is naive, or the status does not fit an octet.
    """
    if moment.tzinfo is None:
        raise EncodeError("a time must say its zone")
    if not 0 <= status <= 0xFF:
        raise EncodeError("clock status must be 0 to 255")
    utc = moment.astimezone(UTC)
    day = (utc.month, utc.day, _NOT_SPECIFIED, utc.hour, utc.minute, utc.second)
    hundredths = utc.microsecond // 10_000
    return utc.year.to_bytes(2, "big") + bytes((*day, hundredths, 0x80, 0x00, status))


def from_date_time(octets: bytes) -> datetime:
    """The aware time of a 12-octet form whose date and time are all specified.

    Unspecified hundredths count as 0, unspecified deviation as UTC. Deviation is in minutes, local
    time to UTC (so UTC = local + deviation).

    Raises:
        ParseError: another length, an unspecified date or time, or no such time.
    """
    if len(octets) != DATE_TIME_LENGTH:
        raise ParseError(f"date-time has {DATE_TIME_LENGTH} octets, not {len(octets)}")
    year = int.from_bytes(octets[:2], "big")
    month, day, _, hour, minute, second, hundredths = octets[2:9]
    deviation = int.from_bytes(octets[9:11], "big", signed=True)
    if hundredths == _NOT_SPECIFIED:
        hundredths = 0
    if deviation == _DEVIATION_NOT_SPECIFIED:
        deviation = 0
    try:
        local = datetime(year, month, day, hour, minute, second, hundredths * 10_000, tzinfo=UTC)
        return local + timedelta(minutes=deviation)
    except (ValueError, OverflowError):
        raise ParseError("date-time: no such time, or not wholly specified") from None


def to_generalized_time(moment: datetime) -> str:
    """`YYYYMMDDHHMMSSZ` of an aware time, in UTC, to the second below.

    Raises:
        EncodeError: the time is naive.
    """
    if moment.tzinfo is None:
        raise EncodeError("a time must say its zone")
    utc = moment.astimezone(UTC)
    return f"{utc.year:04}{utc:%m%d%H%M%S}Z"


def from_generalized_time(text: str) -> datetime:
    """The aware time of `YYYYMMDDHHMMSSZ`.

    Raises:
        ParseError: not written so, or no such time.
    """
    try:
        if _GENERALIZED.fullmatch(text) is not None:
            return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (ValueError, TypeError):
        pass
    raise ParseError("not a time written YYYYMMDDHHMMSSZ")
