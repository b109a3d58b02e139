"""What a device answers to a command: what it is held against, and what the record learns from it.

The rules here are those of section "answer" (6.15.1 and 6.21: CS02b, modes 2 and 3): a response to
the originator of the command, with its counter, signed by the device, and an outcome the command
could have had. To a dated command there is none yet: the device only accepts it
(`acb.rules.executed` has what follows). Other services hold their answers to the same rules, under
names of their own (`acb.services`).
Sources: RTDS vectors (docs/sources.md#outcomes, #message-categories), `gbcs.answer_rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from acb.model import CosParty, DeviceRecord
from acb.rules import codes
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
from gbcs.payloads.details import CredentialDetails
from gbcs.protect import verify_signature
from gbcs.rules import Rule
from keys.certificate import Certificate
from services.chassis.checks import Approved, Check, CheckFailed, check, need

P = TypeVar("P")

_SIGNED: Final = "docs/sources.md#signature, #message-categories"


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that was sent: what a device's words about it are held against.

    Attributes:
        command: the command.
        device: record of the device.
        secret: what broker and device share, for MACs. Never shown.
        request_id: the request it was sent for.
        cos_party: the CoS Party that signed it; None if none did, or none connected here.
        last_alert_counter: greatest alert counter seen from the device.
    """

    command: Message
    device: DeviceRecord | None = None
    secret: bytes = field(default=b"", repr=False)
    request_id: str = ""
    cos_party: CosParty | None = None
    last_alert_counter: int | None = None


@dataclass(frozen=True, slots=True)
class AnswerEvidence(Generic[P]):
    """Everything the checks on a device's answer may look at.

    Attributes:
        raw: the octets; empty if the device was silent.
        sent: what was sent to it.
        message: the answer, read; None if unreadable.
        payload: its payload, read; None if unreadable.
        fault: why not.
    """

    raw: bytes
    sent: Sent
    message: Message | None = None
    payload: P | None = None
    fault: str | None = None

    @property
    def update(self) -> UpdateCredentials:
        """What was commanded, if it was to update credentials."""
        return decode_update(self.sent.command.payload)


@dataclass(frozen=True, slots=True)
class Learned:
    """What the broker learns from a device's accepted word, for its record and for the request.

    Attributes:
        update: what was commanded, if it was to update cells.
        outcome: what became of the cells; None if nothing yet, or nothing was to.
        alert: code and counter of the alert that says so; None for a response.
        installed: a certificate of its own that the device uses from now on.
        details: what it says its cells hold.
    """

    update: UpdateCredentials | None = None
    outcome: CredentialsOutcome | None = None
    alert: tuple[int, int] | None = None
    installed: Certificate | None = None
    details: CredentialDetails | None = None


def read_answer(raw: bytes, sent: Sent, payload: Callable[[bytes], P]) -> AnswerEvidence[P]:
    """The answer, read as far as it can be; `payload` reads what is in it."""
    message: Message | None = None
    try:
        message = decode(raw)
        return AnswerEvidence(raw, sent, message, payload(message.payload))
    except GbcsError as error:
        return AnswerEvidence(raw, sent, message, fault=str(error))


def read_update_answer(raw: bytes, sent: Sent) -> AnswerEvidence[CredentialsResponse]:
    """The answer to a command that updates credentials."""
    return read_answer(raw, sent, decode_response)


def learn_update(approved: Approved[AnswerEvidence[CredentialsResponse]]) -> Learned:
    """What became of the cells, by an approved answer."""
    evidence = approved.evidence
    return Learned(evidence.update, None if evidence.payload is None else evidence.payload.outcome)


@check(
    "acb.answer.received",
    source="silence on failed authentication, a reconstruction: docs/sources.md#device-checks",
    code=codes.NO_ANSWER_FROM_DEVICE,
)
def received(evidence: AnswerEvidence[Any]) -> None:
    """The device answered."""
    if not evidence.raw:
        raise CheckFailed("the device said nothing")


@check(
    "acb.answer.decode",
    source="docs/sources.md#outcomes, #message-layout",
    code=codes.DEVICE_ANSWER_UNACCEPTABLE,
)
def readable(evidence: AnswerEvidence[Any]) -> None:
    """The answer can be read."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    need(evidence.payload, "payload")


@check(
    "acb.answer.header",
    source="docs/sources.md#outcomes",
    code=codes.DEVICE_ANSWER_UNACCEPTABLE,
)
def header(evidence: AnswerEvidence[Any]) -> None:
    """It is the response to this command.

    From the device, to the originator, with the same counter and message code.
    """
    asked, message = evidence.sent.command.header, need(evidence.message, "message")
    found = message.header
    wanted = (Cra.RESPONSE, asked.recipient, asked.originator, asked.counter, asked.other)
    if (found.cra, found.originator, found.recipient, found.counter, found.other) != wanted:
        raise CheckFailed(
            "it answers another command",
            expected=f"{asked.recipient}:{asked.originator}:{asked.counter}",
            found=message.reference,
        )


@check("acb.answer.signature", source=_SIGNED, code=codes.DEVICE_ANSWER_UNACCEPTABLE)
def signature(evidence: AnswerEvidence[Any]) -> None:
    """Signed by the device."""
    device = need(evidence.sent.device, "record of the device")
    signed_by(device, need(evidence.message, "message"))


@check(
    "acb.answer.outcome",
    source="docs/sources.md#outcomes",
    code=codes.DEVICE_ANSWER_UNACCEPTABLE,
)
def outcome(evidence: AnswerEvidence[CredentialsResponse]) -> None:
    """An outcome this command can have.

    A floor may be reported higher than commanded: where the key stays the same, so does a counter
    that is already higher (reconstruction).
    """
    response, update = need(evidence.payload, "payload"), evidence.update
    for finding in response_findings(
        evidence.sent.command.header, update, need(evidence.message, "message"), response
    ):
        if finding.rule is not Rule.OUTCOME_FLOORS:
            raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)
    if update.execution_date_time is None:
        possible(update, need(response.outcome, "outcome"))


def signed_by(device: DeviceRecord, message: Message) -> None:
    """Be satisfied that a device signed a message, by the record of its certificate.

    Raises:
        CheckFailed: it did not, or there is no certificate.
    """
    held = need(device.certificates.get("digital-signing"), "signing certificate of the device")
    try:
        verify_signature(message, held.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not the device's", expected=held.key_identifier.hex()
        ) from error


def possible(update: UpdateCredentials, reported: CredentialsOutcome) -> None:
    """Be satisfied that a command could have done this: its floors at least, its certificates.

    Raises:
        CheckFailed: naming what it could not have done.
    """
    asked = {change.role: change.floor for change in expected_changes(update)}
    for change in reported.changes:
        if change.floor < asked.get(change.role, change.floor + 1):
            raise CheckFailed("a floor nobody commanded", found=change.role.label)
    for sent, became in zip(update.replacements, reported.outcomes, strict=True):
        certificate = Certificate.from_der(sent.certificate)
        wanted = (certificate.subject_unique_id, certificate.key_identifier)
        holds = (became.replacing_subject, became.replacing_key_id)
        if became.status == StatusCode.SUCCESS and holds != wanted:
            raise CheckFailed(f"{became.cell.name}: success, but it holds another certificate")


ANSWER_CHECKS: Final[tuple[Check[AnswerEvidence[CredentialsResponse]], ...]] = (
    received,
    readable,
    header,
    signature,
    outcome,
)
