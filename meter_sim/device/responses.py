"""What a device says: Responses and Alerts, signed with its own key.

A Response carries the counter of the Command, goes to its business originator, and for CS02b and
CS02g carries a 12-octet date-time; it is signed and has no MAC header. An Alert carries the
device's own alert counter and no date-time. docs/sources.md#outcomes, #message-categories;
confirmed by RTDS vectors.
"""

from __future__ import annotations

from gbcs.codes import Cra
from gbcs.date_time import STATUS_NOT_SPECIFIED, to_date_time
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.protect import add_mac, sign
from meter_sim.device.device_types import DeviceType
from meter_sim.device.model import DeviceContext, DeviceState, OwnKeys

GSME_CLOCK_STATUS = 0x00
"""Gas meters write 00, 02 or 04 (RTDS vectors); 00 says that the clock is in order."""


def signed_response(
    command: Message, payload: bytes, device_type: DeviceType, context: DeviceContext
) -> bytes:
    """The Response to a CS02b or CS02g Command."""
    gas = device_type is DeviceType.GSME
    status = GSME_CLOCK_STATUS if gas else STATUS_NOT_SPECIFIED
    header = _response_header(command, to_date_time(context.at, status))
    return encode(sign(Message(header, payload, signature=None), context.keys.sign))


def response_as_asked(command: Message, payload: bytes, z: bytes | None, keys: OwnKeys) -> bytes:
    """The Response to CS02a or CS02f: a MAC with `z` if there is one, else a signature."""
    header = _response_header(command, None)
    if z is not None:
        return encode(add_mac(Message(header, payload, signature=b""), z))
    return encode(sign(Message(header, payload, signature=None), keys.sign))


def signed_alert(
    state: DeviceState, recipient: str, code: int, payload: bytes, keys: OwnKeys
) -> bytes:
    """An Alert with message code `code`, counted by the alert counter as it stands in `state`."""
    other = OtherInformation(code)
    header = GroupingHeader(Cra.ALERT, state.alert_counter, state.eui, recipient, other)
    return encode(sign(Message(header, payload, signature=None), keys.sign))


def _response_header(command: Message, date_time: bytes | None) -> GroupingHeader:
    asked = command.header
    return GroupingHeader(
        Cra.RESPONSE,
        asked.counter,
        asked.recipient,
        asked.originator,
        OtherInformation(command.message_code),
        date_time,
    )
