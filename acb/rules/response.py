"""The checks on what a device says: its response to a command, and its future-dated alert.

A device answers a change of supplier with a response to the CoS Party (the business originator),
signed by the device and carrying the command's counter. If the command is dated for the future
the response only accepts, and an alert with the outcome follows when it is executed; the alert
carries the device's own alert counter, the command's counter being inside the outcome.
The broker reads both because it keeps the record of what each device holds: a record that could
be changed by a forged response would send the next command to the wrong CoS Party.

Sources: RTDS vectors (layouts, docs/sources.md#outcomes), GBCS 0.8.1. That a broker makes these
checks is a reconstruction: docs/sources.md#party-checks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from acb.model import DeviceRecord, IssuedCommand, ResponseEvidence
from acb.rules import codes
from acb.rules.answer import signed_by
from acb.rules.executed import advanced
from acb.rules.expected import SUPPLIER_SIGNING, SUPPLIER_TOP_UP
from gbcs.codes import AlertCode, Cra, MessageCode, StatusCode
from gbcs.errors import ParseError
from gbcs.message import Message
from gbcs.message import decode as decode_message
from gbcs.payloads.credentials import (
    CellOutcome,
    CredentialsOutcome,
    SeqNumberChange,
    decode_alert,
    decode_response,
)
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed, check, need

MESSAGE_SECTION: Final = "message"
OCTETS: Final = "application/octet-stream"

_LAYOUT: Final = "RTDS vectors: docs/sources.md#outcomes, #message-layout"
_CODE: Final = codes.DEVICE_ANSWER_UNACCEPTABLE


def read_device_message(raw: bytes) -> ResponseEvidence:
    """What a device sent, read as far as it can be: a response, or the future-dated alert."""
    evidence = ResponseEvidence(raw)
    try:
        message = decode_message(raw)
        evidence = replace(evidence, message=message)
        if message.message_code == MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT:
            return replace(evidence, alert=decode_alert(message.payload))
        if message.message_code == MessageCode.SUPPLIER_BY_TRANS_COS:
            return replace(evidence, response=decode_response(message.payload))
        return replace(
            evidence, fault=f"message code 0x{message.message_code:04X} is of another use case"
        )
    except ParseError as error:
        return replace(evidence, fault=str(error))


@check(
    "acb.message.content_type",
    source="house rule: the WAN carries GBCS octets and nothing else",
    status=415,
)
def content_type(found: str | None) -> None:
    """A device message is sent as octets."""
    named = (found or "").partition(";")[0].strip().lower()
    if named != OCTETS:
        raise CheckFailed("a device message is octets", expected=OCTETS, found=named or "none")


@check(
    "acb.response.received",
    source="silence on failed authentication, a reconstruction: docs/sources.md#device-checks",
    code=codes.NO_ANSWER_FROM_DEVICE,
)
def received(evidence: ResponseEvidence) -> None:
    """The device said something.

    One that is not satisfied with a command stays silent.
    """
    if not evidence.raw:
        raise CheckFailed("the device said nothing")


@check("acb.response.decode", source=_LAYOUT, code=_CODE)
def decode(evidence: ResponseEvidence) -> None:
    """It can be read.

    A GBCS response or alert with the payload of this use case.
    """
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    need(evidence.message, "message")
    if (evidence.response is None) == (evidence.alert is None):
        raise CheckFailed("it is neither a response nor an alert")


@check("acb.response.command", source=_LAYOUT, code=_CODE)
def command_sent(evidence: ResponseEvidence) -> None:
    """About a command this broker sent."""
    _command(evidence)


@check("acb.response.originator", source=_LAYOUT, code=_CODE)
def originator(evidence: ResponseEvidence) -> None:
    """From the device commanded."""
    device = _device(evidence)
    found = _message(evidence).header.originator
    if found != device.eui:
        raise CheckFailed("it is from another device", expected=device.eui, found=found)


@check("acb.response.recipient", source=_LAYOUT, code=_CODE)
def recipient(evidence: ResponseEvidence) -> None:
    """To the CoS Party that commanded.

    It is the business originator of the command.
    """
    wanted = _command(evidence).cos_party.eui
    found = _message(evidence).header.recipient
    if found != wanted:
        raise CheckFailed("it is to another party", expected=wanted, found=found)


@check("acb.response.counter", source=_LAYOUT, code=_CODE)
def counter(evidence: ResponseEvidence) -> None:
    """The command's counter, or an advancing alert counter."""
    found = _message(evidence).header.counter
    if evidence.alert is None:
        wanted = _command(evidence).counter
        if found != wanted:
            raise CheckFailed("it answers another command", expected=str(wanted), found=str(found))
        return
    advanced(found, evidence.last_alert_counter)


