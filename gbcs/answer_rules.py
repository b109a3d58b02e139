"""Whether an answer belongs to a command: named findings, as in gbcs.rules.

Sources: docs/sources.md#outcomes, #message-categories, confirmed by pairs of RTDS vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gbcs.codes import AlertCode, Cra, MessageCode, StatusCode
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, Message
from gbcs.mode_facts import MODE_FACTS
from gbcs.payloads.credentials import (
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    SeqNumberChange,
    UpdateCredentials,
)
from gbcs.rules import Finding, Rule, code, names, presence, protection, same


def response_findings(
    command: GroupingHeader,
    update: UpdateCredentials,
    message: Message,
    response: CredentialsResponse,
) -> tuple[Finding, ...]:
    """What does not fit between a command and the response to it."""
    header = message.header
    return tuple(
        _flat(
            same(Rule.ANSWER_FLAG, Cra.RESPONSE.label, header.cra.label),
            same(Rule.ANSWER_COUNTER, command.counter, header.counter),
            same(
                Rule.ANSWER_MESSAGE_CODE,
                code(command.other.message_code),
                code(message.message_code),
            ),
            same(Rule.ANSWER_DATE_TIME, "present", presence(header.date_time)),
            _answer_findings(command, message),
            same(
                Rule.OUTCOME_PRESENCE,
                presence(None if update.execution_date_time else True),
                presence(response.outcome),
            ),
            () if response.outcome is None else outcome_findings(update, response.outcome),
        )
    )


def alert_findings(
    command: GroupingHeader,
    update: UpdateCredentials,
    message: Message,
    alert: CredentialsAlert,
) -> tuple[Finding, ...]:
    """What does not fit between a future-dated command and the alert of its execution.

    The alert's own counter is the device's, so it is not compared.
    """
    header = message.header
    load_controller = update.mode >= Mode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER
    expected_code = (
        MessageCode.UPDATE_LOAD_CONTROLLER_CREDENTIALS_ALERT
        if load_controller
        else MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT
    )
    success = all(o.status is StatusCode.SUCCESS for o in alert.outcome.outcomes)
    event = AlertCode.FUTURE_DATED_SUCCESS if success else AlertCode.FUTURE_DATED_FAILURE
    return tuple(
        _flat(
            same(Rule.ANSWER_FLAG, Cra.ALERT.label, header.cra.label),
            same(Rule.ANSWER_MESSAGE_CODE, code(expected_code), code(message.message_code)),
            same(Rule.ANSWER_DATE_TIME, "absent", presence(header.date_time)),
            _answer_findings(command, message),
            same(Rule.ALERT_CODE, code(event), code(alert.alert_code)),
            same(Rule.ALERT_EXECUTION_TIME, update.execution_date_time, alert.execution_date_time),
            outcome_findings(update, alert.outcome),
        )
    )


def outcome_findings(update: UpdateCredentials, outcome: CredentialsOutcome) -> tuple[Finding, ...]:
    """What does not fit between what was asked and what is said to have become of it."""
    asked = tuple(r.cell for r in update.replacements)
    told = tuple(o.cell for o in outcome.outcomes)
    return tuple(
        _flat(
            same(Rule.OUTCOME_COUNTER, update.authorising_counter, outcome.authorising_counter),
            same(Rule.OUTCOME_MODE, update.mode.label, outcome.mode.label),
            same(Rule.OUTCOME_CELLS, names(asked), names(told)),
            _outcome_floors(update, outcome),
            (
                Finding(Rule.FAILED_CELL_UNCHANGED, "what the cell still holds", o.cell.name)
                for o in outcome.outcomes
                if o.status is not StatusCode.SUCCESS
                and (o.existing_subject, o.existing_key_id)
                != (o.replacing_subject, o.replacing_key_id)
            ),
        )
    )


def expected_changes(update: UpdateCredentials) -> tuple[SeqNumberChange, ...]:
    """The floors a device reports having set: [4] and [5] under the authorising role, then [6].

    docs/sources.md#outcomes. For accessControlBrokerByACB without an authorising cell the role is
    the Access Control Broker's.
    """
    own: tuple[SeqNumberChange, ...] = ()
    if update.new_floor is not None:
        cell = update.authorising_cell
        role = next(iter(MODE_FACTS[update.mode].targets)).role if cell is None else cell.role
        own = (SeqNumberChange(role, update.new_floor, update.new_specialist_floors),)
    return own + (update.other_changes or ())


def _answer_findings(command: GroupingHeader, message: Message) -> Iterator[Finding]:
    header = message.header
    yield from same(
        Rule.ANSWER_PARTIES,
        f"{command.recipient} to {command.originator}",
        f"{header.originator} to {header.recipient}",
    )
    found = protection(bool(message.signature), message.mac is not None)
    yield from same(Rule.ANSWER_PROTECTION, protection(True, False), found)


def _outcome_floors(update: UpdateCredentials, outcome: CredentialsOutcome) -> Iterator[Finding]:
    asked = expected_changes(update)
    for change in outcome.changes:
        if change not in asked:
            expected = ", ".join(f"{c.role.label} {c.floor}" for c in asked) or "none"
            yield Finding(Rule.OUTCOME_FLOORS, expected, f"{change.role.label} {change.floor}")


def _flat(*groups: Iterable[Finding]) -> Iterator[Finding]:
    for group in groups:
        yield from group
