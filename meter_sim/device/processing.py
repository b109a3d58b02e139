"""What a device does with bytes: state and bytes and time in, new state and answer out. Pure.

Whoever calls this stores the new state and the answer together, or neither; and says nothing at
all when `Refused` or `NotUnderstood` comes back.
"""

from __future__ import annotations

from dataclasses import replace

from gbcs.date_time import from_generalized_time
from gbcs.errors import ParseError
from gbcs.message import Message, encode
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    CredentialsOutcome,
    CredentialsResponse,
    UpdateCredentials,
    decode_update,
    encode_response,
)
from gbcs.payloads.details import ReadCredentials, decode_read
from keys.errors import KeysError
from meter_sim.device import anti_replay
from meter_sim.device import message_checks as checks
from meter_sim.device.cells import events_of, replace_credentials
from meter_sim.device.contingency import NoContingencyKeyError, contingency_key
from meter_sim.device.details import answer_details
from meter_sim.device.device_types import ACB_KA
from meter_sim.device.evidence import (
    Asked,
    AskedDetails,
    Authority,
    Claimed,
    Heard,
    Opened,
    PayloadBytes,
)
from meter_sim.device.framing import open_frame
from meter_sim.device.model import DeviceState, Means, NotUnderstood, OwnKeys, Pending, Reaction
from meter_sim.device.own_credentials import obey
from meter_sim.device.responses import response_as_asked, signed_response
from meter_sim.device.use_cases import OWN_KEYS, authority_of, mode_of, use_case_name
from services.chassis.checks import CheckRun


def process(state: DeviceState, data: bytes, means: Means, run: CheckRun) -> Reaction:
    """Hear one message.

    Args:
        state: the device as it is.
        data: what reached it.
        means: the device's own private keys, its time and its checks.
        run: a run of section "request" of those checks, which keeps the verdicts.

    Raises:
        Refused: a check said no; nothing changed, nothing is to be said.
        NotUnderstood: a check that is off let something pass that cannot be acted on.
    """
    message = _open(data, run)
    opened = Opened(message, state)
    run.apply(checks.CRA, opened)
    run.apply(checks.RECIPIENT, opened)
    run.apply(checks.MESSAGE_CODE, opened)
    authority, row = authority_of(message, state)
    claimed = Claimed(message, state, authority)
    if authority.held:
        run.apply(checks.ORIGINATOR, claimed)
    else:
        run.skip(checks.ORIGINATOR, "no cell names who holds the contingency key")
    run.apply(checks.CONTINGENCY_KEY, claimed)
    run.apply(checks.MAC, replace(claimed, z=_agree(state, authority, means.keys)))
    run.apply(checks.COUNTER, claimed)
    if authority.held or _verifiable(claimed):
        run.apply(checks.SIGNATURE, claimed)
    else:  # only where the contingency key check is off
        run.skip(checks.SIGNATURE, "no key to verify with is held: see meter.contingency_key")
    code = message.message_code
    run.apply(checks.PAYLOAD, PayloadBytes(message.payload, code, mode_of(code)))
    role, kind, counter = authority.role, authority.kind, message.header.counter
    heard = replace(state, counters=anti_replay.heard(state.counters, kind, role, counter))
    if code in OWN_KEYS:
        return _own_keys(message, heard, means, run)
    if row is None:
        return _details(claimed, heard, means, run)
    return _update(Asked(message, state, row, _update_in(message)), heard, means, run)


def _open(data: bytes, run: CheckRun) -> Message:
    run.apply(checks.FRAME, Heard(data))
    try:
        frame = open_frame(data)
    except ParseError as error:  # only where the frame check is off
        raise NotUnderstood(checks.FRAME.id, str(error)) from None
    run.apply(checks.INNER, frame)
    try:
        return frame.message()
    except ParseError:
        pass  # only where the inner check is off
    try:
        return frame.with_any_tag().message()
    except ParseError as error:
        raise NotUnderstood(checks.INNER.id, str(error)) from None


