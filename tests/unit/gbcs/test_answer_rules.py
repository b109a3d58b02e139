"""Whether an answer belongs to a command: each rule breaks under its own name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.answer_rules import (
    alert_findings,
    expected_changes,
    outcome_findings,
    response_findings,
)
from gbcs.codes import Cra, RemotePartyRole, StatusCode
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, Message, OtherInformation
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    CellId,
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
)
from gbcs.rules import Rule

OLD, NEW = bytes(8), bytes(7) + b"\x01"
WHEN = "20300102000000Z"


@pytest.fixture
def outcome(update: UpdateCredentials) -> CredentialsOutcome:
    cells = tuple(
        CellOutcome(r.cell, StatusCode.SUCCESS, OLD, OLD, NEW, NEW) for r in update.replacements
    )
    return CredentialsOutcome(6001, update.mode, update.other_changes, cells)


@pytest.fixture
def answer(header: GroupingHeader) -> Message:
    back = replace(
        header,
        cra=Cra.RESPONSE,
        originator=header.recipient,
        recipient=header.originator,
        date_time=bytes.fromhex("07df0101ff000000008000ff"),
    )
    return Message(back, b"", bytes(64))


@pytest.fixture
def future(update: UpdateCredentials):
    return replace(update, execution_date_time=WHEN)


@pytest.fixture
def alert_message(answer: Any) -> Message:
    header = replace(
        answer.header, cra=Cra.ALERT, counter=2000, other=OtherInformation(0x00CB), date_time=None
    )
    return replace(answer, header=header)


def rules_of(findings: Any) -> list[Rule]:
    return [finding.rule for finding in findings]


def test_a_good_response_breaks_none(
    header: GroupingHeader, update: UpdateCredentials, answer: Any, outcome: Any
):
    assert response_findings(header, update, answer, CredentialsResponse(outcome)) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        ({"cra": Cra.ALERT}, Rule.ANSWER_FLAG),
        ({"counter": 6002}, Rule.ANSWER_COUNTER),
        ({"other": OtherInformation(0x0106)}, Rule.ANSWER_MESSAGE_CODE),
        ({"date_time": None}, Rule.ANSWER_DATE_TIME),
        ({"originator": "0253494dd0000002"}, Rule.ANSWER_PARTIES),
        ({"recipient": "0253494d00000004"}, Rule.ANSWER_PARTIES),
    ],
)
def test_rules_of_the_responses_header(
    header: GroupingHeader, update: UpdateCredentials, answer: Any, outcome: Any, wrong: Any
):
    changes, rule = wrong
    message = replace(answer, header=replace(answer.header, **changes))
    findings = response_findings(header, update, message, CredentialsResponse(outcome))
    assert rules_of(findings) == [rule]


@pytest.mark.parametrize("changes", [{"signature": b""}, {"signature": None}, {"mac": bytes(12)}])
def test_an_answer_is_signed_and_has_no_mac(
    header: GroupingHeader, update: UpdateCredentials, answer: Any, outcome: Any, changes: Any
):
    message = replace(answer, **changes)
    findings = response_findings(header, update, message, CredentialsResponse(outcome))
    assert rules_of(findings) == [Rule.ANSWER_PROTECTION]


@pytest.mark.parametrize("when", [WHEN, CANCEL_EXECUTION])
def test_an_outcome_comes_at_once_or_not_at_all(
    header: GroupingHeader, update: UpdateCredentials, answer: Any, outcome: Any, when: Any
):
    later = replace(update, execution_date_time=when)
    assert response_findings(header, later, answer, CredentialsResponse(None)) == ()
    early = response_findings(header, later, answer, CredentialsResponse(outcome))
    assert rules_of(early) == [Rule.OUTCOME_PRESENCE]
    missing = response_findings(header, update, answer, CredentialsResponse(None))
    assert rules_of(missing) == [Rule.OUTCOME_PRESENCE]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"authorising_counter": 6002}, Rule.OUTCOME_COUNTER),
        ({"mode": Mode.TRANS_COS_BY_TRANS_COS}, Rule.OUTCOME_MODE),
        ({"outcomes": ()}, Rule.OUTCOME_CELLS),
        ({"changes": (SeqNumberChange(RemotePartyRole.SUPPLIER, 9),)}, Rule.OUTCOME_FLOORS),
        ({"changes": (SeqNumberChange(RemotePartyRole.RECOVERY, 0),)}, Rule.OUTCOME_FLOORS),
    ],
)
def test_rules_of_the_outcome(update: UpdateCredentials, outcome: Any, changes: Any, rule: str):
    assert rules_of(outcome_findings(update, replace(outcome, **changes))) == [rule]


def test_fewer_floors_than_asked_may_be_reported(update: UpdateCredentials, outcome: Any):
    assert outcome_findings(update, replace(outcome, changes=())) == ()


def test_a_failed_cell_still_holds_what_it_held(update: UpdateCredentials, outcome: Any):
    failed = replace(outcome.outcomes[1], status=StatusCode.NO_TRUST_ANCHOR)
    wrong = replace(outcome, outcomes=(outcome.outcomes[0], failed, outcome.outcomes[2]))
    assert rules_of(outcome_findings(update, wrong)) == [Rule.FAILED_CELL_UNCHANGED]
    kept = replace(failed, replacing_subject=OLD, replacing_key_id=OLD)
    right = replace(outcome, outcomes=(outcome.outcomes[0], kept, outcome.outcomes[2]))
    assert outcome_findings(update, right) == ()


def test_cells_are_compared_in_order(update: UpdateCredentials, outcome: Any):
    turned = replace(outcome, outcomes=outcome.outcomes[::-1])
    assert rules_of(outcome_findings(update, turned)) == [Rule.OUTCOME_CELLS]


def test_a_good_alert_breaks_none(
    header: GroupingHeader, future: Any, alert_message: Any, outcome: Any
):
    assert (
        alert_findings(header, future, alert_message, CredentialsAlert(0x8F66, WHEN, outcome)) == ()
    )


def test_rules_of_the_alert(header: GroupingHeader, future: Any, alert_message: Any, outcome: Any):
    def check(alert: CredentialsAlert) -> list[Rule]:
        return rules_of(alert_findings(header, future, alert_message, alert))

    assert check(CredentialsAlert(0x8F67, WHEN, outcome)) == [Rule.ALERT_CODE]
    assert check(CredentialsAlert(0x8F66, CANCEL_EXECUTION, outcome)) == [Rule.ALERT_EXECUTION_TIME]
    failed = replace(
        outcome.outcomes[0],
        status=StatusCode.NO_TRUST_ANCHOR,
        replacing_subject=OLD,
        replacing_key_id=OLD,
    )
    partly = replace(outcome, outcomes=(failed, *outcome.outcomes[1:]))
    assert check(CredentialsAlert(0x8F66, WHEN, partly)) == [Rule.ALERT_CODE]
    assert check(CredentialsAlert(0x8F67, WHEN, partly)) == []


@pytest.mark.parametrize(
    "mode", [Mode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER, Mode.LOAD_CONTROLLER_BY_SUPPLIER]
)
def test_the_load_controllers_alert_has_a_code_of_its_own(
    header: GroupingHeader, future: Any, alert_message: Any, outcome: Any, mode: Mode
):
    update = replace(future, mode=mode)
    alert = CredentialsAlert(0x8F66, WHEN, replace(outcome, mode=update.mode))
    assert rules_of(alert_findings(header, update, alert_message, alert)) == [
        Rule.ANSWER_MESSAGE_CODE
    ]
    at = replace(alert_message.header, other=OtherInformation(0x0124))
    assert alert_findings(header, update, replace(alert_message, header=at), alert) == ()


def test_an_alert_with_a_date_time_or_of_a_response_is_refused(
    header: GroupingHeader, future: Any, alert_message: Any, outcome: Any
):
    alert = CredentialsAlert(0x8F66, WHEN, outcome)
    at = replace(alert_message.header, date_time=bytes(12), cra=Cra.RESPONSE)
    findings = alert_findings(header, future, replace(alert_message, header=at), alert)
    assert rules_of(findings) == [Rule.ANSWER_FLAG, Rule.ANSWER_DATE_TIME]


def test_own_floors_are_reported_under_the_authorising_role(update: UpdateCredentials):
    special = (SpecialistSeqNumber(2),)
    own = replace(
        update,
        mode=Mode.SUPPLIER_BY_SUPPLIER,
        authorising_cell=CellId.from_name("supplier/digitalSignature/management"),
        new_floor=1,
        new_specialist_floors=special,
        other_changes=None,
    )
    assert expected_changes(own) == (SeqNumberChange(RemotePartyRole.SUPPLIER, 1, special),)
    broker = replace(
        own,
        mode=Mode.ACCESS_CONTROL_BROKER_BY_ACB,
        authorising_cell=None,
        new_specialist_floors=None,
    )
    assert expected_changes(broker) == (SeqNumberChange(RemotePartyRole.ACCESS_CONTROL_BROKER, 1),)
    assert expected_changes(replace(own, new_floor=None)) == ()
    assert expected_changes(update) == update.other_changes
