"""What a device does with bytes: state and bytes and time in, new state and answer out. Pure.

Whoever calls this stores the new state and the answer together, or neither; and says nothing at
all when `Refused` or `NotUnderstood` comes back. What is executed, or kept for a date, is taken
from the evidence that the whole list of checks approved.
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
from meter_sim.device.cells import events_of, replace_credentials
from meter_sim.device.contingency import NoContingencyKeyError, contingency_key
from meter_sim.device.details import answer_details
from meter_sim.device.device_types import ACB_KA
from meter_sim.device.model import (
    DeviceContext,
    DeviceState,
    NotUnderstood,
    OwnKeys,
    Pending,
    Reaction,
)
from meter_sim.device.own_credentials import execute_own_keys
from meter_sim.device.responses import response_as_asked, signed_response
from meter_sim.device.rules import message as checks
from meter_sim.device.rules.evidence import (
    Authority,
    DetailsCommand,
    OpenedMessage,
    ReceivedCommand,
    UpdateCommand,
)
from meter_sim.device.rules.framing import open_frame
from meter_sim.device.use_cases import OWN_KEYS, authority_of, use_case_name
from services.chassis.checks import Approved, CheckRun


def process(state: DeviceState, data: bytes, context: DeviceContext, run: CheckRun) -> Reaction:
    """Hear one message.

    Args:
        state: the device as it is.
        data: what reached it.
        context: the device's own private keys, its time and its checks.
        run: a run of section "request" of those checks, which keeps the verdicts.

    Raises:
        Refused: a check said no; nothing changed, nothing is to be said.
        NotUnderstood: a check that is off let something pass that cannot be acted on.
    """
    message = _open(data, run)
    opened = OpenedMessage(message, state)
    run.apply(checks.cra, opened)
    run.apply(checks.recipient, opened)
    run.apply(checks.message_code, opened)
    authority, row = authority_of(message, state)
    command = ReceivedCommand(message, state, authority, _agree(state, authority, context.keys))
    if authority.held:
        run.apply(checks.originator, command)
    else:
        run.skip(checks.originator, "no cell names who holds the contingency key")
    run.apply(checks.contingency_key_held, command)
    run.apply(checks.mac, command)
    run.apply(checks.counter, command)
    if authority.held or _verifiable(command):
        run.apply(checks.signature, command)
    else:  # only where the contingency key check is off
        run.skip(checks.signature, "no key to verify with is held: see meter.contingency_key")
    run.apply(checks.payload, command)
    if message.message_code in OWN_KEYS:
        return _own_keys(_approve_own_keys(command, run), context)
    if row is None:
        return _details(_approve_details(command, run), context)
    facts = message, state, authority, command.z
    return _update(run.judge(UpdateCommand(*facts, row, _update_in(message))), context)


def _accepted(command: ReceivedCommand) -> DeviceState:
    """The device once it has accepted this message: its counter is the last one now."""
    role, kind = command.authority.role, command.authority.kind
    counters, counter = command.state.counters, command.message.header.counter
    return replace(command.state, counters=anti_replay.heard(counters, kind, role, counter))


def _open(data: bytes, run: CheckRun) -> Message:
    run.apply(checks.frame, data)
    try:
        frame = open_frame(data)
    except ParseError as error:  # only where the frame check is off
        raise NotUnderstood(checks.frame.id, str(error)) from None
    run.apply(checks.inner, frame)
    try:
        return frame.message()
    except ParseError:
        pass  # only where the inner check is off
    try:
        return frame.with_any_tag().message()
    except ParseError as error:
        raise NotUnderstood(checks.inner.id, str(error)) from None


def _update_in(message: Message) -> UpdateCredentials:
    try:
        return decode_update(message.payload)
    except ParseError as error:  # only where the payload check is off
        raise NotUnderstood(checks.payload.id, str(error)) from None


def _details_in(message: Message) -> ReadCredentials:
    try:
        return decode_read(message.payload)
    except ParseError as error:  # only where the payload check is off
        raise NotUnderstood(checks.payload.id, str(error)) from None


def _agree(state: DeviceState, authority: Authority, keys: OwnKeys) -> bytes | None:
    """The secret shared with the Access Control Broker; None where there is none to be had."""
    broker = state.cells.get(ACB_KA)
    if broker is None or not authority.protection.with_mac:
        return None
    try:
        return keys.shared_secret(broker)
    except KeysError:
        return None


def _verifiable(command: ReceivedCommand) -> bool:
    """Whether there is a contingency key to verify this with."""
    try:
        contingency_key(command.message, command.state.wrapped_contingency)
    except NoContingencyKeyError:
        return False
    return True


def _update(approved: Approved[UpdateCommand], context: DeviceContext) -> Reaction:
    command = approved.evidence
    message, update, role = command.message, command.update, command.authority.role
    heard = _accepted(command)
    if update.execution_date_time is None:
        done = replace_credentials(heard, update, role, context)
        return Reaction(
            done.state,
            _respond(message, done.outcome, heard, context),
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
    return Reaction(after, _respond(message, None, heard, context))


def _approve_details(command: ReceivedCommand, run: CheckRun) -> Approved[DetailsCommand]:
    details = _details_in(command.message)
    for check in (checks.mode, checks.authorising_counter, checks.floors, checks.cells_permitted):
        run.skip(check, "this use case replaces nothing")
    facts = command.message, command.state, command.authority, command.z
    return run.judge(DetailsCommand(*facts, details))


def _details(approved: Approved[DetailsCommand], context: DeviceContext) -> Reaction:
    return Reaction(_accepted(approved.evidence), answer_details(approved.evidence, context))


def _approve_own_keys(command: ReceivedCommand, run: CheckRun) -> Approved[ReceivedCommand]:
    for check in (checks.mode, checks.authorising_counter, checks.authorising_cell):
        run.skip(check, "this use case names no authority")
    for check in (checks.floors, checks.cells_permitted):
        run.skip(check, "this use case replaces no trust anchor")
    return run.judge(command)


def _own_keys(approved: Approved[ReceivedCommand], context: DeviceContext) -> Reaction:
    command = approved.evidence
    try:
        done = execute_own_keys(command.message, _accepted(command), context)
    except ParseError as error:  # only where the payload check is off
        raise NotUnderstood(checks.payload.id, str(error)) from None
    response = response_as_asked(command.message, done.payload, None, context.keys)
    return Reaction(done.state, response, verdicts=done.verdicts)


def _respond(
    message: Message, outcome: CredentialsOutcome | None, state: DeviceState, context: DeviceContext
) -> bytes:
    payload = context.written(encode_response(CredentialsResponse(outcome)))
    return signed_response(message, payload, state.device_type, context)
