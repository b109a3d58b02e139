"""Which use cases a type of device knows, and who may issue each: the message code decides.

CS02c, CS02d and CS02e (docs/sources.md#device-credentials) are critical: signed by the supplier,
with the Broker's MAC (confirmed by RTDS vectors, for an ESME). That they exist wherever there is a
supplier's signing cell, and on no other device, is a reconstruction.

CS02b and CS02g by the table in meter_sim.device.modes; CS02a and CS02f
(docs/sources.md#device-credentials): the Access Control Broker asks with a MAC alone, any other
party of the device with a signature alone. That CS02f exists where a load controller cell may exist
is docs/sources.md#device-credentials (ESME, SAPC); on other types it is not known.
"""

from __future__ import annotations

from gbcs.codes import (
    MODE_OF_MESSAGE_CODE,
    USE_CASES,
    CredentialsReplacementMode,
    KeyUsage,
    MessageCode,
    RemotePartyRole,
)
from gbcs.errors import ParseError
from gbcs.message import Message
from gbcs.payloads.credentials import CellId
from gbcs.payloads.details import decode_read
from gbcs.payloads.device_certificates import decode_certificate_update, decode_key_usage_request
from meter_sim.device.device_types import CELLS, LOAD_CONTROLLER_CELLS, SUPPLIER_DS, DeviceType
from meter_sim.device.model import CounterKind, DeviceState, NotUnderstood
from meter_sim.device.modes import ModeRule, Protection, rule
from meter_sim.device.rules.evidence import Authority

DETAILS = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS
DETAILS_ROLE_8 = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS_ROLE_8
ISSUE_CREDENTIALS = MessageCode.ISSUE_SECURITY_CREDENTIALS
UPDATE_CERTIFICATE = MessageCode.UPDATE_DEVICE_CERTIFICATE
PROVIDE_CERTIFICATE = MessageCode.PROVIDE_DEVICE_CERTIFICATE
OWN_KEYS = frozenset({ISSUE_CREDENTIALS, UPDATE_CERTIFICATE, PROVIDE_CERTIFICATE})
OWN_KEYS_DEVICES = frozenset(kind for kind, table in CELLS.items() if SUPPLIER_DS in table.required)
DETAILS_DEVICES = frozenset(DeviceType)
DETAILS_ROLE_8_DEVICES = frozenset(
    kind for kind, table in CELLS.items() if table.optional >= LOAD_CONTROLLER_CELLS
)


def use_case_name(code: int) -> str:
    """The use case of a message code, or its number."""
    return USE_CASES.get(code, f"message code 0x{code:04x}")


def mode_of(code: int) -> CredentialsReplacementMode | None:
    """The mode a message code stands for; None for CS02a and CS02f and whatever is unknown."""
    return MODE_OF_MESSAGE_CODE.get(code)


def is_supported(code: int, device_type: DeviceType) -> bool:
    """Whether this type of device knows the use case."""
    mode = mode_of(code)
    if mode is not None:
        return device_type in rule(mode, device_type).devices
    if code in OWN_KEYS:
        return device_type in OWN_KEYS_DEVICES
    if code == DETAILS:
        return device_type in DETAILS_DEVICES
    return code == DETAILS_ROLE_8 and device_type in DETAILS_ROLE_8_DEVICES


def read_other_payload(code: int, payload: bytes) -> None:
    """Read the payload of a use case that is not Update Security Credentials.

    Raises:
        ParseError: it is not what the use case carries.
    """
    if code == UPDATE_CERTIFICATE:
        decode_certificate_update(payload)
    elif code in OWN_KEYS:
        decode_key_usage_request(payload)
    else:
        decode_read(payload)


def authority_of(message: Message, state: DeviceState) -> tuple[Authority, ModeRule | None]:
    """Who may have issued this message, and the row of the table that governs it.

    Raises:
        NotUnderstood: the device knows no such use case at all.
    """
    code = message.message_code
    mode = mode_of(code)
    if mode is not None:
        row = rule(mode, state.device_type)
        return Authority(row.authority, CounterKind.CREDENTIALS, row.protection, row.held), row
    if code in OWN_KEYS:
        return Authority(SUPPLIER_DS, CounterKind.COMMANDS, Protection.SIGNATURE_AND_MAC), None
    if code in (DETAILS, DETAILS_ROLE_8):
        return _authority_of_reader(message, state), None
    raise NotUnderstood("meter.message_code", f"{use_case_name(code)}: no such use case")


def _authority_of_reader(message: Message, state: DeviceState) -> Authority:
    """Who asks for details: the Broker by MAC, or the holder of a signing cell by signature.

    Which of several cells of one holder is taken from the payload, unverified as it still is: the
    signature decides afterwards whether that was true.
    """
    if message.mac is not None:
        cell = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, KeyUsage.KEY_AGREEMENT)
        named = _named_cell(message)
        if named is not None and named.role is RemotePartyRole.ACCESS_CONTROL_BROKER:
            cell = named
        return Authority(cell, CounterKind.COMMANDS, Protection.MAC_ONLY)
    held = [
        cell
        for cell, certificate in state.cells.items()
        if cell.key_usage is KeyUsage.DIGITAL_SIGNATURE
        and certificate.subject_eui == message.header.originator
    ]
    named = _named_cell(message)
    cell_named = named if named in held else None
    found = cell_named or (held[0] if held else None)
    return Authority(found, CounterKind.COMMANDS, Protection.SIGNATURE_ONLY)


def _named_cell(message: Message) -> CellId | None:
    try:
        return decode_read(message.payload).authorising_cell
    except ParseError:
        return None
