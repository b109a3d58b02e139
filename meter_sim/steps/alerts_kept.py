"""What is kept of a device's security alerts: how each code stands, in one row of its own.

Counted in the transaction that records the refusal. A device in the midst of a flood costs one
statement for each refused message; its own row is written only when it raises an Alert.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import structlog
from sqlalchemy import select, update

from gbcs.codes import AlertCode
from meter_sim.device.alerts import PERIOD, Raised, Tally, count_refusal, raise_alert
from meter_sim.device.model import DeviceContext, DeviceState, SecurityEvent
from meter_sim.steps.outbound import AlertPush
from meter_sim.store.devices import DeviceStore
from meter_sim.store.tables import tallies
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param

_log = structlog.get_logger(__name__)

FIRST: Final = datetime.min.replace(tzinfo=UTC)

_UNSAID: Final = Prepared(
    update(tallies)
    .where(tallies.c.eui == param("of"), tallies.c.code == param("said"), tallies.c.alerted)
    .where(tallies.c.since <= param("now"), tallies.c.since > param("began"))
    .values(unsaid=tallies.c.unsaid + 1)
)
"""One more refusal where an Alert was sent and its period runs: what a flood is made of."""


class SecurityAlerts:
    """Raises a device's security alerts, in the caller's transaction.

    Args:
        devices: the devices' store.
        push: how Alerts leave.
        enabled: whether devices raise any; if not, refusals are in their Security Logs alone. The
            lab may say otherwise until it is reset.
    """

    def __init__(self, devices: DeviceStore, push: AlertPush, *, enabled: bool) -> None:
        self._devices = devices
        self._push = push
        self._by_setting = enabled
        self.enabled = enabled

    def order(self, *, enabled: bool) -> None:
        """Raise some from now on, or none."""
        _log.warning("security alerts", enabled=enabled)
        self.enabled = enabled

    async def restore(self) -> None:
        """Do as the settings say."""
        self.enabled = self._by_setting

    async def refused(
        self,
        conn: StoreConnection,
        state: DeviceState,
        event: SecurityEvent,
        context: DeviceContext,
    ) -> tuple[SecurityEvent, Raised | None]:
        """Count a refusal. If it raises an Alert: store the device, have the Alert sent.

        Returns:
            The line for the Security Log, which tells of the Alert, and the Alert.
        """
        if not self.enabled:
            return event, None
        unsaid = await _count(conn, state.eui, event.code, context)
        raised = None if unsaid is None else raise_alert(state, event.code, context)
        if raised is None:
            return event, None
        await self._devices.save(conn, state, raised.state)
        await self._push.put(conn, state.eui, raised.alert)
        suffix = f"alert {raised.state.alert_counter} to {raised.recipient}"
        if unsaid:
            suffix += f", after {unsaid} refusals that raised none"
        return SecurityEvent(event.code, f"{event.detail} [{suffix}]", event.check), raised


async def _count(conn: StoreConnection, eui: str, code: int, context: DeviceContext) -> int | None:
    at = context.at
    began = at - PERIOD if at - FIRST > PERIOD else FIRST
    asked = {"of": eui, "said": code, "now": at, "began": began}
    if (await conn.execute(_UNSAID, asked)).rowcount:
        return None
    row = await rows.find(conn, tallies, eui=eui, code=code)
    counted = count_refusal(None if row is None else _tally(row), code, at)
    tally = counted.tally
    values = {name: getattr(tally, name) for name in ("since", "refusals", "alerted", "unsaid")}
    await rows.put(conn, tallies, {"eui": eui, "code": code}, **values)
    return counted.unsaid


async def read_tallies(conn: StoreConnection, eui: str) -> list[dict[str, Any]]:
    """How each alert code that came up stands on a device."""
    query = select(tallies).where(tallies.c.eui == eui).order_by(tallies.c.code)
    return [
        {
            "code": f"0x{row.code:04X}",
            "name": AlertCode(row.code).label,
            "since": row.since.isoformat(),
            "alerted": row.alerted,
            "refusals": row.refusals,
            "unsaid": row.unsaid,
        }
        for row in (await conn.execute(query)).all()
    ]


def _tally(row: Any) -> Tally:
    return Tally(row.since, row.refusals, row.alerted, row.unsaid)
