"""Security alerts: what a device tells its own party when it was spoken to wrongly. Pure.

A refused message is met with silence whoever sent it; the party that is responsible for the device
is told by an Alert: message code 0x1000, payload as in gbcs.payloads.alerts, signed by the device,
counted by its own alert counter, to one recipient.

Codes and their names are published (docs/sources.md#device-checks). Everything else is a
reconstruction and is named here, save which refusal raises which code
(meter_sim.device.security_log):

- `RECIPIENT`: who is told, by type of device. A published manual of a real meter names WAN
  provider, Broker and supplier "by device"; here it is whoever holds the one cell named, which on
  a device the Broker still controls is the Broker itself.
- `PERIOD`: a device raises one code at most once in that time of its own clock, so that a flood
  of garbage is no flood of Alerts. What it keeps to itself meanwhile is counted, and the next
  Alert of that code says how many in the Security Log.
- `NUMBER`: how many refusals within a period raise a code. "Unusual numbers" of messages that
  cannot be read, or come out of order, are more than the network's ordinary repetitions give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from gbcs.codes import AlertCode, MessageCode
from gbcs.payloads.alerts import GenericAlert, ZigBeeAlert, encode_generic_alert
from gbcs.payloads.credentials import CellId
from meter_sim.device.device_types import CELLS, SUPPLIER_DS, WAN_PROVIDER_DS, DeviceType
from meter_sim.device.model import DeviceContext, DeviceState
from meter_sim.device.responses import signed_alert

PERIOD: Final = timedelta(hours=1)
"""At most one Alert of a code in this time, by the device's clock."""

NUMBER: Final = {int(AlertCode.UNUSUAL_COMMANDS): 5}
"""Refusals within a `PERIOD` that raise a code; one, for codes not named here."""

RECIPIENT: Final[dict[DeviceType, CellId]] = {
    kind: SUPPLIER_DS if SUPPLIER_DS in table.required else WAN_PROVIDER_DS
    for kind, table in CELLS.items()
}
"""The cell whose holder is told: the supplier's; on a Communications Hub the WAN provider's."""

SPEAK_ZIGBEE: Final = frozenset(
    {DeviceType.GSME, DeviceType.GPF, DeviceType.CHF, DeviceType.HCALCS, DeviceType.PPMID}
)
"""Devices whose Alerts are in the ZigBee form: gas meters and hubs by RTDS vectors."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How one alert code stands on one device.

    Attributes:
        since: when the first of the refusals counted came, or when the last Alert was sent.
        refusals: those counted towards an Alert since then; 0 after it.
        alerted: whether `since` is the time of an Alert.
        unsaid: refusals that raised no Alert because one had been sent not long before.
    """

    since: datetime
    refusals: int
    alerted: bool
    unsaid: int = 0

    def lasts(self, at: datetime) -> bool:
        """Whether the period begun at `since` still runs. It does not where time went back."""
        return timedelta(0) <= at - self.since < PERIOD


@dataclass(frozen=True, slots=True)
class Counted:
    """One more refusal, counted.

    Attributes:
        tally: how the code stands now.
        unsaid: if an Alert is due: how many refusals before it raised none; else None.
    """

    tally: Tally
    unsaid: int | None


def count_refusal(tally: Tally | None, code: int, at: datetime) -> Counted:
    """Count a refusal of this code, and say whether it raises an Alert.

    Args:
        tally: how the code stood; None if it never came up.
        code: alert code.
        at: the device's time.
    """
    unsaid = 0 if tally is None else tally.unsaid
    if tally is not None and tally.alerted and tally.lasts(at):
        return Counted(replace(tally, unsaid=unsaid + 1), None)
    counting = tally is not None and not tally.alerted and tally.lasts(at)
    since, count = (tally.since, tally.refusals + 1) if tally and counting else (at, 1)
    if count < NUMBER.get(code, 1):
        return Counted(Tally(since, count, alerted=False, unsaid=unsaid), None)
    return Counted(Tally(at, 0, alerted=True), unsaid)


@dataclass(frozen=True, slots=True)
class Raised:
    """An Alert, and the device that gave it: they belong together, as a Reaction's do."""

    state: DeviceState
    alert: bytes
    recipient: str


def raise_alert(state: DeviceState, code: int, context: DeviceContext) -> Raised | None:
    """The Alert of this code, with the next alert counter; None if there is nobody to tell."""
    holder = state.cells.get(RECIPIENT[state.device_type])
    recipient = None if holder is None else holder.subject_eui
    if recipient is None:
        return None
    after = replace(state, alert_counter=state.alert_counter + 1)
    counter = after.alert_counter
    payload = encode_generic_alert(
        ZigBeeAlert.at(code, context.at)
        if state.device_type in SPEAK_ZIGBEE
        else GenericAlert.at(code, context.at, counter)
    )
    message_code = MessageCode.GENERIC_CRITICAL_ALERT
    alert = signed_alert(after, recipient, message_code, payload, context.keys)
    return Raised(after, alert, recipient)
