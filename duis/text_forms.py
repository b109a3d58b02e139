"""How each kind of value is written as text in a document, and every way it may be read.

One value is written here in one way. It is read in every way the published type allows (XML Schema
Part 2): white space round it, base64 in lines, `1` for true, zeros and a plus before a number, any
zone and 24:00:00 in a time. However it was written, the value read is the same and compares equal.
What the type allows and cannot be held, or has no meaning, is refused by name.

Readers run after the schema, and do not lean on it: they refuse whatever is not of their type.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from duis.errors import SchemaInvalid
from duis.layout import TextForm
from duis.model import CredentialType, RemotePartyRole
from duis.request_id import RequestId, eui_from_text, eui_to_text

WHITE_SPACE: Final = " \t\r\n"
"""What XML calls white space; nothing else is."""

_BLANKS = re.compile(f"[{WHITE_SPACE}]+")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_MOST_DIGITS = 64
_HEX_PAIR_OF_OCTETS = re.compile(r"[0-9A-Fa-f]{4}")
_MOMENT = re.compile(
    r"(?P<year>-?[0-9]{4,})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?"
    r"(?P<zone>Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))?"
)


def octets_of(text: str) -> bytes:
    """The octets of a base64 text, in lines or not: the lexical space of xs:base64Binary.

    Raises:
        ValueError: any other text; also stray bits before the padding.
    """
    plain = "".join(_BLANKS.split(text))
    octets = b64decode(plain, validate=True)
    if b64encode(octets).decode("ascii") != plain:
        raise ValueError("stray bits")
    return octets


def whole_number(text: str) -> int:
    """The number of a text of type xs:integer, of no more than 64 digits.

    Raises:
        ValueError: any other text, or more digits (leading zeros do not count).
    """
    plain = text.strip(WHITE_SPACE)
    if _WHOLE.fullmatch(plain) is None:
        raise ValueError("not a whole number")
    sign, digits = ("-", plain[1:]) if plain[0] == "-" else ("", plain.removeprefix("+"))
    digits = digits.lstrip("0") or "0"
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"more than {_MOST_DIGITS} digits")
    return int(sign + digits)


def _read_octets(text: str) -> bytes:
    try:
        return octets_of(text)
    except (binascii.Error, ValueError):
        raise SchemaInvalid("base64", text[:40], "not the base64 text of any octets") from None


def _write_date_time(value: datetime) -> str:
    if value.tzinfo is None or value.utcoffset() is None:
        raise SchemaInvalid("time_zone", value.isoformat(), "a time without its zone")
    moment = value.astimezone(UTC).isoformat(timespec="microseconds")
    fraction = moment[20:26].rstrip("0").ljust(2, "0")
    return f"{moment[:19]}.{fraction}Z"


def _read_date_time(text: str) -> datetime:
    plain = text.strip(WHITE_SPACE)
    shown = plain[:40]
    found = _MOMENT.fullmatch(plain)
    if found is None:
        raise SchemaInvalid("date_time", shown, "not a date and time")
    if found["zone"] is None:
        told = "a time without its zone names no moment: end it in Z, or in an offset like +00:00"
        raise SchemaInvalid("time_zone", shown, told)
    if len(found["year"]) != 4 or found["year"] == "0000":
        raise SchemaInvalid("time_range", shown, "years from 0001 to 9999 can be held")
    fraction = (found["fraction"] or "").rstrip("0")
    if len(fraction) > 6:
        told = "finer than a microsecond cannot be held: write at most six digits after the point"
        raise SchemaInvalid("time_precision", shown, told)
    year, month, day, hour, minute, second = (
        int(found[part]) for part in ("year", "month", "day", "hour", "minute", "second")
    )
    days_end = (hour, minute, second, fraction) == (24, 0, 0, "")
    try:
        value = datetime(
            *(year, month, day, 0 if days_end else hour, minute, second),
            microsecond=int(fraction.ljust(6, "0")),
            tzinfo=_zone(found["zone"]),
        )
    except ValueError:
        raise SchemaInvalid("date_time", shown, "not a date and time that exists") from None
    try:
        return (value + timedelta(days=1 if days_end else 0)).astimezone(UTC)
    except OverflowError:
        told = "in UTC it is outside the years 0001 to 9999, which can be held"
        raise SchemaInvalid("time_range", shown, told) from None


def _zone(text: str) -> timezone:
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:]))
    return timezone(-offset if text[0] == "-" else offset)


def _read_integer(text: str) -> int:
    try:
        return whole_number(text)
    except ValueError as error:
        raise SchemaInvalid("integer", text[:40], str(error)) from None


def _read_boolean(text: str) -> bool:
    plain = text.strip(WHITE_SPACE)
    if plain not in ("true", "1", "false", "0"):
        raise SchemaInvalid("boolean", text[:40], "wanted true, false, 1 or 0")
    return plain in ("true", "1")


def _read_alert_code(text: str) -> int:
    plain = text.strip(WHITE_SPACE)
    if _HEX_PAIR_OF_OCTETS.fullmatch(plain) is None:
        raise SchemaInvalid("alert_code", text[:40], "not four hex digits")
    return int(plain, 16)


def _read_role(text: str) -> RemotePartyRole:
    try:
        return RemotePartyRole(text.strip(WHITE_SPACE))
    except ValueError:
        raise SchemaInvalid("remote_party_role", text[:40], "no such role") from None


def _read_credential_type(text: str) -> CredentialType:
    try:
        return CredentialType(text)
    except ValueError:
        raise SchemaInvalid("credential_type", text[:40], "no such credential") from None


def _read_canonical_octets(text: bytes) -> bytes:
    octets = binascii.a2b_base64(text)
    if binascii.b2a_base64(octets, newline=False) != text:
        raise ValueError("not the one base64 text of these octets")
    return octets


def one_of(values: Iterable[str]) -> str:
    """Pattern of one of these texts."""
    return "|".join([re.escape(value) for value in values])


def exactly(pattern: str) -> TextForm:
    """A text, with the pattern of what the schema surely allows of it."""
    return TextForm(str, str, pattern)


def number_of(pattern: str) -> TextForm:
    """A whole number, with the pattern of what the schema surely allows of it."""
    return TextForm(str, _read_integer, pattern, int)


_EUI = r"(?:[0-9A-F]{2}-){7}[0-9A-F]{2}"

TEXT = TextForm(str, str)
"""White space is part of it, at its ends too: xs:string."""
OCTETS = TextForm(
    lambda octets: binascii.b2a_base64(octets, newline=False).decode("ascii"),
    _read_octets,
    r"[A-Za-z0-9+/]++={0,2}",
    _read_canonical_octets,
)
INTEGER = TextForm(str, _read_integer)
FLOOR = number_of(r"0|[1-9][0-9]{0,17}")
BOOLEAN = TextForm(lambda value: "true" if value else "false", _read_boolean, "true|false")
DATE_TIME = TextForm(
    _write_date_time,
    _read_date_time,
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{2,6}Z",
)
EUI = TextForm(eui_to_text, lambda text: eui_from_text(text.strip(WHITE_SPACE)), _EUI)
REQUEST_ID = TextForm(
    lambda request_id: request_id.text,
    lambda text: RequestId.from_text(text.strip(WHITE_SPACE)),
    f"{_EUI}:{_EUI}:(?:0|[1-9][0-9]{{0,18}})",
)
ALERT_CODE = TextForm(lambda code: f"{code:04X}", _read_alert_code, r"[0-9A-F]{4}")
ROLE = TextForm(str, _read_role, one_of(RemotePartyRole))
CREDENTIAL_TYPE = TextForm(str, _read_credential_type, one_of(CredentialType))
METER_POINT = exactly(r"[0-9]{1,13}")
ELECTRICITY_METER_POINT = exactly(r"[0-9]{13}")
SERVICE = exactly(r"[1-9][0-9]?(?:\.[1-9][0-9]?){1,2}")
SHORT_TEXT = exactly(r"[A-Za-z0-9](?:[A-Za-z0-9 .,_-]{0,28}[A-Za-z0-9])?")
DEVICE_TYPE = exactly("ESME|GSME|GPF|CHF|HCALCS|PPMID|IHD|CAD")
