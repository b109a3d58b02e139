"""CS02a and CS02f: a device says what its cells hold, and how far each role has counted.

docs/sources.md#outcomes, #device-credentials: a role without cells here is answered by
trustAnchorNotFound; in CS02f a role that no device can have is answered by other. The sequence
number given is that of Update Security Credentials, the one a party needs to know before it
replaces anything (reconstruction).
"""

from __future__ import annotations

from gbcs.codes import RemotePartyRole, StatusCode
from gbcs.payloads.credentials import CellId
from gbcs.payloads.details import (
    CredentialDetails,
    HeldCredential,
    RoleDetails,
    encode_details,
)
from meter_sim.device import anti_replay
from meter_sim.device.model import CounterKind, DeviceContext, DeviceState
from meter_sim.device.responses import response_as_asked
from meter_sim.device.rules.evidence import DetailsCommand
from meter_sim.device.use_cases import DETAILS_ROLE_8

_ONLY_CS02F = frozenset({RemotePartyRole.LOAD_CONTROLLER})
_IN_NO_DEVICE = frozenset({RemotePartyRole.ISSUING_AUTHORITY, RemotePartyRole.OTHER})


def answer_details(command: DetailsCommand, context: DeviceContext) -> bytes:
    """The Response: with a MAC to the Access Control Broker, signed to anyone else."""
    with_role_8 = command.message.message_code == DETAILS_ROLE_8
    details = tuple(
        _role_details(command.state, role, with_role_8=with_role_8)
        for role in command.details.roles
    )
    payload = context.written(encode_details(CredentialDetails(details)))
    return response_as_asked(command.message, payload, command.z, context.keys)


def _role_details(state: DeviceState, role: RemotePartyRole, *, with_role_8: bool) -> RoleDetails:
    if with_role_8 and role in _IN_NO_DEVICE:
        return RoleDetails(role, StatusCode.OTHER)
    held = tuple(
        HeldCredential(
            cell.key_usage,
            cell.cell_usage,
            certificate.subject_unique_id,
            certificate.key_identifier,
        )
        for cell, certificate in sorted(state.cells.items(), key=_by_usage)
        if cell.role is role
    )
    if not held or (role in _ONLY_CS02F and not with_role_8):
        return RoleDetails(role, StatusCode.TRUST_ANCHOR_NOT_FOUND)
    counter = anti_replay.last(state.counters, CounterKind.CREDENTIALS, role)
    return RoleDetails(role, StatusCode.SUCCESS, counter, held)


def _by_usage(item: tuple[CellId, object]) -> tuple[int, int, int]:
    cell = item[0]
    return cell.role, cell.key_usage, cell.cell_usage