@check("acb.response.message_code", source=_LAYOUT, code=_CODE)
def message_code(evidence: ResponseEvidence) -> None:
    """Of this use case.

    Flag and message code are looked at.
    """
    message = _message(evidence)
    if evidence.alert is None:
        flag, code = Cra.RESPONSE, int(MessageCode.SUPPLIER_BY_TRANS_COS)
    else:
        flag, code = Cra.ALERT, int(MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT)
    if (message.header.cra, message.message_code) != (flag, code):
        raise CheckFailed(
            "it belongs to another use case",
            expected=f"{flag.label} 0x{code:04X}",
            found=f"{message.header.cra.label} 0x{message.message_code:04X}",
        )


@check(
    "acb.response.signature", source="docs/sources.md#signature, #message-categories", code=_CODE
)
def signature(evidence: ResponseEvidence) -> None:
    """Signed by the device."""
    device, message = _device(evidence), _message(evidence)
    if message.mac is not None:
        raise CheckFailed("a response to a critical command is signed and carries no MAC")
    signed_by(device, message)


@check("acb.response.outcome", source="docs/sources.md#outcomes, #future-dating", code=_CODE)
def outcome(evidence: ResponseEvidence) -> None:
    """An outcome this command can have.

    What the device says it did is what this command could have done.
    """
    command = _command(evidence)
    update = command.update
    dated = update.execution_date_time is not None
    if evidence.alert is not None:
        if not dated:
            raise CheckFailed("an alert about a command that was not dated for the future")
        told = evidence.alert.outcome
        _alert_code(evidence.alert.alert_code, told)
        if evidence.alert.execution_date_time != update.execution_date_time:
            raise CheckFailed(
                "the alert is about another date",
                expected=update.execution_date_time,
                found=evidence.alert.execution_date_time,
            )
    else:
        response = need(evidence.response, "response")
        if dated != (response.outcome is None):
            raise CheckFailed(
                "a dated command is accepted without an outcome, any other with one",
                expected="accepted only" if dated else "an outcome",
            )
        if response.outcome is None:
            return
        told = response.outcome
    _outcome(command, told)


def _outcome(command: IssuedCommand, told: CredentialsOutcome) -> None:
    update = command.update
    if (told.mode, told.authorising_counter) != (update.mode, update.authorising_counter):
        raise CheckFailed(
            "the outcome is of another command",
            expected=f"mode {int(update.mode)}, counter {update.authorising_counter}",
            found=f"mode {int(told.mode)}, counter {told.authorising_counter}",
        )
    asked = [item.cell.name for item in update.replacements]
    answered = [item.cell.name for item in told.outcomes]
    if asked != answered:
        raise CheckFailed(
            "the outcome is about other cells",
            expected=", ".join(asked),
            found=", ".join(answered) or "none",
        )
    for asked_for, became in zip(update.replacements, told.outcomes, strict=True):
        _cell(Certificate.from_der(asked_for.certificate), became)
    _floors(command, told)


