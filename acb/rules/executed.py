"""What a device says when a dated command of 6.15.1 has been executed: alert 8F66 or 8F67.

As in `acb.rules.response` for a change of supplier: an alert to the originator of the command,
with the device's own advancing alert counter, signed by the device, whose outcome is one that the
command could have had and whose code goes with that outcome.
Sources: RTDS vectors (docs/sources.md#outcomes, #future-dating), `gbcs.answer_rules`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from acb.rules import answer, codes
from acb.rules.answer import AnswerEvidence, Learned, Sent, possible, read_answer
from gbcs.answer_rules import alert_findings
from gbcs.payloads.credentials import CredentialsAlert, decode_alert
from gbcs.rules import Finding, Rule
from services.chassis.checks import Approved, Check, CheckFailed, check, need

AlertEvidence: TypeAlias = AnswerEvidence[CredentialsAlert]

_HEADER: Final = frozenset(
    {
        Rule.ANSWER_FLAG,
        Rule.ANSWER_MESSAGE_CODE,
        Rule.ANSWER_DATE_TIME,
        Rule.ANSWER_PARTIES,
        Rule.ANSWER_PROTECTION,
    }
)
_CODE: Final = codes.DEVICE_ANSWER_UNACCEPTABLE


def read_alert(raw: bytes, sent: Sent) -> AlertEvidence:
    """The alert about the command that its outcome names."""
    return read_answer(raw, sent, decode_alert)


def learn_alert(approved: Approved[AlertEvidence]) -> Learned:
    """What became of the cells, by an approved alert."""
    told = approved.evidence
    alert, message = need(told.payload, "payload"), need(told.message, "message")
    return Learned(told.update, alert.outcome, (alert.alert_code, message.header.counter))


@check(
    "acb.credentials_alert.header",
    source="docs/sources.md#outcomes, #message-categories",
    code=_CODE,
)
def header(evidence: AlertEvidence) -> None:
    """An alert to who commanded.

    From the device commanded, signed and without a MAC.
    """
    for finding in _findings(evidence):
        if finding.rule in _HEADER:
            raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)


@check("acb.credentials_alert.counter", source="docs/sources.md#outcomes", code=_CODE)
def counter(evidence: AlertEvidence) -> None:
    """An advancing alert counter."""
    advanced(need(evidence.message, "message").header.counter, evidence.sent.last_alert_counter)


signature: Final = check(
    "acb.credentials_alert.signature",
    source="docs/sources.md#signature, #message-categories",
    code=_CODE,
)(answer.signature.run)


@check(
    "acb.credentials_alert.outcome",
    source="docs/sources.md#outcomes, #future-dating",
    code=_CODE,
)
def outcome(evidence: AlertEvidence) -> None:
    """An outcome this command can have.

    About the date commanded, and with the alert code that goes with it. A floor may be reported
    higher than commanded, as in a response (`acb.rules.answer`).
    """
    for finding in _findings(evidence):
        if finding.rule not in _HEADER and finding.rule is not Rule.OUTCOME_FLOORS:
            raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)
    possible(evidence.update, need(evidence.payload, "payload").outcome)


def advanced(found: int, last: int | None) -> None:
    """Be satisfied that a device's alert counter is above the last that was seen.

    Raises:
        CheckFailed: it is not.
    """
    if last is not None and found <= last:
        raise CheckFailed(
            "the device's alert counter did not advance", expected=f"> {last}", found=str(found)
        )


def _findings(evidence: AlertEvidence) -> tuple[Finding, ...]:
    alert, message = need(evidence.payload, "payload"), need(evidence.message, "message")
    return alert_findings(evidence.sent.command.header, evidence.update, message, alert)


ALERT_CHECKS: Final[tuple[Check[AlertEvidence], ...]] = (header, counter, signature, outcome)
