"""Executing what was accepted for later, when its time has come. Pure, as processing is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gbcs.codes import (
    AlertCode,
    CredentialsReplacementMode,
    MessageCode,
    RemotePartyRole,
    StatusCode,
)
from gbcs.message import decode
from gbcs.payloads.credentials import CredentialsAlert, decode_update, encode_alert
from meter_sim.device.cells import events_of, replace_credentials
from meter_sim.device.model import DeviceContext, DeviceState, Reaction, SecurityEvent
from meter_sim.device.responses import signed_alert
from meter_sim.device.use_cases import use_case_name

_LOAD_CONTROLLER_MODES = frozenset(
    {
        CredentialsReplacementMode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER,
        CredentialsReplacementMode.LOAD_CONTROLLER_BY_SUPPLIER,
    }
)


def due_roles(state: DeviceState, at: datetime) -> tuple[RemotePartyRole, ...]:
    """The roles whose pending Command is due, the earliest first."""
    due = [pending for pending in state.pending.values() if pending.due <= at]
    return tuple(pending.role for pending in sorted(due, key=lambda p: (p.due, p.role)))


def execute(state: DeviceState, role: RemotePartyRole, context: DeviceContext) -> Reaction:
    """Execute the pending Command of `role`. What is said is an Alert to its originator.

    Certificates are judged at this moment, by what the device holds now. Alert code 0x8F66 if every
    cell succeeded, else 0x8F67 (docs/sources.md#outcomes).
    """
    pending = state.pending[role]
    message = decode(pending.message)
    update = decode_update(message.payload)
    left = {other: kept for other, kept in state.pending.items() if other is not role}
    base = replace(state, pending=left, alert_counter=state.alert_counter + 1)
    done = replace_credentials(base, update, role, context)
    good = all(cell.status is StatusCode.SUCCESS for cell in done.cells)
    code = AlertCode.FUTURE_DATED_SUCCESS if good else AlertCode.FUTURE_DATED_FAILURE
    alert = CredentialsAlert(int(code), pending.execution_date_time, done.outcome)
    signed = signed_alert(
        base,
        message.header.originator,
        _alert_message(update.mode),
        context.written(encode_alert(alert)),
        context.keys,
    )
    name = use_case_name(message.message_code)
    events = (
        *events_of(name, done),
        SecurityEvent(code, f"{name}, {pending.reference}"),
    )
    return Reaction(done.state, signed, events, done.cells, done.outcome)


def _alert_message(mode: CredentialsReplacementMode) -> int:
    if mode in _LOAD_CONTROLLER_MODES:
        return MessageCode.UPDATE_LOAD_CONTROLLER_CREDENTIALS_ALERT
    return MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT
