"""Wakes when something pending falls due, by the devices' clock, or when that clock is changed."""

from __future__ import annotations

from datetime import datetime

from meter_sim.steps.power import Power
from meter_sim.steps.workflow import Workflow
from meter_sim.store.devices import DeviceStore
from meter_sim.wan.network import Wan
from services.chassis.foundation import Foundation
from services.chassis.time import due_watch


class DueWatch(due_watch.DueWatch):
    """Executes future-dated Commands, and lets the WAN carry on, when their time has come."""

    def __init__(
        self,
        base: Foundation,
        devices: DeviceStore,
        workflow: Workflow,
        wan: Wan,
        power: Power,
    ) -> None:
        super().__init__(base.clock, self._execute, self._first)
        self._database = base.database
        self._devices = devices
        self._workflow = workflow
        self._wan = wan
        self._power = power
        for tell in (workflow.when_pending, wan.when_held, power.when_on):
            tell(self.wake)

    async def _execute(self) -> None:
        await self._workflow.execute_due()
        await self._wan.release_due()

    async def _first(self) -> datetime | None:
        """When the next Command or message is due; None if nothing is."""
        async with self._database.connect() as conn:
            pending = await self._devices.next_due(conn, self._power.off)
        return min((at for at in (pending, self._wan.next_due()) if at is not None), default=None)