def _update_in(message: Message) -> UpdateCredentials:
    try:
        return decode_update(message.payload)
    except ParseError as error:  # only where the payload check is off
        raise NotUnderstood(checks.PAYLOAD.id, str(error)) from None


def _details_in(message: Message) -> ReadCredentials:
    try:
        return decode_read(message.payload)
    except ParseError as error:  # only where the payload check is off
        raise NotUnderstood(checks.PAYLOAD.id, str(error)) from None


def _agree(state: DeviceState, authority: Authority, keys: OwnKeys) -> bytes | None:
    """The secret shared with the Access Control Broker; None where there is none to be had."""
    broker = state.cells.get(ACB_KA)
    if broker is None or not authority.protection.with_mac:
        return None
    try:
        return keys.shared_secret(broker)
    except KeysError:
        return None


def _verifiable(claimed: Claimed) -> bool:
    """Whether there is a contingency key to verify this with."""
    try:
        contingency_key(claimed.message, claimed.state.wrapped_contingency)
    except NoContingencyKeyError:
        return False
    return True


def _update(asked: Asked, heard: DeviceState, means: Means, run: CheckRun) -> Reaction:
    message, update, role = asked.message, asked.update, asked.rule.authority.role
    run.apply(checks.MODE, asked)
    run.apply(checks.AUTHORISING_COUNTER, asked)
    run.apply(checks.AUTHORISING_CELL, asked)
    run.apply(checks.FLOORS, asked)
    run.apply(checks.CELLS_PERMITTED, asked)
    run.approve()
    if update.execution_date_time is None:
        done = replace_credentials(heard, update, role, means)
        return Reaction(
            done.state,
            _respond(message, done.outcome, heard, means),
            events=events_of(use_case_name(message.message_code), done),
            cells=done.cells,
            outcome=done.outcome,
        )
    if update.execution_date_time == CANCEL_EXECUTION:
        after = replace(heard, pending={r: p for r, p in heard.pending.items() if r != role})
    else:
        pending = Pending(
            role=role,
            message=encode(message),
            reference=message.reference,
            execution_date_time=update.execution_date_time,
            due=from_generalized_time(update.execution_date_time),
        )
        after = replace(heard, pending={**heard.pending, role: pending})
    return Reaction(after, _respond(message, None, heard, means))


def _details(claimed: Claimed, heard: DeviceState, means: Means, run: CheckRun) -> Reaction:
    details = _details_in(claimed.message)
    for check in (checks.MODE, checks.AUTHORISING_COUNTER, checks.FLOORS, checks.CELLS_PERMITTED):
        run.skip(check, "this use case replaces nothing")
    run.apply(checks.AUTHORISING_CELL, AskedDetails(claimed.state, claimed.authority, details))
    run.approve()
    return Reaction(heard, answer_details(claimed, details, means))


def _own_keys(message: Message, heard: DeviceState, means: Means, run: CheckRun) -> Reaction:
    for check in (checks.MODE, checks.AUTHORISING_COUNTER, checks.AUTHORISING_CELL):
        run.skip(check, "this use case names no authority")
    for check in (checks.FLOORS, checks.CELLS_PERMITTED):
        run.skip(check, "this use case replaces no trust anchor")
    run.approve()
    try:
        done = obey(message, heard, means)
    except ParseError as error:  # only where the payload check is off
        raise NotUnderstood(checks.PAYLOAD.id, str(error)) from None
    said = response_as_asked(message, done.payload, None, means.keys)
    return Reaction(done.state, said, verdicts=done.verdicts)


def _respond(
    message: Message, outcome: CredentialsOutcome | None, state: DeviceState, means: Means
) -> bytes:
    payload = means.written(encode_response(CredentialsResponse(outcome)))
    return signed_response(message, payload, state.device_type, means)
