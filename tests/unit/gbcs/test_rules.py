"""The rules of consistency: each breaks under its own name, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.codes import MESSAGE_CODE_OF_MODE, Cra, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, OtherInformation
from gbcs.mode_facts import MODE_FACTS
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
)
from gbcs.rules import Rule, command_findings

SUPPLIER_CELL = CellId.from_name("supplier/digitalSignature/management")
SUPPLIER_FLOOR = SeqNumberChange(RemotePartyRole.SUPPLIER, 0)


def rules_of(header: GroupingHeader, update: UpdateCredentials) -> list[Rule]:
    return [finding.rule for finding in command_findings(header, update)]


def test_a_good_command_breaks_none(header: GroupingHeader, update: UpdateCredentials):
    assert command_findings(header, update) == ()


def test_a_finding_says_what_was_expected_and_found(
    header: GroupingHeader, update: UpdateCredentials
):
    (finding,) = command_findings(header, replace(update, authorising_counter=6002))
    assert (finding.expected, finding.found) == ("6001", "6002")
    assert finding.reason == "expected 6001, found 6002"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"cra": Cra.RESPONSE}, Rule.COMMAND_FLAG),
        ({"other": OtherInformation(0x0107, "0011223344556677")}, Rule.OTHER_INFORMATION),
        ({"date_time": bytes(12)}, Rule.COMMAND_DATE_TIME),
        ({"counter": 6002}, Rule.COUNTER_EQUALITY),
        ({"other": OtherInformation(0x0106)}, Rule.MESSAGE_CODE_MODE),
        ({"other": OtherInformation(0x0008)}, Rule.MESSAGE_CODE_MODE),
    ],
)
def test_rules_of_the_header(
    header: GroupingHeader, update: UpdateCredentials, changes: Any, rule: str
):
    assert rules_of(replace(header, **changes), update) == [rule]


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"authorising_cell": SUPPLIER_CELL}, [Rule.AUTHORISING_CELL]),
        ({"authorising_cell": None}, [Rule.AUTHORISING_CELL]),
        ({"replacements": ()}, [Rule.REPLACEMENTS_PRESENT]),
        ({"new_floor": 0}, [Rule.OWN_FLOORS]),
        ({"new_specialist_floors": ()}, [Rule.OWN_FLOORS]),
        ({"other_changes": None}, [Rule.OTHER_FLOORS]),
        ({"other_changes": None, "execution_date_time": "20300102000000Z"}, [Rule.OTHER_FLOORS]),
        ({"other_changes": None, "execution_date_time": CANCEL_EXECUTION}, []),
        ({"other_changes": (SUPPLIER_FLOOR, SUPPLIER_FLOOR)}, [Rule.OTHER_FLOORS]),
        ({"other_changes": (SeqNumberChange(RemotePartyRole.RECOVERY, 0),)}, [Rule.OTHER_FLOORS]),
        ({"plaintext_symmetric_key": bytes(16)}, [Rule.SYMMETRIC_KEY]),
        ({"apply_time_checks": False}, []),
        ({"path_certificates": ()}, []),
    ],
)
def test_rules_of_the_payload(
    header: GroupingHeader, update: UpdateCredentials, changes: Any, rules: Any
):
    assert rules_of(header, replace(update, **changes)) == rules


@pytest.mark.parametrize(
    "changes",
    [
        {"other_changes": (SeqNumberChange(RemotePartyRole.SUPPLIER, 2**63),)},
        {
            "other_changes": (
                SeqNumberChange(RemotePartyRole.SUPPLIER, 0, (SpecialistSeqNumber(2**63),)),
            )
        },
    ],
)
def test_numbers_beyond_the_standards(
    header: GroupingHeader, update: UpdateCredentials, changes: Any
):
    assert rules_of(header, replace(update, **changes)) == [Rule.SEQUENCE_NUMBER_RANGE]
    highest = replace(update, other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 2**63 - 1),))
    assert rules_of(header, highest) == []


def test_own_numbers_beyond_the_standards(header: GroupingHeader, update: UpdateCredentials):
    value = of_mode(update, Mode.SUPPLIER_BY_SUPPLIER)
    value = replace(
        value,
        authorising_counter=2**63,
        new_floor=2**63,
        new_specialist_floors=(SpecialistSeqNumber(2**63),),
    )
    at = replace(header, counter=2**63, other=OtherInformation(0x0102))
    assert rules_of(at, value) == [Rule.SEQUENCE_NUMBER_RANGE] * 3


def test_a_cell_of_another_role_and_a_cell_twice(header: GroupingHeader, update: UpdateCredentials):
    foreign = replace(update.replacements[0], cell=CellId.from_name("root/keyCertSign/management"))
    assert rules_of(header, replace(update, replacements=(foreign,))) == [Rule.TARGET_CELLS]
    twice = update.replacements[:1] * 2
    assert rules_of(header, replace(update, replacements=twice)) == [Rule.TARGET_CELLS_DISTINCT]


def of_mode(update: UpdateCredentials, mode: Mode) -> UpdateCredentials:
    """A command of this mode with everything the mode may carry."""
    facts = MODE_FACTS[mode]
    certificate = update.replacements[0].certificate
    cells = [cell for cell in facts.authorising_cells if cell is not None]
    return replace(
        update,
        mode=mode,
        authorising_cell=cells[0],
        replacements=tuple(Replacement(certificate, cell) for cell in facts.targets),
        new_floor=0 if facts.own_floor else None,
        new_specialist_floors=(SpecialistSeqNumber(0),) if facts.own_specialist_floors else None,
        other_changes=tuple(SeqNumberChange(role, 0) for role in facts.other_roles) or None,
        plaintext_symmetric_key=bytes(16) if mode is Mode.ANY_BY_CONTINGENCY else None,
    )


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_may_carry_all_it_may(
    header: GroupingHeader, update: UpdateCredentials, mode: int
):
    at = replace(header, other=OtherInformation(MESSAGE_CODE_OF_MODE[mode]))
    assert command_findings(at, of_mode(update, mode)) == ()


@pytest.mark.parametrize("mode", [mode for mode in Mode if not MODE_FACTS[mode].other_roles])
def test_modes_that_set_no_other_floors(
    header: GroupingHeader, update: UpdateCredentials, mode: int
):
    at = replace(header, other=OtherInformation(MESSAGE_CODE_OF_MODE[mode]))
    value = replace(of_mode(update, mode), other_changes=())
    assert rules_of(at, value) == [Rule.OTHER_FLOORS]


def test_only_the_broker_may_leave_its_cell_out(header: GroupingHeader, update: UpdateCredentials):
    free = [mode for mode in Mode if None in MODE_FACTS[mode].authorising_cells]
    assert free == [Mode.ACCESS_CONTROL_BROKER_BY_ACB]
    at = replace(header, other=OtherInformation(0x0104))
    value = replace(of_mode(update, free[0]), authorising_cell=None)
    assert command_findings(at, value) == ()
