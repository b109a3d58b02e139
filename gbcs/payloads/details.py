"""CS02a and CS02f, Provide Security Credential Details: what a device's cells hold.

    command   SEQUENCE { authorising cell, SEQUENCE OF RemotePartyRole }
    response  SEQUENCE OF { role, status ENUMERATED,
                            [ current sequence number, SEQUENCE OF { key usage,
                              cell usage DEFAULT management, subject (8), key identifier (8) } ] }

A role a device does not have gives status trustAnchorNotFound and nothing more. CS02f has the same
payloads and allows role loadController. docs/sources.md#outcomes, #device-credentials; confirmed by
RTDS vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gbcs.codes import CellUsage, KeyUsage, RemotePartyRole, StatusCode
from gbcs.errors import EncodeError, ParseError
from gbcs.payloads import asn1
from gbcs.payloads.cells import (
    CellId,
    cell_from_wire,
    cell_to_wire,
    cell_usage_from_wire,
    key_usage_from_wire,
    key_usage_to_wire,
    role_from_wire,
)
from gbcs.payloads.outcomes import (
    as_read,
    identifier_from_wire,
    identifier_to_wire,
    status_from_wire,
)
from gbcs.payloads.seq_numbers import number_from_wire, number_to_wire

_READ = "credential details command"
_DETAILS = "credential details response"


@dataclass(frozen=True, slots=True)
class ReadCredentials:
    """Whose credentials are asked for, by the authority of the key in which cell."""

    authorising_cell: CellId
    roles: tuple[RemotePartyRole, ...]


@dataclass(frozen=True, slots=True)
class HeldCredential:
    """What one cell of a role holds; subject and key identifier are 8 octets each."""

    key_usage: KeyUsage
    cell_usage: CellUsage
    subject: bytes
    key_id: bytes


@dataclass(frozen=True, slots=True)
class RoleDetails:
    """One role: its status and, if it has cells, its current sequence number and what they hold.

    `current_counter` and `held` are both there or both None.
    """

    role: RemotePartyRole
    status: StatusCode
    current_counter: int | None = None
    held: tuple[HeldCredential, ...] | None = None


@dataclass(frozen=True, slots=True)
class CredentialDetails:
    """The response: one entry for each role asked for."""

    roles: tuple[RoleDetails, ...]
    raw: bytes | None = field(default=None, compare=False, repr=False, kw_only=True)


def encode_read(read: ReadCredentials) -> bytes:
    """Write a command payload in DER.

    Raises:
        EncodeError: a value does not fit its type.
    """
    wire = asn1.ReadCommand(
        authorising_cell=cell_to_wire(read.authorising_cell),
        roles=[int(role) for role in read.roles],
    )
    return asn1.write(wire, _READ)


def decode_read(payload: bytes) -> ReadCredentials:
    """Read a command payload, which must be DER.

    Raises:
        ParseError: it is not that.
    """
    wire = asn1.read(asn1.ReadCommand, payload, _READ)
    return ReadCredentials(
        cell_from_wire(wire.authorising_cell, _READ),
        tuple(role_from_wire(role, _READ) for role in wire.roles),
    )


def encode_details(details: CredentialDetails) -> bytes:
    """Write a response payload: as it was read if it was, otherwise in DER.

    Raises:
        EncodeError: a value does not fit its type, or a counter comes without cells.
    """
    if details.raw is not None and as_read(details, details.raw, decode_details):
        return details.raw
    wire = asn1.ReadResponse(roles=[_role_to_wire(role) for role in details.roles])
    return asn1.write_list(wire, _DETAILS)


def decode_details(payload: bytes) -> CredentialDetails:
    """Read a response payload; it need not be DER (see gbcs.payloads.device_ber).

    Raises:
        ParseError: it is not that.
    """
    wire = asn1.read_list(asn1.ReadResponse, payload, _DETAILS, as_devices_write=True)
    return CredentialDetails(
        tuple(_role_from_wire(role) for role in wire.roles), raw=bytes(payload)
    )


def _role_to_wire(details: RoleDetails) -> asn1.RoleDetails:
    counter, held = details.current_counter, details.held
    if (counter is None) != (held is None):
        raise EncodeError(f"{_DETAILS}: current sequence number and cells go together")
    return asn1.RoleDetails(
        remote_party_role=int(details.role),
        status=asn1.enumerated(int(details.status)),
        current_counter=None if counter is None else number_to_wire(counter, "current counter"),
        cells=None if held is None else [_held_to_wire(cell) for cell in held],
    )


def _held_to_wire(held: HeldCredential) -> asn1.CellContents:
    return asn1.CellContents(
        key_usage=key_usage_to_wire(held.key_usage),
        cell_usage=int(held.cell_usage),
        subject=identifier_to_wire(held.subject, "subject"),
        key_id=identifier_to_wire(held.key_id, "key identifier"),
    )


def _role_from_wire(details: asn1.RoleDetails) -> RoleDetails:
    counter, cells = details.current_counter, details.cells
    if (counter is None) != (cells is None):
        raise ParseError(f"{_DETAILS}: current sequence number and cells go together")
    return RoleDetails(
        role_from_wire(details.remote_party_role, _DETAILS),
        status_from_wire(details.status, _DETAILS),
        None if counter is None else number_from_wire(counter, f"{_DETAILS}: current counter"),
        None if cells is None else tuple(_held_from_wire(cell) for cell in cells),
    )


def _held_from_wire(cell: asn1.CellContents) -> HeldCredential:
    return HeldCredential(
        key_usage_from_wire(cell.key_usage, _DETAILS),
        cell_usage_from_wire(cell.cell_usage, _DETAILS),
        identifier_from_wire(cell.subject, f"{_DETAILS}: subject"),
        identifier_from_wire(cell.key_id, f"{_DETAILS}: key identifier"),
    )
