"""Whether the parts of well-formed messages belong together: named findings, no judgement.

The codecs write and read any mode with any fields; these functions say what does not fit. A party
asks in its own checks, for all findings or for those of the rules it names, and decides itself what
follows. Those that compare a command with the answer to it are in gbcs.answer_rules.
Sources: docs/sources.md#modes, #update-payload, #future-dating and gbcs.mode_facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from gbcs.codes import (
    MESSAGE_CODE_OF_MODE,
    MODE_OF_MESSAGE_CODE,
    Cra,
)
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, OtherInformation
from gbcs.mode_facts import MODE_FACTS
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import CANCEL_EXECUTION, UpdateCredentials
from gbcs.payloads.seq_numbers import HIGHEST_SEQ_NUMBER


class Rule(StrEnum):
    """The stable names of the rules."""

    COMMAND_FLAG = "command_flag"
    OTHER_INFORMATION = "other_information"
    COMMAND_DATE_TIME = "command_date_time"
    MESSAGE_CODE_MODE = "message_code_mode"
    COUNTER_EQUALITY = "counter_equality"
    SEQUENCE_NUMBER_RANGE = "sequence_number_range"
    AUTHORISING_CELL = "authorising_cell"
    REPLACEMENTS_PRESENT = "replacements_present"
    TARGET_CELLS = "target_cells"
    TARGET_CELLS_DISTINCT = "target_cells_distinct"
    OWN_FLOORS = "own_floors"
    OTHER_FLOORS = "other_floors"
    SYMMETRIC_KEY = "symmetric_key"
    ANSWER_FLAG = "answer_flag"
    ANSWER_PARTIES = "answer_parties"
    ANSWER_COUNTER = "answer_counter"
    ANSWER_MESSAGE_CODE = "answer_message_code"
    ANSWER_DATE_TIME = "answer_date_time"
    ANSWER_PROTECTION = "answer_protection"
    OUTCOME_PRESENCE = "outcome_presence"
    OUTCOME_COUNTER = "outcome_counter"
    OUTCOME_MODE = "outcome_mode"
    OUTCOME_CELLS = "outcome_cells"
    OUTCOME_FLOORS = "outcome_floors"
    FAILED_CELL_UNCHANGED = "failed_cell_unchanged"
    ALERT_CODE = "alert_code"
    ALERT_EXECUTION_TIME = "alert_execution_time"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit."""

    rule: Rule
    expected: str
    found: str

    @property
    def reason(self) -> str:
        """In words."""
        return f"expected {self.expected}, found {self.found}"


def command_findings(header: GroupingHeader, update: UpdateCredentials) -> tuple[Finding, ...]:
    """What does not fit in a CS02b or CS02g command, signed or not."""
    return (*_header_findings(header, update), *_payload_findings(update))


def _header_findings(header: GroupingHeader, update: UpdateCredentials) -> Iterator[Finding]:
    yield from same(Rule.COMMAND_FLAG, Cra.COMMAND.label, header.cra.label)
    if header.other != OtherInformation(header.other.message_code):
        yield Finding(Rule.OTHER_INFORMATION, "the message code alone", "more")
    yield from same(Rule.COMMAND_DATE_TIME, "absent", presence(header.date_time))
    if MODE_OF_MESSAGE_CODE.get(header.other.message_code) is not update.mode:
        expected = code(MESSAGE_CODE_OF_MODE[update.mode])
        found = f"{code(header.other.message_code)} with {update.mode.label}"
        yield Finding(Rule.MESSAGE_CODE_MODE, expected, found)
    yield from same(Rule.COUNTER_EQUALITY, header.counter, update.authorising_counter)


def _payload_findings(update: UpdateCredentials) -> Iterator[Finding]:
    facts = MODE_FACTS[update.mode]
    for number in _numbers(update):
        if number > HIGHEST_SEQ_NUMBER:
            yield Finding(Rule.SEQUENCE_NUMBER_RANGE, "0 to 2^63-1", str(number))
    if update.authorising_cell not in facts.authorising_cells:
        expected = " or ".join(sorted(_name(cell) for cell in facts.authorising_cells))
        yield Finding(Rule.AUTHORISING_CELL, expected, _name(update.authorising_cell))
    targets = tuple(r.cell for r in update.replacements)
    if not targets:
        yield Finding(Rule.REPLACEMENTS_PRESENT, "at least one", "none")
    for cell in targets:
        if cell not in facts.targets:
            yield Finding(Rule.TARGET_CELLS, names(_sorted(facts.targets)), cell.name)
    if len(set(targets)) != len(targets):
        yield Finding(Rule.TARGET_CELLS_DISTINCT, "each cell once", names(targets))
    if update.new_floor is not None and not facts.own_floor:
        yield Finding(Rule.OWN_FLOORS, "no floor for the authorising role", str(update.new_floor))
    if update.new_specialist_floors is not None and not facts.own_specialist_floors:
        yield Finding(Rule.OWN_FLOORS, "no specialist floor for the authorising role", "one")
    yield from _other_floors(update)
    by_contingency = update.mode is Mode.ANY_BY_CONTINGENCY
    expected = presence(True if by_contingency else None)
    yield from same(Rule.SYMMETRIC_KEY, expected, presence(update.plaintext_symmetric_key))


def _other_floors(update: UpdateCredentials) -> Iterator[Finding]:
    facts = MODE_FACTS[update.mode]
    changes = update.other_changes
    if changes is None:
        if facts.other_floors_needed and update.execution_date_time != CANCEL_EXECUTION:
            yield Finding(Rule.OTHER_FLOORS, "floors for other roles", "none")
        return
    roles = [change.role for change in changes]
    if not facts.other_roles:
        yield Finding(Rule.OTHER_FLOORS, "no floors for other roles", "the field")
    if len(set(roles)) != len(roles):
        yield Finding(Rule.OTHER_FLOORS, "each role once", ", ".join(r.label for r in roles))
    allowed = ", ".join(sorted(role.label for role in facts.other_roles))
    for role in roles:
        if facts.other_roles and role not in facts.other_roles:
            yield Finding(Rule.OTHER_FLOORS, allowed, role.label)


def _numbers(update: UpdateCredentials) -> Iterator[int]:
    yield update.authorising_counter
    if update.new_floor is not None:
        yield update.new_floor
    yield from (n.number for n in update.new_specialist_floors or ())
    for change in update.other_changes or ():
        yield change.floor
        yield from (n.number for n in change.specialist or ())


def same(rule: Rule, expected: object, found: object) -> tuple[Finding, ...]:
    """No finding if the two are equal, else one."""
    return () if expected == found else (Finding(rule, str(expected), str(found)),)


def presence(value: object) -> str:
    """`absent` for None, else `present`."""
    return "absent" if value is None else "present"


def protection(signed: bool, maced: bool) -> str:
    """Which of the two protections there are, in words."""
    return f"{'a' if signed else 'no'} signature and {'a' if maced else 'no'} MAC"


def code(number: int) -> str:
    """A message or alert code as it is usually written."""
    return f"0x{number:04x}"


def _name(cell: CellId | None) -> str:
    return "none" if cell is None else cell.name


def names(cells: Iterable[CellId]) -> str:
    """The names of cells, in their order."""
    return ", ".join(cell.name for cell in cells) or "none"


def _sorted(cells: Iterable[CellId]) -> list[CellId]:
    """Cells in the order of role, key usage and cell usage."""
    return sorted(cells, key=lambda cell: (cell.role, cell.key_usage, cell.cell_usage))
