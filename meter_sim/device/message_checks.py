"""A device's checks on a message, in the order they are made. Pure functions of evidence.

Order: docs/sources.md#device-checks, which is a reconstruction of GBCS 6.2.4 and 13.3.4 (their
text was not obtainable). The device is silent when any check of section "request" refuses,
whichever it was. Checks on a certificate on its way into a cell are in
meter_sim.device.certificate_checks.
"""

from __future__ import annotations

from typing import Any

from gbcs.codes import Cra
from gbcs.errors import MacInvalid, ParseError, SignatureInvalid
from gbcs.payloads.credentials import CellId, decode_update
from gbcs.protect import verify_mac, verify_signature
from meter_sim.device import anti_replay
from meter_sim.device.contingency import NoContingencyKeyError, contingency_key
from meter_sim.device.device_types import SUPPLIER_TOP_UP
from meter_sim.device.evidence import Asked, AskedDetails, Claimed, Heard, Opened, PayloadBytes
from meter_sim.device.field_rules import broken_field_rule
from meter_sim.device.framing import Frame, check_frame
from meter_sim.device.use_cases import is_supported, read_other_payload, use_case_name
from services.chassis.checks import Check, CheckFailed

ORDER = "docs/sources.md#device-checks (reconstruction of GBCS 6.2.4)"
FRAME_SOURCE = "GBCS 0.8.1 p163; docs/sources.md#message-layout"
TOP_UPS_OF = SUPPLIER_TOP_UP.role
"""Who has a counter of top-ups, and so a floor of it (GBCS 0.8.1 p179)."""


def _frame(heard: Heard) -> None:
    try:
        check_frame(heard.data)
    except ParseError as error:
        raise CheckFailed(str(error), "a fixed MAC header and exactly what it counts") from None


def _inner(frame: Frame) -> None:
    try:
        frame.message()
    except ParseError as error:
        raise CheckFailed(str(error), "one general-signing message, nothing after it") from None


def _cra(opened: Opened) -> None:
    found = opened.message.header.cra
    if found is not Cra.COMMAND:
        raise CheckFailed("not a Command", Cra.COMMAND.label, found.label)
    if opened.message.header.date_time is not None:
        raise CheckFailed("a Command carries no date-time", "no date-time", "12 octets")


def _recipient(opened: Opened) -> None:
    found = opened.message.header.recipient
    if found != opened.state.eui:
        raise CheckFailed("for another device", opened.state.eui, found)


def _message_code(opened: Opened) -> None:
    code = opened.message.message_code
    if not is_supported(code, opened.state.device_type):
        raise CheckFailed(
            f"{use_case_name(code)} does not exist on this type of device",
            f"a use case of {opened.state.device_type}",
            f"0x{code:04x}",
        )
    if opened.message.header.other.supplementary_remote_party_id is not None:
        raise CheckFailed("the message code is followed by more", "2 octets of other information")


def _originator(claimed: Claimed) -> None:
    found = claimed.message.header.originator
    cell, holder = claimed.authority.cell, claimed.holder
    if cell is None:
        raise CheckFailed("holds no cell from which this may be asked", None, found)
    if holder is None:
        raise CheckFailed(f"this device has no cell {cell.name}", cell.name, found)
    if found != holder.subject_eui:
        raise CheckFailed(
            f"the originator is not who {cell.name} is held by", holder.subject_eui, found
        )


def _contingency_key(claimed: Claimed) -> None:
    if claimed.authority.held:
        return
    try:
        contingency_key(claimed.message, claimed.state.wrapped_contingency)
    except NoContingencyKeyError as error:
        raise CheckFailed(str(error), "contingency key") from None


def _mac(claimed: Claimed) -> None:
    message = claimed.message
    if not claimed.authority.protection.with_mac:
        if message.mac is not None:
            raise CheckFailed("a MAC where this use case has none", "no MAC header", "MAC header")
        return
    if claimed.z is None:
        raise CheckFailed("the device holds no key of the Access Control Broker to agree with")
    try:
        verify_mac(message, claimed.z)
    except MacInvalid as error:
        raise CheckFailed(str(error), "the Access Control Broker's MAC") from None


def _counter(claimed: Claimed) -> None:
    role, kind = claimed.authority.role, claimed.authority.kind
    found = claimed.message.header.counter
    if not anti_replay.is_new(claimed.state.counters, kind, role, found):
        last = anti_replay.last(claimed.state.counters, kind, role)
        raise CheckFailed(
            f"not greater than the last {kind} counter of {role.label}",
            f"greater than {last}",
            str(found),
        )


def _signature(claimed: Claimed) -> None:
    message = claimed.message
    if message.signature is None:
        raise CheckFailed("a Pre-Command: nobody signed it", "a signature octet")
    if not claimed.authority.protection.signed:
        if message.signature:
            raise CheckFailed("a signature where this use case has none", "00", "64 octets")
        return
    if not claimed.authority.held:
        _contingency_signature(claimed)
        return
    holder = claimed.holder
    if holder is None:
        raise CheckFailed("the device holds no certificate to verify with")
    try:
        verify_signature(message, holder.public_key)
    except SignatureInvalid as error:
        raise CheckFailed(str(error), f"the signature of {holder.subject_eui}") from None


def _contingency_signature(claimed: Claimed) -> None:
    try:
        key = contingency_key(claimed.message, claimed.state.wrapped_contingency)
        verify_signature(claimed.message, key)
    except (NoContingencyKeyError, SignatureInvalid) as error:
        raise CheckFailed(str(error), "the signature of the contingency key") from None


