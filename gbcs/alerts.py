"""Generic alerts (message codes 0x1000 critical and 0x1001 non-critical): an event and its time.

This whole module is a reconstruction: no published vector of such an alert was at hand. The layout
is the DLMS data-notification that published readers of electricity meters' alerts take apart:

    0F 00000000 00 | 02 n | 12 alert code (2) | 09 0C date-time (12) | [09 len content]

n is 2, or 3 with content. Gas meters and communications hubs write theirs in the ZigBee form
instead, which the simulated devices do not use: they all write this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gbcs.date_time import DATE_TIME_LENGTH, from_date_time, to_date_time
from gbcs.errors import EncodeError, ParseError
from gbcs.numbers import unsigned
from gbcs.octets import Octets, length_octets

_NOTIFICATION = bytes.fromhex("0f0000000000")
_STRUCTURE = b"\x02"
_LONG_UNSIGNED = b"\x12"
_OCTET_STRING = b"\x09"
_DATE_TIME = _OCTET_STRING + bytes((DATE_TIME_LENGTH,))


@dataclass(frozen=True, slots=True)
class GenericAlert:
    """An event a device reports.

    Attributes:
        alert_code: 16 bits (see gbcs.codes.AlertCode for those that concern credentials).
        date_time: when, in 12 octets of DLMS date-time.
        content: what the event's own use case adds, or None.
    """

    alert_code: int
    date_time: bytes
    content: bytes | None = None

    @classmethod
    def at(cls, alert_code: int, moment: datetime, content: bytes | None = None) -> GenericAlert:
        """The alert of an event at an aware time.

        Raises:
            EncodeError: the time is naive.
        """
        return cls(alert_code, to_date_time(moment), content)

    @property
    def moment(self) -> datetime:
        """When it happened.

        Raises:
            ParseError: the date-time is not wholly specified.
        """
        return from_date_time(self.date_time)


def encode_generic_alert(alert: GenericAlert) -> bytes:
    """Write an alert payload.

    Raises:
        EncodeError: the code or the date-time does not fit.
    """
    if len(alert.date_time) != DATE_TIME_LENGTH:
        raise EncodeError(f"date-time must have {DATE_TIME_LENGTH} octets")
    code = unsigned(alert.alert_code, 16, "alert code").to_bytes(2, "big")
    parts = [_LONG_UNSIGNED + code, _DATE_TIME + alert.date_time]
    if alert.content is not None:
        parts.append(_OCTET_STRING + length_octets(len(alert.content)) + alert.content)
    return _NOTIFICATION + _STRUCTURE + bytes((len(parts),)) + b"".join(parts)


def decode_generic_alert(payload: bytes) -> GenericAlert:
    """Read an alert payload.

    Raises:
        ParseError: it is not that.
    """
    octets = Octets(bytes(payload))
    octets.expect(_NOTIFICATION, "data-notification")
    octets.expect(_STRUCTURE, "alert structure")
    at = octets.at
    count = octets.octet("alert structure")
    if count not in (2, 3):
        raise ParseError(f"alert structure: 2 or 3 elements expected, not {count}", at)
    octets.expect(_LONG_UNSIGNED, "alert code")
    code = octets.number(2, "alert code")
    octets.expect(_DATE_TIME, "alert date-time")
    date_time = octets.take(DATE_TIME_LENGTH, "alert date-time")
    content = None
    if count == 3:
        octets.expect(_OCTET_STRING, "alert content")
        content = octets.take(octets.length("alert content"), "alert content")
    octets.end("alert")
    return GenericAlert(code, date_time, content)
