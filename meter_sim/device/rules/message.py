"""A device's checks on a message. Pure functions of evidence.

Their order (meter_sim.checks) is docs/sources.md#device-checks, a reconstruction of GBCS 6.2.4 and
13.3.4 (their text was not obtainable). The device is silent when any of them refuses, whichever it
was. Checks on a certificate on its way into a cell are in meter_sim.device.rules.certificate.
"""

from __future__ import annotations

from typing import Final

from gbcs.codes import Cra
from gbcs.errors import MacInvalid, ParseError, SignatureInvalid
from gbcs.payloads.credentials import CellId, decode_update
from gbcs.protect import verify_mac, verify_signature
from meter_sim.device import anti_replay
from meter_sim.device.contingency import NoContingencyKeyError, contingency_key
from meter_sim.device.device_types import SUPPLIER_TOP_UP
from meter_sim.device.rules.evidence import (
    DetailsCommand,
    OpenedMessage,
    ReceivedCommand,
    UpdateCommand,
)
from meter_sim.device.rules.fields import broken_field_rule
from meter_sim.device.rules.framing import Frame, check_frame
from meter_sim.device.use_cases import is_supported, mode_of, read_other_payload, use_case_name
from services.chassis.checks import CheckFailed, check

SECTION: Final = "request"
ORDER: Final = "docs/sources.md#device-checks (reconstruction of GBCS 6.2.4)"
FRAME_SOURCE: Final = "GBCS 0.8.1 p163; docs/sources.md#message-layout"
TOP_UPS_OF: Final = SUPPLIER_TOP_UP.role
"""Who has a counter of top-ups, and so a floor of it (GBCS 0.8.1 p179)."""


@check("meter.frame", source=FRAME_SOURCE, section=SECTION)
def frame(data: bytes) -> None:
    """The outer frame is exact."""
    try:
        check_frame(data)
    except ParseError as error:
        raise CheckFailed(str(error), "a fixed MAC header and exactly what it counts") from None


@check("meter.inner", source=FRAME_SOURCE, section=SECTION)
def inner(opened: Frame) -> None:
    """It carries one whole signed-message frame."""
    try:
        opened.message()
    except ParseError as error:
        raise CheckFailed(str(error), "one general-signing message, nothing after it") from None


@check("meter.cra", source=ORDER, section=SECTION)
def cra(opened: OpenedMessage) -> None:
    """It is a Command."""
    found = opened.message.header.cra
    if found is not Cra.COMMAND:
        raise CheckFailed("not a Command", Cra.COMMAND.label, found.label)
    if opened.message.header.date_time is not None:
        raise CheckFailed("a Command carries no date-time", "no date-time", "12 octets")


@check("meter.recipient", source=ORDER, section=SECTION)
def recipient(opened: OpenedMessage) -> None:
    """It is for this device."""
    found = opened.message.header.recipient
    if found != opened.state.eui:
        raise CheckFailed("for another device", opened.state.eui, found)


@check("meter.message_code", source=ORDER, section=SECTION)
def message_code(opened: OpenedMessage) -> None:
    """Its use case exists on this type of device."""
    code = opened.message.message_code
    if not is_supported(code, opened.state.device_type):
        raise CheckFailed(
            f"{use_case_name(code)} does not exist on this type of device",
            f"a use case of {opened.state.device_type}",
            f"0x{code:04x}",
        )
    if opened.message.header.other.supplementary_remote_party_id is not None:
        raise CheckFailed("the message code is followed by more", "2 octets of other information")


@check("meter.originator", source=ORDER, section=SECTION)
def originator(command: ReceivedCommand) -> None:
    """It is from the holder of the authorising cell."""
    found = command.message.header.originator
    cell, holder = command.authority.cell, command.holder
    if cell is None:
        raise CheckFailed("holds no cell from which this may be asked", None, found)
    if holder is None:
        raise CheckFailed(f"this device has no cell {cell.name}", cell.name, found)
    if found != holder.subject_eui:
        raise CheckFailed(
            f"the originator is not who {cell.name} is held by", holder.subject_eui, found
        )


@check(
    "meter.contingency_key", source="docs/sources.md#hierarchy (reconstruction)", section=SECTION
)
def contingency_key_held(command: ReceivedCommand) -> None:
    """The device holds the contingency key, where that is what verifies it, and can unwrap it."""
    if command.authority.held:
        return
    try:
        contingency_key(command.message, command.state.wrapped_contingency)
    except NoContingencyKeyError as error:
        raise CheckFailed(str(error), "contingency key") from None


