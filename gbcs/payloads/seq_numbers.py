"""Sequence numbers in payloads: floors, and changes of other roles' floors.

Source: docs/sources.md#update-payload.

The standard's SeqNumber ends at 2^63-1. The codec carries the whole 64 bits of the wire counter,
so that a number beyond can be built, seen and refused by name (gbcs.rules `sequence_number_range`).
"""

from __future__ import annotations

from dataclasses import dataclass

from gbcs.codes import RemotePartyRole, SeqNumberUsage
from gbcs.errors import ParseError
from gbcs.numbers import unsigned
from gbcs.payloads import asn1
from gbcs.payloads.cells import role_from_wire

HIGHEST_SEQ_NUMBER = (1 << 63) - 1
"""The highest SeqNumber of the standard."""

_HIGHEST_CARRIED = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SpecialistSeqNumber:
    """A floor of a counter kept apart from the role's ordinary one: that of top-ups."""

    number: int
    usage: SeqNumberUsage = SeqNumberUsage.PREPAYMENT_TOP_UP


@dataclass(frozen=True, slots=True)
class SeqNumberChange:
    """The floor (and specialist floors, None if the field is absent) set for one role."""

    role: RemotePartyRole
    floor: int
    specialist: tuple[SpecialistSeqNumber, ...] | None = None


def number_to_wire(number: int, name: str) -> int:
    """A sequence number fit for the wire.

    Raises:
        EncodeError: not a whole number of 0 to 2^64-1.
    """
    return unsigned(number, 64, name)


def number_from_wire(number: int, name: str) -> int:
    """A sequence number from the wire.

    Raises:
        ParseError: outside 0 to 2^64-1.
    """
    if not 0 <= number <= _HIGHEST_CARRIED:
        raise ParseError(f"{name}: {'negative' if number < 0 else 'more than 64 bits'}")
    return number


def specialist_to_wire(
    numbers: tuple[SpecialistSeqNumber, ...] | None,
) -> list[asn1.SpecialistNumber] | None:
    """Specialist floors in their wire form; None stays None.

    Raises:
        EncodeError: a number does not fit.
    """
    if numbers is None:
        return None
    return [
        asn1.SpecialistNumber(usage=int(n.usage), number=number_to_wire(n.number, "floor"))
        for n in numbers
    ]


def specialist_from_wire(
    numbers: list[asn1.SpecialistNumber] | None, name: str
) -> tuple[SpecialistSeqNumber, ...] | None:
    """Specialist floors from their wire form; None stays None.

    Raises:
        ParseError: a number is outside its range, or a usage unknown.
    """
    if numbers is None:
        return None
    for number in numbers:
        if number.usage != SeqNumberUsage.PREPAYMENT_TOP_UP:
            raise ParseError(f"{name}: sequence number usage {number.usage} is unknown")
    return tuple(SpecialistSeqNumber(number_from_wire(n.number, name)) for n in numbers)


def changes_to_wire(changes: tuple[SeqNumberChange, ...]) -> list[asn1.NumberChange]:
    """Changes in their wire form.

    Raises:
        EncodeError: a number does not fit.
    """
    return [
        asn1.NumberChange(
            remote_party_role=int(change.role),
            floor=number_to_wire(change.floor, "floor"),
            specialist=specialist_to_wire(change.specialist),
        )
        for change in changes
    ]


def changes_from_wire(changes: list[asn1.NumberChange], name: str) -> tuple[SeqNumberChange, ...]:
    """Changes from their wire form.

    Raises:
        ParseError: a number is outside its range, a role or usage unknown.
    """
    return tuple(
        SeqNumberChange(
            role_from_wire(change.remote_party_role, name),
            number_from_wire(change.floor, f"{name}: floor"),
            specialist_from_wire(change.specialist, f"{name}: specialist floor"),
        )
        for change in changes
    )
