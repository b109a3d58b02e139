"""What a refusal or an act means to the device's own Security Log.

Codes: docs/sources.md#device-checks (names read in published sources; which refusal raises which is
a reconstruction). On the wire a refusal is silence, whatever the reason; that the device also
tells its own party of it, now and then, is the business of meter_sim.device.alerts.
"""

from __future__ import annotations

from gbcs.codes import AlertCode
from meter_sim.device import message_checks as checks
from meter_sim.device.block_checks import BLOCK_CHECKS
from meter_sim.device.model import SecurityEvent

KEPT = 100
"""Entries a device keeps, the oldest falling out first (SMETS is said to ask for 100)."""

CODE_OF_CHECK: dict[str, AlertCode] = {
    **{check.id: AlertCode.UNUSUAL_COMMANDS for check in BLOCK_CHECKS},
    checks.FRAME.id: AlertCode.UNUSUAL_COMMANDS,
    checks.INNER.id: AlertCode.UNUSUAL_COMMANDS,
    checks.CRA.id: AlertCode.UNUSUAL_COMMANDS,
    checks.RECIPIENT.id: AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS,
    checks.MESSAGE_CODE.id: AlertCode.UNUSUAL_COMMANDS,
    checks.ORIGINATOR.id: AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS,
    checks.CONTINGENCY_KEY.id: AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
    checks.MAC.id: AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
    checks.COUNTER.id: AlertCode.UNUSUAL_COMMANDS,
    checks.SIGNATURE.id: AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
}


def event_of_refusal(check: str, detail: str) -> SecurityEvent:
    """The line for a message that a check refused."""
    code = CODE_OF_CHECK.get(check, AlertCode.AUTHENTICATION_FAILURE)
    return SecurityEvent(int(code), detail, check)