@check("meter.mac", source="GBCS 0.8.1 p54 and p163; confirmed by RTDS vectors", section=SECTION)
def mac(command: ReceivedCommand) -> None:
    """The Access Control Broker vouches for it, with the MAC the use case asks for."""
    message = command.message
    if not command.authority.protection.with_mac:
        if message.mac is not None:
            raise CheckFailed("a MAC where this use case has none", "no MAC header", "MAC header")
        return
    if command.z is None:
        raise CheckFailed("the device holds no key of the Access Control Broker to agree with")
    try:
        verify_mac(message, command.z)
    except MacInvalid as error:
        raise CheckFailed(str(error), "the Access Control Broker's MAC") from None


@check("meter.counter", source="docs/sources.md#device-checks, #counters", section=SECTION)
def counter(command: ReceivedCommand) -> None:
    """It was not heard before."""
    role, kind = command.authority.role, command.authority.kind
    found = command.message.header.counter
    if not anti_replay.is_new(command.state.counters, kind, role, found):
        last = anti_replay.last(command.state.counters, kind, role)
        raise CheckFailed(
            f"not greater than the last {kind} counter of {role.label}",
            f"greater than {last}",
            str(found),
        )


@check("meter.signature", source="GBCS 0.8.1 p163; confirmed by RTDS vectors", section=SECTION)
def signature(command: ReceivedCommand) -> None:
    """The holder of the authorising cell signed it."""
    message = command.message
    if message.signature is None:
        raise CheckFailed("a Pre-Command: nobody signed it", "a signature octet")
    if not command.authority.protection.signed:
        if message.signature:
            raise CheckFailed("a signature where this use case has none", "00", "64 octets")
        return
    if not command.authority.held:
        _contingency_signature(command)
        return
    holder = command.holder
    if holder is None:
        raise CheckFailed("the device holds no certificate to verify with")
    try:
        verify_signature(message, holder.public_key)
    except SignatureInvalid as error:
        raise CheckFailed(str(error), f"the signature of {holder.subject_eui}") from None


def _contingency_signature(command: ReceivedCommand) -> None:
    try:
        key = contingency_key(command.message, command.state.wrapped_contingency)
        verify_signature(command.message, key)
    except (NoContingencyKeyError, SignatureInvalid) as error:
        raise CheckFailed(str(error), "the signature of the contingency key") from None


@check("meter.payload", source="docs/sources.md#update-payload; GBCS 0.8.1 p179", section=SECTION)
def payload(command: ReceivedCommand) -> None:
    """Its payload is DER and its fields belong together."""
    code, octets = command.message.message_code, command.message.payload
    expected = mode_of(code)
    try:
        if expected is None:
            read_other_payload(code, octets)
            return
        update = decode_update(octets)
    except ParseError as error:
        raise CheckFailed(str(error), "the use case's payload in DER") from None
    broken = broken_field_rule(update, expected)
    if broken is not None:
        raise CheckFailed(broken)


@check("meter.mode", source=ORDER, section=SECTION)
def mode(command: UpdateCommand) -> None:
    """Mode and message code say the same."""
    if command.update.mode is not command.rule.mode:
        raise CheckFailed(
            "the payload's mode is not the message code's",
            command.rule.mode.label,
            command.update.mode.label,
        )


@check(
    "meter.authorising_counter",
    source="docs/sources.md#device-checks step 7; equal in every RTDS command",
    section=SECTION,
)
def authorising_counter(command: UpdateCommand) -> None:
    """Authorising sequence number and originator counter are the same."""
    expected = command.message.header.counter
    if command.update.authorising_counter != expected:
        raise CheckFailed(
            "the authorising sequence number is not the originator counter",
            str(expected),
            str(command.update.authorising_counter),
        )


@check("meter.authorising_cell", source="docs/sources.md#modes; GBCS 0.8.1 p179", section=SECTION)
def authorising_cell(command: UpdateCommand | DetailsCommand) -> None:
    """It names the cell that authorises it."""
    expected: CellId | None
    found: CellId | None
    if isinstance(command, DetailsCommand):
        expected, found = command.authority.cell, command.details.authorising_cell
    else:
        expected = command.rule.authority if command.rule.names_authority else None
        found = command.update.authorising_cell
    if found != expected:
        raise CheckFailed(
            "the authorising cell is not the one this use case is authorised from",
            "no cell" if expected is None else expected.name,
            "no cell" if found is None else found.name,
        )


@check("meter.floors", source="GBCS 0.8.1 p179; docs/sources.md#modes", section=SECTION)
def floors(command: UpdateCommand) -> None:
    """It sets floors only of roles the mode may change."""
    update, rule = command.update, command.rule
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


@check(
    "meter.cells_permitted", source="docs/sources.md#modes, #device-checks step 8", section=SECTION
)
def cells_permitted(command: UpdateCommand) -> None:
    """It replaces only cells the mode may replace."""
    for replacement in command.update.replacements:
        if replacement.cell not in command.rule.cells:
            raise CheckFailed(
                f"{command.rule.mode.label} may not replace this cell",
                ", ".join(sorted(cell.name for cell in command.rule.cells)),
                replacement.cell.name,
            )
