"""Which fields of an Update Security Credentials belong together.

GBCS 0.8.1 p179 and docs/sources.md#update-payload. The device's own reading, apart from what the
codec accepts and from what the other parties decide.
"""

from __future__ import annotations

from gbcs.codes import CredentialsReplacementMode
from gbcs.date_time import from_generalized_time
from gbcs.errors import ParseError
from gbcs.payloads.credentials import SeqNumberChange, SpecialistSeqNumber, UpdateCredentials

HIGHEST_SEQ_NUMBER = (1 << 63) - 1
"""SeqNumber ::= INTEGER (0..9223372036854775807)."""


def broken_field_rule(update: UpdateCredentials, mode: CredentialsReplacementMode) -> str | None:
    """Say which rule a payload breaks, or None. `mode` is the one of its message code."""
    contingency = mode is CredentialsReplacementMode.ANY_BY_CONTINGENCY
    if contingency != (update.plaintext_symmetric_key is not None):
        return "a symmetric key belongs to anyByContingency, and to nothing else"
    if not update.replacements:
        return "it replaces nothing"
    cells = [replacement.cell for replacement in update.replacements]
    if len(set(cells)) != len(cells):
        return "it names one cell twice"
    roles = [change.role for change in update.other_changes or ()]
    if len(set(roles)) != len(roles):
        return "it sets the floor of one role twice"
    if any(number > HIGHEST_SEQ_NUMBER for number in _numbers(update)):
        return f"a sequence number is greater than {HIGHEST_SEQ_NUMBER}"
    if any(len(floors) > 1 for floors in _specialist(update)):
        return "it sets one specialist floor twice"
    if update.new_specialist_floors is not None and update.new_floor is None:
        return "it sets a specialist floor without the floor it goes with"
    return _broken_time(update.execution_date_time)


def _broken_time(text: str | None) -> str | None:
    try:
        if text is not None:
            from_generalized_time(text)
    except ParseError as error:
        return f"execution date-time: {error}"
    return None


def _specialist(update: UpdateCredentials) -> list[tuple[SpecialistSeqNumber, ...]]:
    changes: tuple[SeqNumberChange, ...] = update.other_changes or ()
    nested = [change.specialist or () for change in changes]
    return [update.new_specialist_floors or (), *nested]


def _numbers(update: UpdateCredentials) -> list[int]:
    floors = [change.floor for change in update.other_changes or ()]
    special = [item.number for group in _specialist(update) for item in group]
    own = [] if update.new_floor is None else [update.new_floor]
    return [update.authorising_counter, *own, *floors, *special]
