"""What a device says when a dated command of 6.15.1 has been executed: alert 8F66 or 8F67.

As in `acb.rules.response` for a change of supplier: an alert to the originator of the command,
with the device's own advancing alert counter, signed by the device, whose outcome is one that the
command could have had and whose code goes with that outcome.
Sources: RTDS vectors (docs/sources.md#outcomes, #future-dating), `gbcs.answer_rules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acb.model import DeviceRecord
from acb.rules import codes
from acb.rules.answer import possible
from acb.rules.need import need
from gbcs.answer_rules import alert_findings
from gbcs.errors import GbcsError
from gbcs.message import Message
from gbcs.payloads.credentials import CredentialsAlert, UpdateCredentials, decode_update
from gbcs.protect import verify_signature
from gbcs.rules import Finding, Rule
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "credentials_alert"

_HEADER: Final = frozenset(
    {
        Rule.ANSWER_FLAG,
        Rule.ANSWER_MESSAGE_CODE,
        Rule.ANSWER_DATE_TIME,
        Rule.ANSWER_PARTIES,
        Rule.ANSWER_PROTECTION,
    }
)


@dataclass(frozen=True, slots=True)
class AlertEvidence:
    """Everything the checks on such an alert may look at.

    Attributes:
        message: the alert, read.
        alert: its payload.
        command: the dated command that its outcome names.
        update: the payload of that.
        device: record of the device.
        last_counter: greatest alert counter seen from the device.
    """

    message: Message
    alert: CredentialsAlert
    command: Message
    update: UpdateCredentials
    device: DeviceRecord
    last_counter: int | None


def alert_evidence(
    message: Message,
    alert: CredentialsAlert,
    command: Message,
    device: DeviceRecord,
    last_counter: int | None,
) -> AlertEvidence:
    """What is known of an alert, and of the command that it is about."""
    update = decode_update(command.payload)
    return AlertEvidence(message, alert, command, update, device, last_counter)


def header(evidence: AlertEvidence) -> None:
    """It is an alert from the device commanded to who commanded, signed and without a MAC."""
    for finding in _findings(evidence):
        if finding.rule in _HEADER:
            raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)


def counter(evidence: AlertEvidence) -> None:
    """The device's alert counter advanced."""
    found, last = evidence.message.header.counter, evidence.last_counter
    if last is not None and found <= last:
        raise CheckFailed(
            "the device's alert counter did not advance", expected=f"> {last}", found=str(found)
        )


def signature(evidence: AlertEvidence) -> None:
    """It is signed by the device."""
    certificate = need(
        evidence.device.certificates.get("digital-signing"), "signing certificate of the device"
    )
    try:
        verify_signature(evidence.message, certificate.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not the device's", expected=certificate.key_identifier.hex()
        ) from error


def outcome(evidence: AlertEvidence) -> None:
    """It is about the date commanded, with an outcome the command can have and its alert code.

    A floor may be reported higher than commanded, as in a response (`acb.rules.answer`).
    """
    for finding in _findings(evidence):
        if finding.rule not in _HEADER and finding.rule is not Rule.OUTCOME_FLOORS:
            raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)
    possible(evidence.update, evidence.alert.outcome)


def _findings(evidence: AlertEvidence) -> tuple[Finding, ...]:
    return alert_findings(
        evidence.command.header, evidence.update, evidence.message, evidence.alert
    )


ALERT_CHECKS: Final[tuple[Check[AlertEvidence], ...]] = tuple(
    Check(
        f"acb.{SECTION}.{name}",
        title,
        source,
        run,
        code=codes.DEVICE_ANSWER_UNACCEPTABLE,
        status=403,
        section=SECTION,
    )
    for name, title, run, source in (
        (
            "header",
            "An alert to who commanded",
            header,
            "docs/sources.md#outcomes, #message-categories",
        ),
        ("counter", "An advancing alert counter", counter, "docs/sources.md#outcomes"),
        (
            "signature",
            "Signed by the device",
            signature,
            "docs/sources.md#signature, #message-categories",
        ),
        (
            "outcome",
            "An outcome this command can have",
            outcome,
            "docs/sources.md#outcomes, #future-dating",
        ),
    )
)
