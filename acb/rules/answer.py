"""What a device says to a signed command of 6.15.1 or 6.21 (CS02b, modes 2 and 3).

As `acb.rules.response` for a change of supplier: a response to the originator of the command,
with its counter, signed by the device, and an outcome the command could have had. To a dated
command there is none yet: the device only accepts it (`acb.rules.executed` has what follows).
Sources: RTDS vectors (docs/sources.md#outcomes, #message-categories), `gbcs.answer_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acb.model import DeviceRecord
from acb.rules import codes
from acb.rules.need import need
from gbcs.answer_rules import expected_changes, response_findings
from gbcs.codes import Cra, StatusCode
from gbcs.errors import GbcsError
from gbcs.message import Message, decode
from gbcs.payloads.credentials import (
    CredentialsOutcome,
    CredentialsResponse,
    UpdateCredentials,
    decode_response,
    decode_update,
)
from gbcs.protect import verify_signature
from gbcs.rules import Rule
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "answer"


@dataclass(frozen=True, slots=True)
class AnswerEvidence:
    """Everything the checks on a device's answer may look at.

    Attributes:
        raw: the octets; empty if the device was silent.
        command: what was sent.
        update: its payload.
        device: record of the device.
        message: the answer, read; None if unreadable.
        response: its payload, read; None if unreadable.
        fault: why not.
    """

    raw: bytes
    command: Message
    update: UpdateCredentials
    device: DeviceRecord
    message: Message | None = None
    response: CredentialsResponse | None = None
    fault: str | None = None


def read_answer(raw: bytes, command: Message, device: DeviceRecord) -> AnswerEvidence:
    """The answer, read as far as it can be."""
    update = decode_update(command.payload)
    message: Message | None = None
    try:
        message = decode(raw)
        response = decode_response(message.payload)
    except GbcsError as error:
        return AnswerEvidence(raw, command, update, device, message, fault=str(error))
    return AnswerEvidence(raw, command, update, device, message, response)


def received(evidence: AnswerEvidence) -> None:
    """The device answered."""
    if not evidence.raw:
        raise CheckFailed("the device said nothing")


def readable(evidence: AnswerEvidence) -> None:
    """The answer can be read."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    need(evidence.response, "payload")


def header(evidence: AnswerEvidence) -> None:
    """It is the response to this command: from the device, to the originator, same counter."""
    asked, found = evidence.command.header, _message(evidence).header
    wanted = (Cra.RESPONSE, asked.recipient, asked.originator, asked.counter, asked.other)
    if (found.cra, found.originator, found.recipient, found.counter, found.other) != wanted:
        raise CheckFailed(
            "it answers another command",
            expected=f"{asked.recipient}:{asked.originator}:{asked.counter}",
            found=_message(evidence).reference,
        )


def signature(evidence: AnswerEvidence) -> None:
    """It is signed by the device."""
    certificate = need(
        evidence.device.certificates.get("digital-signing"), "signing certificate of the device"
    )
    try:
        verify_signature(_message(evidence), certificate.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not the device's", expected=certificate.key_identifier.hex()
        ) from error


def outcome(evidence: AnswerEvidence) -> None:
    """What the device says it did is what this command could have done.

    A floor may be reported higher than commanded: where the key stays the same, so does a counter
    that is already higher (reconstruction).
    """
    response = need(evidence.response, "payload")
    for finding in response_findings(
        evidence.command.header, evidence.update, _message(evidence), response
    ):
        if finding.rule is not Rule.OUTCOME_FLOORS:
            raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)
    if evidence.update.execution_date_time is None:
        possible(evidence.update, need(response.outcome, "outcome"))


def possible(update: UpdateCredentials, told: CredentialsOutcome) -> None:
    """Be satisfied that a command could have done this: its floors at least, its certificates.

    Raises:
        CheckFailed: naming what it could not have done.
    """
    asked = {change.role: change.floor for change in expected_changes(update)}
    for change in told.changes:
        if change.floor < asked.get(change.role, change.floor + 1):
            raise CheckFailed("a floor nobody commanded", found=change.role.label)
    for sent, became in zip(update.replacements, told.outcomes, strict=True):
        certificate = Certificate.from_der(sent.certificate)
        wanted = (certificate.subject_unique_id, certificate.key_identifier)
        holds = (became.replacing_subject, became.replacing_key_id)
        if became.status == StatusCode.SUCCESS and holds != wanted:
            raise CheckFailed(f"{became.cell.name}: success, but it holds another certificate")


def _message(evidence: AnswerEvidence) -> Message:
    return need(evidence.message, "message")


ANSWER_CHECKS: Final[tuple[Check[AnswerEvidence], ...]] = tuple(
    Check(f"acb.{SECTION}.{name}", title, source, run, code=code, section=SECTION)
    for name, title, run, source, code in (
        (
            "received",
            "The device answered",
            received,
            "silence on failed authentication, a reconstruction: docs/sources.md#device-checks",
            codes.NO_ANSWER_FROM_DEVICE,
        ),
        (
            "decode",
            "The answer can be read",
            readable,
            "docs/sources.md#outcomes, #message-layout",
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
        (
            "header",
            "It is the response to this command",
            header,
            "docs/sources.md#outcomes",
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
        (
            "signature",
            "Signed by the device",
            signature,
            "docs/sources.md#signature, #message-categories",
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
        (
            "outcome",
            "An outcome this command can have",
            outcome,
            "docs/sources.md#outcomes",
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
    )
)
