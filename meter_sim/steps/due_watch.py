"""Wakes when something pending falls due, by the devices' clock, or when that clock is changed."""

from __future__ import annotations

from datetime import datetime

from meter_sim.steps.power import Power
from meter_sim.steps.workflow import Workflow
from meter_sim.store.devices import DeviceStore
from services.chassis.context import ServiceContext
from services.chassis.time import due_watch


class DueWatch(due_watch.DueWatch):
    """Executes future-dated Commands when their time has come."""

    def __init__(
        self, base: ServiceContext, devices: DeviceStore, workflow: Workflow, power: Power
    ) -> None:
        super().__init__(base.clock, self._execute, self._first)
        self._database = base.database
        self._devices = devices
        self._workflow = workflow
        self._power = power
        for tell in (workflow.when_pending, power.when_on):
            tell(self.wake)

    async def _execute(self) -> None:
        await self._workflow.execute_due()

    async def _first(self) -> datetime | None:
        """When the next Command is due; None if none is."""
        async with self._database.connect() as conn:
            return await self._devices.next_due(conn, self._power.off)