def _payload(body: PayloadBytes) -> None:
    try:
        if body.mode is None:
            read_other_payload(body.code, body.payload)
            return
        update = decode_update(body.payload)
    except ParseError as error:
        raise CheckFailed(str(error), "the use case's payload in DER") from None
    broken = broken_field_rule(update, body.mode)
    if broken is not None:
        raise CheckFailed(broken)


def _mode(asked: Asked) -> None:
    if asked.update.mode is not asked.rule.mode:
        raise CheckFailed(
            "the payload's mode is not the message code's",
            asked.rule.mode.label,
            asked.update.mode.label,
        )


def _authorising_counter(asked: Asked) -> None:
    expected = asked.message.header.counter
    if asked.update.authorising_counter != expected:
        raise CheckFailed(
            "the authorising sequence number is not the originator counter",
            str(expected),
            str(asked.update.authorising_counter),
        )


def _authorising_cell(asked: Asked | AskedDetails) -> None:
    expected: CellId | None
    found: CellId | None
    if isinstance(asked, AskedDetails):
        expected, found = asked.authority.cell, asked.details.authorising_cell
    else:
        expected = asked.rule.authority if asked.rule.names_authority else None
        found = asked.update.authorising_cell
    if found != expected:
        raise CheckFailed(
            "the authorising cell is not the one this use case is authorised from",
            "no cell" if expected is None else expected.name,
            "no cell" if found is None else found.name,
        )


def _floors(asked: Asked) -> None:
    update, rule = asked.update, asked.rule
    if not rule.own_floor and (update.new_floor is not None or update.new_specialist_floors):
        raise CheckFailed(f"{rule.mode.label} may not set a floor of its own role")
    own = rule.authority.role
    if update.new_specialist_floors is not None and own is not TOP_UPS_OF:
        raise CheckFailed("a top-up floor is the supplier's", TOP_UPS_OF.label, own.label)
    for change in update.other_changes or ():
        if change.specialist is not None and change.role is not TOP_UPS_OF:
            raise CheckFailed(
                "a top-up floor is the supplier's", TOP_UPS_OF.label, change.role.label
            )
        if change.role not in rule.floors_of:
            raise CheckFailed(
                f"{rule.mode.label} may not set a floor of this role",
                ", ".join(sorted(role.label for role in rule.floors_of)) or "no role",
                change.role.label,
            )


def _cells_permitted(asked: Asked) -> None:
    for replacement in asked.update.replacements:
        if replacement.cell not in asked.rule.cells:
            raise CheckFailed(
                f"{asked.rule.mode.label} may not replace this cell",
                ", ".join(sorted(cell.name for cell in asked.rule.cells)),
                replacement.cell.name,
            )


FRAME = Check("meter.frame", "The outer frame is exact", FRAME_SOURCE, _frame)
INNER = Check("meter.inner", "It carries one whole signed-message frame", FRAME_SOURCE, _inner)
CRA = Check("meter.cra", "It is a Command", ORDER, _cra)
RECIPIENT = Check("meter.recipient", "It is for this device", ORDER, _recipient)
MESSAGE_CODE = Check(
    "meter.message_code", "Its use case exists on this type of device", ORDER, _message_code
)
ORIGINATOR = Check(
    "meter.originator", "It is from the holder of the authorising cell", ORDER, _originator
)
CONTINGENCY_KEY = Check(
    "meter.contingency_key",
    "The device holds the contingency key, where that is what verifies it, and can unwrap it",
    "docs/sources.md#hierarchy (reconstruction)",
    _contingency_key,
)
MAC = Check(
    "meter.mac",
    "The Access Control Broker vouches for it, with the MAC the use case asks for",
    "GBCS 0.8.1 p54 and p163; confirmed by RTDS vectors",
    _mac,
)
COUNTER = Check(
    "meter.counter",
    "It was not heard before",
    "docs/sources.md#device-checks, #counters",
    _counter,
)
SIGNATURE = Check(
    "meter.signature",
    "The holder of the authorising cell signed it",
    "GBCS 0.8.1 p163; confirmed by RTDS vectors",
    _signature,
)
PAYLOAD = Check(
    "meter.payload",
    "Its payload is DER and its fields belong together",
    "docs/sources.md#update-payload; GBCS 0.8.1 p179",
    _payload,
)
MODE = Check("meter.mode", "Mode and message code say the same", ORDER, _mode)
AUTHORISING_COUNTER = Check(
    "meter.authorising_counter",
    "Authorising sequence number and originator counter are the same",
    "docs/sources.md#device-checks step 7; equal in every RTDS command",
    _authorising_counter,
)
AUTHORISING_CELL = Check(
    "meter.authorising_cell",
    "It names the cell that authorises it",
    "docs/sources.md#modes; GBCS 0.8.1 p179",
    _authorising_cell,
)
FLOORS = Check(
    "meter.floors",
    "It sets floors only of roles the mode may change",
    "GBCS 0.8.1 p179; docs/sources.md#modes",
    _floors,
)
CELLS_PERMITTED = Check(
    "meter.cells_permitted",
    "It replaces only cells the mode may replace",
    "docs/sources.md#modes, #device-checks step 8",
    _cells_permitted,
)

MESSAGE_CHECKS: tuple[Check[Any], ...] = (
    FRAME,
    INNER,
    CRA,
    RECIPIENT,
    MESSAGE_CODE,
    ORIGINATOR,
    CONTINGENCY_KEY,
    MAC,
    COUNTER,
    SIGNATURE,
    PAYLOAD,
    MODE,
    AUTHORISING_COUNTER,
    AUTHORISING_CELL,
    FLOORS,
    CELLS_PERMITTED,
)
