"""What a refusal or an act means to the device's own Security Log.

Codes: docs/sources.md#device-checks (names read in published sources; which refusal raises which is
a reconstruction). On the wire a refusal is silence, whatever the reason; that the device also
tells its own party of it, now and then, is the business of meter_sim.device.alerts.
"""

from __future__ import annotations

from typing import Final

from gbcs.codes import AlertCode
from meter_sim.device.model import SecurityEvent
from meter_sim.device.rules import message as checks

KEPT = 100
"""Entries a device keeps, the oldest falling out first (SMETS is said to ask for 100)."""

CODE_OF_CHECK: Final[dict[str, AlertCode]] = {
    checks.frame.id: AlertCode.UNUSUAL_COMMANDS,
    checks.inner.id: AlertCode.UNUSUAL_COMMANDS,
    checks.cra.id: AlertCode.UNUSUAL_COMMANDS,
    checks.recipient.id: AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS,
    checks.message_code.id: AlertCode.UNUSUAL_COMMANDS,
    checks.originator.id: AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS,
    checks.contingency_key_held.id: AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
    checks.mac.id: AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
    checks.counter.id: AlertCode.UNUSUAL_COMMANDS,
    checks.signature.id: AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
}
"""Of a message. A block that is refused, whatever the reason, is unusual."""


def event_of_refusal(check: str, detail: str) -> SecurityEvent:
    """The line for a message or a block that a check refused."""
    of_block = check.startswith("meter.block.")
    otherwise = AlertCode.UNUSUAL_COMMANDS if of_block else AlertCode.AUTHENTICATION_FAILURE
    return SecurityEvent(int(CODE_OF_CHECK.get(check, otherwise)), detail, check)
