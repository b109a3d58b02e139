"""Trust anchor cells: the places in a device that hold a remote party's credentials.

TrustAnchorCellIdentifier, docs/sources.md#update-payload; key usage bit strings confirmed by RTDS
vectors: `03 02 07 80` digitalSignature, `03 02 03 08` keyAgreement, `03 02 02 04` keyCertSign.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TypeVar, cast

from gbcs.codes import CellUsage, KeyUsage, RemotePartyRole
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads import asn1

_KEY_USAGES = {(bytes((0x80 >> usage,)), 7 - usage): usage for usage in KeyUsage}

E = TypeVar("E", bound=IntEnum)


@dataclass(frozen=True, slots=True)
class CellId:
    """One cell: whose credentials, for what, and which of two."""

    role: RemotePartyRole
    key_usage: KeyUsage
    cell_usage: CellUsage = CellUsage.MANAGEMENT

    @property
    def name(self) -> str:
        """For instance `supplier/digitalSignature/management`."""
        return f"{self.role.label}/{self.key_usage.label}/{self.cell_usage.label}"

    @classmethod
    def from_name(cls, name: str) -> CellId:
        """The cell of this name.

        Raises:
            EncodeError: no cell can be called so.
        """
        try:
            role, key_usage, cell_usage = name.split("/")
            return cls(
                RemotePartyRole.from_label(role),
                KeyUsage.from_label(key_usage),
                CellUsage.from_label(cell_usage),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise EncodeError(f"{name!r} is not the name of a trust anchor cell") from None


def key_usage_to_wire(usage: KeyUsage) -> asn1.BitString:
    """KeyUsage as a named bit string: one bit set, trailing zero bits not written.

    Raises:
        EncodeError: not a KeyUsage.
    """
    if not isinstance(usage, KeyUsage):
        raise EncodeError("key usage must be a KeyUsage")
    return asn1.BitString(bytes((0x80 >> usage,)), 7 - usage)


def key_usage_from_wire(bits: asn1.BitString, name: str) -> KeyUsage:
    """The one key usage of a bit string.

    Raises:
        ParseError: none, several, an unknown one, or one not written in DER.
    """
    usage = _KEY_USAGES.get((bits.as_bytes(), bits.padding_bits()))
    if usage is None:
        raise ParseError(f"{name}: key usage is not exactly one of those used")
    return usage


def cell_to_wire(cell: CellId) -> asn1.CellIdentifier:
    """The wire form of a cell.

    Raises:
        EncodeError: not a CellId of the standard's numbers.
    """
    if not isinstance(cell, CellId):
        raise EncodeError("a cell must be a CellId")
    known = _WIRE_OF_CELL.get((cell.role, cell.key_usage, cell.cell_usage))
    if known is not None and isinstance(cell.key_usage, KeyUsage):
        return known
    return asn1.CellIdentifier(
        remote_party_role=int(cell.role),
        key_usage=key_usage_to_wire(cell.key_usage),
        cell_usage=int(cell.cell_usage),
    )


def cell_from_wire(cell: asn1.CellIdentifier, name: str) -> CellId:
    """The cell of a wire form.

    Raises:
        ParseError: a number in it is not one of the standard's.
    """
    bits = cell.key_usage
    numbers = (cell.remote_party_role, bits.as_bytes(), bits.padding_bits(), cell.cell_usage)
    known = _CELL_OF_NUMBERS.get(numbers)
    if known is not None:
        return known
    return CellId(
        role_from_wire(cell.remote_party_role, name),
        key_usage_from_wire(cell.key_usage, name),
        cell_usage_from_wire(cell.cell_usage, name),
    )


def role_from_wire(number: int, name: str) -> RemotePartyRole:
    """The role of this number.

    Raises:
        ParseError: there is none.
    """
    return member(RemotePartyRole, number, f"{name}: remote party role")


def cell_usage_from_wire(number: int, name: str) -> CellUsage:
    """The cell usage of this number.

    Raises:
        ParseError: there is none.
    """
    return member(CellUsage, number, f"{name}: cell usage")


def member(cls: type[E], number: int, name: str) -> E:
    """The one of the standard's numbers.

    Raises:
        ParseError: it is none of them.
    """
    try:
        return cast("E", _member(cls, number))
    except ValueError:
        raise ParseError(f"{name} {number} is unknown") from None


@lru_cache(maxsize=512)
def _member(cls: type[IntEnum], number: int) -> IntEnum:
    """The same as calling the class, which takes longer; what is none of them is not kept."""
    return cls(number)


ALL_CELLS = tuple(CellId(r, k, c) for r in RemotePartyRole for k in KeyUsage for c in CellUsage)
"""Every cell there is."""
_CELL_OF_NUMBERS = {
    (int(cell.role), bytes((0x80 >> cell.key_usage,)), 7 - cell.key_usage, int(cell.cell_usage)): (
        cell
    )
    for cell in ALL_CELLS
}
"""Every cell, by the numbers of its wire form."""
_WIRE_OF_CELL = {
    (cell.role, cell.key_usage, cell.cell_usage): asn1.CellIdentifier(
        remote_party_role=int(cell.role),
        key_usage=key_usage_to_wire(cell.key_usage),
        cell_usage=int(cell.cell_usage),
    )
    for cell in ALL_CELLS
}
"""Their wire forms; nothing changes one once it is made."""
