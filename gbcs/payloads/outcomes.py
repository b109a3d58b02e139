"""What became of a CS02b or CS02g command: the response payload and the future-dated alert's.

Structure: docs/sources.md#update-payload, #outcomes, confirmed by RTDS vectors. Published responses
and alerts write lengths that are not minimal; those are read too, and what was read is written
again as it was. What is made fresh is DER.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from gbcs.codes import CredentialsReplacementMode, StatusCode
from gbcs.errors import EncodeError, ParseError
from gbcs.numbers import unsigned
from gbcs.payloads import asn1
from gbcs.payloads.cells import CellId, cell_from_wire, cell_to_wire, member
from gbcs.payloads.seq_numbers import (
    SeqNumberChange,
    changes_from_wire,
    changes_to_wire,
    number_from_wire,
    number_to_wire,
)

T = TypeVar("T")

KEPT = 256
"""Payloads of a kind whose values are kept. A party reads the same one several times in one
exchange; what was read is a pure function of the octets, and cannot be changed."""
_HIGHEST_ALERT_CODE = 0xFFFFFFFF
_IDENTIFIER_LENGTH = 8


@dataclass(frozen=True, slots=True)
class CellOutcome:
    """What became of one cell; subjects and key identifiers are 8 octets each.

    Root cells report a subject of eight zero octets. For a cell that failed, `replacing_*` repeat
    `existing_*`: what the cell now holds, not what was refused (docs/sources.md#outcomes).
    """

    cell: CellId
    status: StatusCode
    existing_subject: bytes
    existing_key_id: bytes
    replacing_subject: bytes
    replacing_key_id: bytes


@dataclass(frozen=True, slots=True)
class CredentialsOutcome:
    """What became of a command: its counter and mode, the floors set, each cell's outcome."""

    authorising_counter: int
    mode: CredentialsReplacementMode
    changes: tuple[SeqNumberChange, ...]
    outcomes: tuple[CellOutcome, ...]


@dataclass(frozen=True, slots=True)
class CredentialsResponse:
    """The response payload; no outcome means accepted for later, or cancelled."""

    outcome: CredentialsOutcome | None
    raw: bytes | None = field(default=None, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class CredentialsAlert:
    """The future-dated alert's payload.

    `execution_date_time` is `YYYYMMDDHHMMSSZ`; `alert_code` 0x8F66 if every cell succeeded, else
    0x8F67.
    """

    alert_code: int
    execution_date_time: str
    outcome: CredentialsOutcome
    raw: bytes | None = field(default=None, compare=False, repr=False, kw_only=True)


def decode_response(payload: bytes) -> CredentialsResponse:
    """Read a response payload; it need not be DER (see gbcs.payloads.device_ber).

    Raises:
        ParseError: it is not that.
    """
    return _decode_response(bytes(payload))


@lru_cache(maxsize=KEPT)
def _decode_response(payload: bytes) -> CredentialsResponse:
    name = "response payload"
    wire = asn1.read(asn1.UpdateResponse, payload, name, as_devices_write=True)
    outcome = None if wire.outcome is None else _outcome_from_wire(wire.outcome, name)
    return CredentialsResponse(outcome, raw=payload)


def encode_response(response: CredentialsResponse) -> bytes:
    """Write a response payload: as it was read if it was, otherwise in DER.

    Raises:
        EncodeError: a value does not fit its type.
    """
    if as_read(response, response.raw, decode_response):
        return response.raw or b""
    outcome = response.outcome
    wire = asn1.UpdateResponse(
        accepted=asn1.Null(),
        outcome=None if outcome is None else _outcome_to_wire(outcome),
    )
    return asn1.write(wire, "response payload")


def decode_alert(payload: bytes) -> CredentialsAlert:
    """Read an alert payload; it need not be DER (see gbcs.payloads.device_ber).

    Raises:
        ParseError: it is not that.
    """
    return _decode_alert(bytes(payload))


@lru_cache(maxsize=KEPT)
def _decode_alert(payload: bytes) -> CredentialsAlert:
    name = "alert payload"
    wire = asn1.read(asn1.UpdateAlert, payload, name, as_devices_write=True)
    if not 0 <= wire.alert_code <= _HIGHEST_ALERT_CODE:
        raise ParseError(f"{name}: alert code is outside 32 bits")
    return CredentialsAlert(
        wire.alert_code,
        asn1.time_from_wire(wire.execution_date_time, name),
        _outcome_from_wire(wire.outcome, name),
        raw=payload,
    )


def encode_alert(alert: CredentialsAlert) -> bytes:
    """Write an alert payload: as it was read if it was, otherwise in DER.

    Raises:
        EncodeError: a value does not fit its type.
    """
    if as_read(alert, alert.raw, decode_alert):
        return alert.raw or b""
    wire = asn1.UpdateAlert(
        alert_code=unsigned(alert.alert_code, 32, "alert code"),
        execution_date_time=asn1.time_to_wire(alert.execution_date_time, "execution time"),
        outcome=_outcome_to_wire(alert.outcome),
    )
    return asn1.write(wire, "alert payload")


def forget_outcomes() -> None:
    """Keep no value of a payload that was read (for whoever measures reading)."""
    _decode_response.cache_clear()
    _decode_alert.cache_clear()


def as_read(value: T, raw: bytes | None, decode: Callable[[bytes], T]) -> bool:
    """Whether `raw` still says what `value` says, so that it may be written again as it was.

    A value changed after it was read (dataclasses.replace keeps `raw`) is written anew.
    """
    if raw is None:
        return False
    try:
        return decode(raw) == value
    except ParseError:
        return False


def mode_from_wire(number: int, name: str) -> CredentialsReplacementMode:
    """The mode of this number.

    Raises:
        ParseError: there is none.
    """
    return member(CredentialsReplacementMode, number, f"{name}: credentials replacement mode")


def status_from_wire(status: asn1.TLV, name: str) -> StatusCode:
    """The status of an ENUMERATED.

    Raises:
        ParseError: not an ENUMERATED, or of no known value.
    """
    name = f"{name}: status code"
    return member(StatusCode, asn1.number_of(status, name), name)


def identifier_to_wire(identifier: bytes, name: str) -> bytes:
    """A subject unique identifier or key identifier fit for the wire.

    Raises:
        EncodeError: not 8 octets.
    """
    if len(identifier) != _IDENTIFIER_LENGTH:
        raise EncodeError(f"{name} must have {_IDENTIFIER_LENGTH} octets")
    return identifier


def identifier_from_wire(identifier: bytes, name: str) -> bytes:
    """A subject unique identifier or key identifier from the wire.

    Raises:
        ParseError: not 8 octets.
    """
    if len(identifier) != _IDENTIFIER_LENGTH:
        raise ParseError(f"{name} has {len(identifier)} octets, not {_IDENTIFIER_LENGTH}")
    return identifier


def _outcome_from_wire(outcome: asn1.ExecutionOutcome, name: str) -> CredentialsOutcome:
    return CredentialsOutcome(
        number_from_wire(outcome.authorising_counter, f"{name}: counter"),
        mode_from_wire(outcome.mode, name),
        changes_from_wire(outcome.changes, name),
        tuple(_cell_outcome_from_wire(o, name) for o in outcome.outcomes),
    )


def _cell_outcome_from_wire(outcome: asn1.ReplacementOutcome, name: str) -> CellOutcome:
    return CellOutcome(
        cell_from_wire(outcome.cell, name),
        status_from_wire(outcome.status, name),
        identifier_from_wire(outcome.existing_subject, f"{name}: existing subject"),
        identifier_from_wire(outcome.existing_key_id, f"{name}: existing key identifier"),
        identifier_from_wire(outcome.replacing_subject, f"{name}: replacing subject"),
        identifier_from_wire(outcome.replacing_key_id, f"{name}: replacing key identifier"),
    )


def _outcome_to_wire(outcome: CredentialsOutcome) -> asn1.ExecutionOutcome:
    return asn1.ExecutionOutcome(
        authorising_counter=number_to_wire(outcome.authorising_counter, "authorising counter"),
        mode=int(outcome.mode),
        changes=changes_to_wire(outcome.changes),
        outcomes=[
            asn1.ReplacementOutcome(
                cell=cell_to_wire(o.cell),
                status=asn1.enumerated(int(o.status)),
                existing_subject=identifier_to_wire(o.existing_subject, "existing subject"),
                existing_key_id=identifier_to_wire(o.existing_key_id, "existing key identifier"),
                replacing_subject=identifier_to_wire(o.replacing_subject, "replacing subject"),
                replacing_key_id=identifier_to_wire(o.replacing_key_id, "replacing key identifier"),
            )
            for o in outcome.outcomes
        ],
    )
