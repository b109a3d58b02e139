"""CS02b and CS02g, Update Security Credentials: the command payload, and the door to the others.

Structure and tags: docs/sources.md#update-payload, confirmed byte for byte by RTDS vectors for
modes 2 to 8, 10 and 11; modes 0, 1 and 9 share the structure and have no published command. Field
presence is not judged here: any mode can be written with any fields (see gbcs.rules for what
belongs together). The outcome in responses and alerts is in gbcs.payloads.outcomes; its names are
also importable from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from gbcs.codes import CredentialsReplacementMode
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads import asn1
from gbcs.payloads.cells import CellId, cell_from_wire, cell_to_wire
from gbcs.payloads.outcomes import (
    KEPT,
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    decode_alert,
    decode_response,
    encode_alert,
    encode_response,
    forget_outcomes,
    mode_from_wire,
)
from gbcs.payloads.seq_numbers import (
    SeqNumberChange,
    SpecialistSeqNumber,
    changes_from_wire,
    changes_to_wire,
    number_from_wire,
    number_to_wire,
    specialist_from_wire,
    specialist_to_wire,
)
from gbcs.payloads.usual_update import write_usual

__all__ = [
    "CANCEL_EXECUTION",
    "CellId",
    "CellOutcome",
    "CredentialsAlert",
    "CredentialsOutcome",
    "CredentialsResponse",
    "Replacement",
    "SeqNumberChange",
    "SpecialistSeqNumber",
    "UpdateCredentials",
    "decode_alert",
    "decode_response",
    "decode_update",
    "encode_alert",
    "encode_by_library",
    "encode_response",
    "encode_update",
    "forget_payloads",
]

CANCEL_EXECUTION = "99991231235959Z"
"""The execution date-time that cancels what is pending (docs/sources.md#future-dating)."""

_APPLY, _DISAPPLY = 0, 1


@dataclass(frozen=True, slots=True)
class Replacement:
    """A certificate (DER, carried as it stands) and the cell it shall go into."""

    certificate: bytes
    cell: CellId


@dataclass(frozen=True, slots=True)
class UpdateCredentials:
    """The command payload of CS02b and CS02g.

    Attributes:
        mode: who replaces whose credentials.
        authorising_counter: the authorising remote party's sequence number.
        authorising_cell: the cell whose key the command is signed with; None if left out.
        replacements: certificates and the cells they go into, in order.
        path_certificates: DER certificates that link replacements to the device's root.
        apply_time_checks: False writes `disapply`; True, the default, is not written.
        new_floor: floor for the authorising role, field [4].
        new_specialist_floors: specialist floors for the authorising role, field [5].
        other_changes: floors for other roles, field [6].
        execution_date_time: `YYYYMMDDHHMMSSZ`, or None for at once; CANCEL_EXECUTION cancels.
        plaintext_symmetric_key: field [0], only and always for anyByContingency; never shown.
    """

    mode: CredentialsReplacementMode
    authorising_counter: int
    authorising_cell: CellId | None
    replacements: tuple[Replacement, ...]
    path_certificates: tuple[bytes, ...]
    apply_time_checks: bool = True
    new_floor: int | None = None
    new_specialist_floors: tuple[SpecialistSeqNumber, ...] | None = None
    other_changes: tuple[SeqNumberChange, ...] | None = None
    execution_date_time: str | None = None
    plaintext_symmetric_key: bytes | None = field(default=None, repr=False)


def encode_update(update: UpdateCredentials) -> bytes:
    """Write a command payload in DER.

    Raises:
        EncodeError: a value does not fit its type.
    """
    usual = write_usual(update)
    if usual is not None:
        return usual
    return encode_by_library(update)


def encode_by_library(update: UpdateCredentials) -> bytes:
    """Write any command payload in DER: what `encode_update` does with all but the usual form.

    Raises:
        EncodeError: as `encode_update`.
    """
    try:
        wire = _to_wire(update)
    except (AttributeError, TypeError, ValueError) as error:
        raise EncodeError(f"command payload: {error}") from None
    return asn1.write(wire, "command payload")


def decode_update(payload: bytes) -> UpdateCredentials:
    """Read a command payload, which must be DER.

    Raises:
        ParseError: it is not that.
    """
    return _decode_update(bytes(payload))


@lru_cache(maxsize=KEPT)
def _decode_update(payload: bytes) -> UpdateCredentials:
    name = "command payload"
    wire = asn1.read(asn1.UpdateCommand, payload, name)
    control = wire.control
    if control.time_checks not in (_APPLY, _DISAPPLY):
        raise ParseError(f"{name}: applyTimeBasedCPVChecks {control.time_checks} is unknown")
    cell = control.authorising_cell
    floor = control.new_floor
    changes = control.other_changes
    when = wire.execution_date_time
    return UpdateCredentials(
        mode=mode_from_wire(control.mode, name),
        authorising_counter=number_from_wire(control.authorising_counter, f"{name}: counter"),
        authorising_cell=None if cell is None else cell_from_wire(cell, f"{name}: authority"),
        replacements=tuple(
            Replacement(
                asn1.octets_of(r.certificate, f"{name}: replacement certificate"),
                cell_from_wire(r.cell, f"{name}: target cell"),
            )
            for r in wire.replacements
        ),
        path_certificates=tuple(
            asn1.octets_of(c, f"{name}: path certificate") for c in wire.path_certificates
        ),
        apply_time_checks=control.time_checks == _APPLY,
        new_floor=None if floor is None else number_from_wire(floor, f"{name}: floor"),
        new_specialist_floors=specialist_from_wire(control.new_specialist_floors, name),
        other_changes=None if changes is None else changes_from_wire(changes, name),
        execution_date_time=None if when is None else asn1.time_from_wire(when, name),
        plaintext_symmetric_key=control.plaintext_symmetric_key,
    )


def forget_payloads() -> None:
    """Keep no value of a payload that was read (for whoever measures reading)."""
    _decode_update.cache_clear()
    forget_outcomes()


def _to_wire(update: UpdateCredentials) -> asn1.UpdateCommand:
    cell = update.authorising_cell
    floor = update.new_floor
    changes = update.other_changes
    when = update.execution_date_time
    return asn1.UpdateCommand(
        control=asn1.AuthorisingControl(
            mode=int(update.mode),
            plaintext_symmetric_key=update.plaintext_symmetric_key,
            time_checks=_APPLY if update.apply_time_checks else _DISAPPLY,
            authorising_cell=None if cell is None else cell_to_wire(cell),
            authorising_counter=number_to_wire(update.authorising_counter, "authorising counter"),
            new_floor=None if floor is None else number_to_wire(floor, "floor"),
            new_specialist_floors=specialist_to_wire(update.new_specialist_floors),
            other_changes=None if changes is None else changes_to_wire(changes),
        ),
        replacements=[
            asn1.CellReplacement(
                certificate=asn1.whole(r.certificate, "replacement certificate"),
                cell=cell_to_wire(r.cell),
            )
            for r in update.replacements
        ],
        path_certificates=[asn1.whole(c, "path certificate") for c in update.path_certificates],
        execution_date_time=None if when is None else asn1.time_to_wire(when, "execution time"),
    )
