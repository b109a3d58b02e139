"""Generic alerts: an event and its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gbcs.codes import AlertCode
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads.alerts import (
    GenericAlert,
    ZigBeeAlert,
    decode_generic_alert,
    encode_generic_alert,
)
from gbcs.text.details import generic_alert_from_json, generic_alert_to_json

MOMENT = datetime(2026, 11, 21, 1, 2, 3, tzinfo=UTC)
COUNTER = (1 << 40) + 0x0A0B0C
ALERT = GenericAlert.at(AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE, MOMENT, COUNTER)
OCTETS = bytes.fromhex("0f200a0b0c00" + "0202" + "128f3d" + "090c" + "07ea0b15ff010203008000ff")
ZIGBEE = bytes.fromhex("010900" + "8f3d" + "3293aa0b")


def test_a_zigbee_alert_by_hand():
    alert = ZigBeeAlert.at(AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE, MOMENT)
    assert encode_generic_alert(alert) == ZIGBEE
    assert decode_generic_alert(ZIGBEE) == alert
    assert alert.moment == MOMENT
    shown = generic_alert_to_json(alert)
    assert (shown["alertCode"], shown["utcTime"]) == ("0x8f3d", alert.time)
    assert generic_alert_from_json(shown) == alert


@pytest.mark.parametrize("year", [1999, 2137, 9999])
def test_a_time_that_zigbee_cannot_say_is_not_known(year: int):
    alert = ZigBeeAlert.at(0x8F3D, MOMENT.replace(year=year))
    assert encode_generic_alert(alert)[-4:] == b"\xff" * 4
    with pytest.raises(ParseError, match="not known"):
        _ = alert.moment


def test_an_alert_by_hand():
    assert encode_generic_alert(ALERT) == OCTETS
    assert decode_generic_alert(OCTETS) == ALERT
    assert decode_generic_alert(OCTETS).moment == MOMENT


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 127, b"x" * 300])
def test_content_of_any_length(content: Any):
    alert = replace(ALERT, content=content)
    octets = encode_generic_alert(alert)
    assert octets[7] == 3
    assert decode_generic_alert(octets) == alert


@pytest.mark.parametrize("code", [0, 0x8F3E, 0xFFFF])
def test_any_16_bit_code(code: Any):
    alert = replace(ALERT, alert_code=code)
    assert decode_generic_alert(encode_generic_alert(alert)) == alert


@pytest.mark.parametrize(
    ("alert", "reason"),
    [
        (replace(ALERT, alert_code=0x10000), "alert code"),
        (replace(ALERT, alert_code=-1), "alert code"),
        (replace(ALERT, date_time=bytes(11)), "date-time"),
    ],
)
def test_what_cannot_be_written_is_refused(alert: Any, reason: str):
    with pytest.raises(EncodeError, match=reason):
        encode_generic_alert(alert)


@pytest.mark.parametrize(
    ("octets", "offset"),
    [
        (b"", 0),
        (b"\x0e" + OCTETS[1:], 0),
        (OCTETS[:1] + b"\x00" + OCTETS[2:], 1),
        (OCTETS[:5] + b"\x01" + OCTETS[6:], 5),
        (ZIGBEE[:-1], 5),
        (ZIGBEE + b"\x00", 9),
        (ZIGBEE[:1] + b"\x0a" + ZIGBEE[2:], 0),
        (OCTETS[:6] + b"\x01" + OCTETS[7:], 6),
        (OCTETS[:7] + b"\x01" + OCTETS[8:], 7),
        (OCTETS[:7] + b"\x04" + OCTETS[8:], 7),
        (OCTETS[:7] + b"\x03" + OCTETS[8:], 25),
        (OCTETS[:8] + b"\x11" + OCTETS[9:], 8),
        (OCTETS[:12] + b"\x0b" + OCTETS[13:], 11),
        (OCTETS[:-1], 13),
        (OCTETS + b"\x00", 25),
    ],
)
def test_anything_else_is_refused_at_its_place(octets: bytes, offset: int):
    with pytest.raises(ParseError) as refused:
        decode_generic_alert(octets)
    assert refused.value.offset == offset


def test_an_unspecified_time_is_refused_when_asked_for():
    alert = replace(ALERT, date_time=b"\xff" * 12)
    assert decode_generic_alert(encode_generic_alert(alert)) == alert
    with pytest.raises(ParseError, match="no such time"):
        _ = alert.moment


def test_an_alert_is_shown_by_name_and_the_name_is_for_the_reader():
    shown = generic_alert_to_json(ALERT)
    assert shown["alert"] == "Trusted Source Authentication Failure"
    assert generic_alert_from_json(shown) == ALERT
    assert generic_alert_from_json({**shown, "alert": "another"}) == ALERT
    assert "alert" not in generic_alert_to_json(replace(ALERT, alert_code=0x1234))
