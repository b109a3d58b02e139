"""Generic alerts (message codes 0x1000 critical and 0x1001 non-critical): an event and its time.

Devices that speak DLMS (electricity meters) write a data-notification:

    0F 20 | counter (3) | 00 | 02 n | 12 alert code (2) | 09 0C date-time (12) | [09 len content]

n is 2, or 3 with content. The three octets after `20` (with it the long-invoke-id-and-priority) are
the low 24 bits of the originator counter of the message: so in all 743 published payloads of the
kind. Gas meters and communications hubs write a ZigBee command instead:

    01 09 00 | alert code (2) | time (4): seconds since 2000-01-01T00:00:00Z

Both confirmed by RTDS vectors (GCA and GNCA, 8F30 and 810E), save the content, for which published
readers are the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gbcs.date_time import DATE_TIME_LENGTH, from_date_time, to_date_time
from gbcs.errors import EncodeError, ParseError
from gbcs.numbers import unsigned
from gbcs.octets import Octets, length_octets

_NOTIFICATION = b"\x0f"
_PRIORITY = b"\x20"
_NO_DATE_TIME = b"\x00"
_STRUCTURE = b"\x02"
_LONG_UNSIGNED = b"\x12"
_OCTET_STRING = b"\x09"
_DATE_TIME = _OCTET_STRING + bytes((DATE_TIME_LENGTH,))
_ZIGBEE = bytes.fromhex("010900")
_ZIGBEE_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_KNOWN = 0xFFFFFFFF
_LOW_24_BITS = 0xFFFFFF


def invoke_id_of(counter: int) -> int:
    """What a DLMS alert with this originator counter has for its invoke-id: 24 bits of it."""
    return counter & _LOW_24_BITS


@dataclass(frozen=True, slots=True)
class GenericAlert:
    """An event a device that speaks DLMS reports.

    Attributes:
        alert_code: 16 bits (see gbcs.codes.AlertCode for those that concern credentials).
        date_time: when, in 12 octets of DLMS date-time.
        content: what the event's own use case adds, or None.
        invoke_id: 24 bits; see `invoke_id_of`.
    """

    alert_code: int
    date_time: bytes
    content: bytes | None = None
    invoke_id: int = 0

    @classmethod
    def at(
        cls, alert_code: int, moment: datetime, counter: int, content: bytes | None = None
    ) -> GenericAlert:
        """The alert of an event at an aware time, in a message with this originator counter.

        Raises:
            EncodeError: the time is naive.
        """
        return cls(alert_code, to_date_time(moment), content, invoke_id_of(counter))

    @property
    def moment(self) -> datetime:
        """When it happened.

        Raises:
            ParseError: the date-time is not wholly specified.
        """
        return from_date_time(self.date_time)


@dataclass(frozen=True, slots=True)
class ZigBeeAlert:
    """An event a gas meter or a communications hub reports.

    Attributes:
        alert_code: 16 bits, as in `GenericAlert`.
        time: seconds since 2000-01-01T00:00:00Z, 32 bits; all ones: not known (ZCL UTCTime).
    """

    alert_code: int
    time: int

    @classmethod
    def at(cls, alert_code: int, moment: datetime) -> ZigBeeAlert:
        """The alert of an event at an aware time, to the second below.

        A time that 32 bits cannot say (before 2000, from 2136 on) is written as not known.

        Raises:
            EncodeError: the time is naive.
        """
        if moment.tzinfo is None:
            raise EncodeError("a time must say its zone")
        seconds = (moment - _ZIGBEE_EPOCH) // timedelta(seconds=1)
        return cls(alert_code, seconds if 0 <= seconds < _NOT_KNOWN else _NOT_KNOWN)

    @property
    def moment(self) -> datetime:
        """When it happened.

        Raises:
            ParseError: the time is said not to be known.
        """
        if self.time == _NOT_KNOWN:
            raise ParseError("alert time: not known")
        return _ZIGBEE_EPOCH + timedelta(seconds=self.time)


AnyAlert = GenericAlert | ZigBeeAlert


def encode_generic_alert(alert: AnyAlert) -> bytes:
    """Write an alert payload.

    Raises:
        EncodeError: a number or the date-time does not fit.
    """
    code = unsigned(alert.alert_code, 16, "alert code").to_bytes(2, "big")
    if isinstance(alert, ZigBeeAlert):
        return _ZIGBEE + code + unsigned(alert.time, 32, "alert time").to_bytes(4, "big")
    if len(alert.date_time) != DATE_TIME_LENGTH:
        raise EncodeError(f"date-time must have {DATE_TIME_LENGTH} octets")
    invoke_id = unsigned(alert.invoke_id, 24, "invoke-id").to_bytes(3, "big")
    parts = [_LONG_UNSIGNED + code, _DATE_TIME + alert.date_time]
    if alert.content is not None:
        parts.append(_OCTET_STRING + length_octets(len(alert.content)) + alert.content)
    start = _NOTIFICATION + _PRIORITY + invoke_id + _NO_DATE_TIME
    return start + _STRUCTURE + bytes((len(parts),)) + b"".join(parts)


def decode_generic_alert(payload: bytes) -> AnyAlert:
    """Read an alert payload of either form.

    Raises:
        ParseError: it is neither.
    """
    octets = Octets(bytes(payload))
    if payload[:1] == _ZIGBEE[:1]:
        octets.expect(_ZIGBEE, "ZigBee alert")
        code = octets.number(2, "alert code")
        time = octets.number(4, "alert time")
        octets.end("alert")
        return ZigBeeAlert(code, time)
    octets.expect(_NOTIFICATION, "data-notification")
    octets.expect(_PRIORITY, "invoke-id and priority")
    invoke_id = octets.number(3, "invoke-id")
    octets.expect(_NO_DATE_TIME, "data-notification")
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
    return GenericAlert(code, date_time, content, invoke_id)
