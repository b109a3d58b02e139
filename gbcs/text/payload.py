"""Any payload as a JSON object and back: which codec belongs to which message code and flag.

A payload nobody here can read is `{"octets": hex}`, with `unreadable` saying why if its message
code is known. One whose octets are not what its values would be written as (devices do not always
write DER) also carries `as_received`, which is used again as long as it still says the same as the
rest of the object, and `not_der`, which says in words what DER would not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from gbcs.codes import MODE_OF_MESSAGE_CODE, Cra, MessageCode
from gbcs.errors import ParseError
from gbcs.payloads import alerts, credentials, details
from gbcs.payloads import device_certificates as certificates
from gbcs.payloads.device_ber import departures
from gbcs.text import credentials as credentials_json
from gbcs.text import details as details_json
from gbcs.text.fields import Fields

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PayloadCodec(Generic[T]):
    """The four ways of one kind of payload."""

    decode: Callable[[bytes], T]
    encode: Callable[[T], bytes]
    to_json: Callable[[T], dict[str, Any]]
    from_json: Callable[[object], T]

    def describe(self, payload: bytes) -> dict[str, Any]:
        """The payload as an object.

        Raises:
            ParseError: it cannot be read.
        """
        shown = self.to_json(self.decode(payload))
        if self.encode(self.from_json(shown)) != payload:
            shown["as_received"] = payload.hex()
            shown["not_der"] = list(departures(payload))
        return shown

    def build(self, value: object) -> bytes:
        """The payload of an object.

        Raises:
            EncodeError: the object does not describe one.
        """
        fields = Fields(value, "payload")
        received = fields.hexadecimal("as_received") if fields.has("as_received") else None
        described = self.from_json(without(without(value, "as_received"), "not_der"))
        if received is not None:
            try:
                if self.decode(received) == described:
                    return received
            except ParseError:
                pass
        return self.encode(described)


class _Shaped(Protocol[T]):
    """What says how a kind of payload is written as an object."""

    def to_json(self, value: T) -> dict[str, Any]: ...

    def from_json(self, value: object) -> T: ...


def _codec(
    decode: Callable[[bytes], T], encode: Callable[[T], bytes], shape: _Shaped[T]
) -> PayloadCodec[T]:
    return PayloadCodec(decode, encode, shape.to_json, shape.from_json)


_UPDATE = _codec(credentials.decode_update, credentials.encode_update, credentials_json.UPDATE)
_UPDATE_RESPONSE = PayloadCodec(
    credentials.decode_response,
    credentials.encode_response,
    credentials_json.response_to_json,
    credentials_json.response_from_json,
)
_UPDATE_ALERT = _codec(credentials.decode_alert, credentials.encode_alert, credentials_json.ALERT)
_READ = _codec(details.decode_read, details.encode_read, details_json.READ)
_DETAILS = _codec(details.decode_details, details.encode_details, details_json.DETAILS)
_KEY_USAGE = _codec(
    certificates.decode_key_usage_request,
    certificates.encode_key_usage_request,
    details_json.KEY_USAGE,
)
_ISSUE_RESPONSE = _codec(
    certificates.decode_issue_response,
    certificates.encode_issue_response,
    details_json.ISSUE_RESPONSE,
)
_CERTIFICATE_UPDATE = _codec(
    certificates.decode_certificate_update,
    certificates.encode_certificate_update,
    details_json.CERTIFICATE_UPDATE,
)
_CERTIFICATE_UPDATE_RESPONSE = _codec(
    certificates.decode_certificate_update_response,
    certificates.encode_certificate_update_response,
    details_json.CERTIFICATE_UPDATE_RESPONSE,
)
_CERTIFICATE_READ_RESPONSE = _codec(
    certificates.decode_certificate_read_response,
    certificates.encode_certificate_read_response,
    details_json.CERTIFICATE_READ_RESPONSE,
)
_GENERIC_ALERT = PayloadCodec(
    alerts.decode_generic_alert,
    alerts.encode_generic_alert,
    details_json.generic_alert_to_json,
    details_json.generic_alert_from_json,
)

CODECS: dict[tuple[int, Cra], PayloadCodec[Any]] = {
    **{(code, Cra.COMMAND): _UPDATE for code in MODE_OF_MESSAGE_CODE},
    **{(code, Cra.RESPONSE): _UPDATE_RESPONSE for code in MODE_OF_MESSAGE_CODE},
    (MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT, Cra.ALERT): _UPDATE_ALERT,
    (MessageCode.UPDATE_LOAD_CONTROLLER_CREDENTIALS_ALERT, Cra.ALERT): _UPDATE_ALERT,
    (MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS, Cra.COMMAND): _READ,
    (MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS, Cra.RESPONSE): _DETAILS,
    (MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS_ROLE_8, Cra.COMMAND): _READ,
    (MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS_ROLE_8, Cra.RESPONSE): _DETAILS,
    (MessageCode.ISSUE_SECURITY_CREDENTIALS, Cra.COMMAND): _KEY_USAGE,
    (MessageCode.ISSUE_SECURITY_CREDENTIALS, Cra.RESPONSE): _ISSUE_RESPONSE,
    (MessageCode.UPDATE_DEVICE_CERTIFICATE, Cra.COMMAND): _CERTIFICATE_UPDATE,
    (MessageCode.UPDATE_DEVICE_CERTIFICATE, Cra.RESPONSE): _CERTIFICATE_UPDATE_RESPONSE,
    (MessageCode.PROVIDE_DEVICE_CERTIFICATE, Cra.COMMAND): _KEY_USAGE,
    (MessageCode.PROVIDE_DEVICE_CERTIFICATE, Cra.RESPONSE): _CERTIFICATE_READ_RESPONSE,
    (MessageCode.GENERIC_CRITICAL_ALERT, Cra.ALERT): _GENERIC_ALERT,
    (MessageCode.GENERIC_NON_CRITICAL_ALERT, Cra.ALERT): _GENERIC_ALERT,
}
"""The codec of each message code and flag that this room can read."""


def describe_payload(message_code: int, cra: Cra, payload: bytes) -> dict[str, Any]:
    """The payload of such a message as an object; never fails."""
    codec = CODECS.get((message_code, cra))
    if codec is None:
        return {"octets": payload.hex()}
    try:
        return codec.describe(payload)
    except ParseError as error:
        return {"octets": payload.hex(), "unreadable": str(error)}


def build_payload(message_code: int, cra: Cra, value: object) -> bytes:
    """The payload of an object, as describe_payload gives it; `octets` are taken as they are.

    Raises:
        EncodeError: the object does not describe one.
    """
    fields = Fields(value, "payload")
    codec = CODECS.get((message_code, cra))
    if codec is None or fields.has("octets"):
        octets = fields.hexadecimal("octets")
        fields.take("unreadable")
        fields.done()
        return octets
    return codec.build(value)


def without(value: object, key: str) -> object:
    """An object without one of its fields; anything else as it is."""
    if not isinstance(value, dict):
        return value
    return {name: field for name, field in value.items() if name != key}
