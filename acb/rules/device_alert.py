"""The checks on a security alert: what a device reports unasked when it was addressed wrongly.

Message code 0x1000: signed by the device, with its own alert counter, to the party responsible for
it. Codes and their names: docs/sources.md#device-checks. That a broker makes these checks, and who
may be notified, is a reconstruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acb.model import SUPPLIER_CELL, DeviceRecord
from gbcs.codes import AlertCode, Cra, MessageCode
from gbcs.errors import GbcsError, ParseError
from gbcs.message import Message, OtherInformation
from gbcs.payloads.alerts import AnyAlert, GenericAlert, decode_generic_alert, invoke_id_of
from gbcs.protect import verify_signature
from services.chassis.checks import Check, CheckFailed, check, need

SECTION: Final = "device_alert"
SIGNING_KEY: Final = "digital-signing"
WAN_PROVIDER_CELL: Final = "wanProvider/digitalSignature/management"

CODES: Final = frozenset(
    {
        AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
        AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS,
        AlertCode.AUTHENTICATION_FAILURE,
        AlertCode.UNUSUAL_COMMANDS,
    }
)
"""What a device may say in this form. Future-dated alerts have one of their own."""

MOST_AN_HOUR: Final = 120
"""Alerts of one device passed on in an hour (reconstruction): more than a device here sends in a
day (each code once an hour), so that one whose network was away for a day loses nothing."""

NOT_IN_USE: Final = frozenset({"Pending", "Decommissioned", "Withdrawn"})
"""Inventory statuses of devices that are not, or no longer, part of a home (reconstruction)."""

_OURS: Final = "reconstruction: docs/sources.md#device-checks, #party-checks"


@dataclass(frozen=True, slots=True)
class DeviceAlertEvidence:
    """Everything the checks on a security alert may look at.

    Attributes:
        message: the alert, its frame read.
        alert: its payload; None if unreadable.
        fault: why not.
        device: record of the device it is from; None if there is none.
        last_counter: greatest counter of an alert of this code that was heard from the device.
        passed: how many alerts of the device were passed on since its hour began.
    """

    message: Message
    alert: AnyAlert | None
    fault: str | None
    device: DeviceRecord | None = None
    last_counter: int | None = None
    passed: int = 0


def is_device_alert(message: Message | None) -> bool:
    """Whether a message is judged here, by its message code alone."""
    return message is not None and message.message_code == MessageCode.GENERIC_CRITICAL_ALERT


def read_device_alert(message: Message) -> DeviceAlertEvidence:
    """The alert, read as far as it can be."""
    try:
        return DeviceAlertEvidence(message, decode_generic_alert(message.payload), None)
    except ParseError as error:
        return DeviceAlertEvidence(message, None, str(error))


def responsible(device: DeviceRecord) -> str | None:
    """Who is notified, by our record: its supplier; a hub's WAN provider (reconstruction)."""
    held = device.cells.get(WAN_PROVIDER_CELL if device.device_type == "CHF" else SUPPLIER_CELL)
    return None if held is None else held.subject_eui


@check("acb.device_alert.decode", source="docs/sources.md#message-layout, #message-categories")
def decoded(evidence: DeviceAlertEvidence) -> None:
    """It is an alert that can be read.

    It is an alert, with nothing beside its message code, and its payload can be read.
    """
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    header = evidence.message.header
    if header.cra is not Cra.ALERT:
        raise CheckFailed("not an alert", expected=Cra.ALERT.label, found=header.cra.label)
    plain = OtherInformation(int(MessageCode.GENERIC_CRITICAL_ALERT))
    if header.date_time is not None or header.other != plain:
        raise CheckFailed("an alert carries its message code and no date-time")
    alert = evidence.alert
    if isinstance(alert, GenericAlert) and alert.invoke_id != invoke_id_of(header.counter):
        raise CheckFailed(
            "its invoke-id is not of its counter",
            expected=f"{invoke_id_of(header.counter):06x}",
            found=f"{alert.invoke_id:06x}",
        )


@check("acb.device_alert.device", source=_OURS)
def device_known(evidence: DeviceAlertEvidence) -> None:
    """It is from a device in use."""
    device = evidence.device
    if device is None:
        raise CheckFailed("no such device", found=evidence.message.header.originator)
    if device.status in NOT_IN_USE:
        raise CheckFailed("the device is not in use", found=device.status)


@check("acb.device_alert.signature", source="docs/sources.md#signature, #message-categories")
def signature(evidence: DeviceAlertEvidence) -> None:
    """The device signed it."""
    device = need(evidence.device, "record of the device")
    certificate = device.certificates.get(SIGNING_KEY)
    if certificate is None:
        raise CheckFailed("the record holds no signing certificate of the device")
    if evidence.message.mac is not None:
        raise CheckFailed("a critical alert is signed and carries no MAC")
    try:
        verify_signature(evidence.message, certificate.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not the device's", expected=certificate.key_identifier.hex()
        ) from error


@check("acb.device_alert.code", source="docs/sources.md#device-checks")
def code(evidence: DeviceAlertEvidence) -> None:
    """It is a security alert."""
    alert = evidence.alert
    found = need(None if alert is None else alert.alert_code, "payload")
    if found not in CODES:
        raise CheckFailed(
            "not a security alert",
            expected=", ".join(f"0x{int(one):04X}" for one in sorted(CODES)),
            found=f"0x{found:04X}",
        )


@check("acb.device_alert.recipient", source=_OURS)
def recipient(evidence: DeviceAlertEvidence) -> None:
    """It is to the party responsible for the device."""
    wanted = responsible(need(evidence.device, "record of the device"))
    found = evidence.message.header.recipient
    if found != wanted:
        raise CheckFailed("it is to another party", expected=wanted, found=found)


@check("acb.device_alert.counter", source="docs/sources.md#outcomes")
def counter(evidence: DeviceAlertEvidence) -> None:
    """It was not heard before.

    Its counter is above those of earlier alerts of this code.
    Of this code, because alerts of one device may overtake each other on their way; those of one
    code are an hour apart.
    """
    found, last = evidence.message.header.counter, evidence.last_counter
    if last is not None and found <= last:
        raise CheckFailed(
            "the device's alert counter did not advance", expected=f"> {last}", found=str(found)
        )


@check("acb.device_alert.rate", source=_OURS)
def rate(evidence: DeviceAlertEvidence) -> None:
    """Its device has not said too much within the hour."""
    if evidence.passed >= MOST_AN_HOUR:
        raise CheckFailed(
            "the device has said more than is passed on in an hour",
            expected=f"at most {MOST_AN_HOUR} an hour",
            found=str(evidence.passed + 1),
        )


DEVICE_ALERT_CHECKS: Final[tuple[Check[DeviceAlertEvidence], ...]] = (
    decoded,
    device_known,
    signature,
    code,
    recipient,
    counter,
    rate,
)
"""The checks on a security alert, in order."""
