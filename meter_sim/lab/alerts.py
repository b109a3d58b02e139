"""Lab routes for security alerts: how they stand on a device, and whether any are raised at all."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from meter_sim.lab.routes import known
from meter_sim.steps.alerts_kept import SecurityAlerts, read_tallies
from meter_sim.store.devices import DeviceStore
from services.chassis.context import ServiceContext


class AlertsOrder(BaseModel):
    """Whether the devices here raise security alerts, until reset or restart."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool


def alert_routes(base: ServiceContext, devices: DeviceStore, alerts: SecurityAlerts) -> APIRouter:
    """Routes for testers, whose attacks may be many."""
    router = APIRouter(tags=["alerts"])

    @router.get("/lab/devices/{eui}/alerts")
    async def show(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            state = await known(devices, conn, eui)
            found = await read_tallies(conn, eui)
        return {"eui": eui, "alert_counter": state.alert_counter, "codes": found}

    @router.get("/lab/security-alerts")
    async def enabled() -> dict[str, Any]:
        return {"enabled": alerts.enabled}

    @router.put("/lab/security-alerts")
    async def switch(order: AlertsOrder) -> dict[str, Any]:
        async with base.database.begin() as conn:
            await base.audit.append(conn, "lab.security_alerts", "devices", order.model_dump())
        alerts.order(enabled=order.enabled)
        return {"enabled": alerts.enabled}

    return router