def _cell(asked: Certificate, became: CellOutcome) -> None:
    """A success holds what was sent; a failure still holds what it held (RTDS error vectors)."""
    now_holds = (became.replacing_subject, became.replacing_key_id)
    if became.status == StatusCode.SUCCESS:
        wanted = (asked.subject_unique_id, asked.key_identifier)
    else:
        wanted = (became.existing_subject, became.existing_key_id)
    if now_holds != wanted:
        raise CheckFailed(
            f"{became.cell.name}: status {int(became.status)} does not go with what it now holds",
            expected=f"{wanted[0].hex()} {wanted[1].hex()}",
            found=f"{now_holds[0].hex()} {now_holds[1].hex()}",
        )


def _floors(command: IssuedCommand, told: CredentialsOutcome) -> None:
    """Floors reported are those commanded, and none is missing whose cell was replaced.

    A device may report more than was commanded only where the new certificate holds the old key:
    it then keeps a counter that is already higher (reconstruction). Where a cell was not replaced
    its floor may be reported or left out: published vectors do not show that case.
    """
    wanted = command.update.other_changes or ()
    became = {item.cell: item for item in told.outcomes}
    signing, top_up = became.get(SUPPLIER_SIGNING), became.get(SUPPLIER_TOP_UP)
    if not told.changes and not _replaced(signing):
        return
    same_roles = [item.role for item in told.changes] == [item.role for item in wanted]
    fits = same_roles and all(
        _fits(asked.floor, found.floor, signing) and _specialists_fit(asked, found, top_up)
        for asked, found in zip(wanted, told.changes, strict=True)
    )
    if not fits:
        raise CheckFailed(
            "the floors reported are not those commanded",
            expected=_floor_text(wanted),
            found=_floor_text(told.changes),
        )


def _specialists_fit(
    asked: SeqNumberChange, found: SeqNumberChange, top_up: CellOutcome | None
) -> bool:
    wanted, told = asked.specialist or (), found.specialist or ()
    if not told and not _replaced(top_up):
        return True
    return len(wanted) == len(told) and all(
        _fits(one.number, other.number, top_up) for one, other in zip(wanted, told, strict=True)
    )


def _fits(asked: int, told: int, became: CellOutcome | None) -> bool:
    same_key = became is not None and became.existing_key_id == became.replacing_key_id
    return told == asked or (same_key and told > asked)


def _replaced(became: CellOutcome | None) -> bool:
    return became is not None and became.status == StatusCode.SUCCESS


def _floor_text(changes: tuple[SeqNumberChange, ...]) -> str:
    return (
        "; ".join(
            " ".join(
                [change.role.label, str(change.floor)]
                + [f"({item.usage.label} {item.number})" for item in change.specialist or ()]
            )
            for change in changes
        )
        or "none"
    )


def _alert_code(found: int, told: CredentialsOutcome) -> None:
    """8F66 if every cell succeeded, 8F67 if any did not (docs/sources.md#outcomes)."""
    every = all(item.status == StatusCode.SUCCESS for item in told.outcomes)
    wanted = AlertCode.FUTURE_DATED_SUCCESS if every else AlertCode.FUTURE_DATED_FAILURE
    if found != wanted:
        raise CheckFailed(
            "the alert code does not go with the outcome",
            expected=f"0x{int(wanted):04X}",
            found=f"0x{found:04X}",
        )


def _message(evidence: ResponseEvidence) -> Message:
    return need(evidence.message, "message")


def _device(evidence: ResponseEvidence) -> DeviceRecord:
    return need(evidence.device, "record of the device")


def _command(evidence: ResponseEvidence) -> IssuedCommand:
    return need(evidence.command, "command that this could be the answer to")


RESPONSE_CHECKS: Final[tuple[Check[ResponseEvidence], ...]] = (
    received,
    decode,
    command_sent,
    originator,
    recipient,
    counter,
    message_code,
    signature,
    outcome,
)
"""What a device says of a change of supplier, and whatever belongs to no command sent from here."""

MESSAGE_CHECKS: Final[tuple[Check[str | None], ...]] = (content_type,)
"""The check on what carries a device's unasked message."""
