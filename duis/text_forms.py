"""How each kind of value is written as text in a document.

Readers here run after the schema; what a schema cannot say (a 31st of February, base64 with stray
bits) they refuse themselves.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from datetime import UTC, datetime

from duis.errors import SchemaInvalid
from duis.layout import TextForm
from duis.model import CredentialType, RemotePartyRole
from duis.request_id import RequestId, eui_from_text, eui_to_text


def _read_octets(text: str) -> bytes:
    try:
        octets = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SchemaInvalid("base64", text[:40], "not base64") from None
    if b64encode(octets).decode("ascii") != text:
        raise SchemaInvalid("base64", text[-8:], "not the one base64 text of these octets")
    return octets


def _write_date_time(value: datetime) -> str:
    if value.tzinfo is None or value.utcoffset() is None:
        raise SchemaInvalid("date_time", value.isoformat(), "a time without its zone")
    at = value.astimezone(UTC)
    fraction = f"{at.microsecond:06d}".rstrip("0").ljust(2, "0")
    return f"{at.year:04d}-{at:%m-%dT%H:%M:%S}.{fraction}Z"


def _read_date_time(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise SchemaInvalid("date_time", text[:40], "not a date and time that exists") from None
    if value.utcoffset() is None:
        raise SchemaInvalid("date_time", text[:40], "a time without its zone")
    return value.astimezone(UTC)


def _read_integer(text: str) -> int:
    if len(text) > 64:
        raise SchemaInvalid("integer", text[:40], "more digits than any number here has")
    try:
        return int(text)
    except ValueError:
        raise SchemaInvalid("integer", text[:40], "not a whole number") from None


def _read_alert_code(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise SchemaInvalid("alert_code", text[:40], "not four hex digits") from None


def _read_role(text: str) -> RemotePartyRole:
    try:
        return RemotePartyRole(text)
    except ValueError:
        raise SchemaInvalid("remote_party_role", text[:40], "no such role") from None


def _read_credential_type(text: str) -> CredentialType:
    try:
        return CredentialType(text)
    except ValueError:
        raise SchemaInvalid("credential_type", text[:40], "no such credential") from None


TEXT = TextForm(str, str)
OCTETS = TextForm(lambda octets: b64encode(octets).decode("ascii"), _read_octets)
INTEGER = TextForm(str, _read_integer)
BOOLEAN = TextForm(lambda value: "true" if value else "false", lambda text: text in ("true", "1"))
DATE_TIME = TextForm(_write_date_time, _read_date_time)
EUI = TextForm(eui_to_text, eui_from_text)
REQUEST_ID = TextForm(lambda request_id: request_id.text, RequestId.from_text)
ALERT_CODE = TextForm(lambda code: f"{code:04X}", _read_alert_code)
ROLE = TextForm(str, _read_role)
CREDENTIAL_TYPE = TextForm(str, _read_credential_type)
