"""Wakes when something pending falls due, by the devices' clock, or when that clock is changed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import structlog

from meter_sim.power import Power
from meter_sim.store import DeviceStore
from meter_sim.wan import Wan
from meter_sim.workflow import Workflow
from services.chassis.foundation import Foundation

LONGEST_SLEEP: Final = 60.0  # seconds; a machine's clock may be corrected meanwhile
AFTER_A_FAILURE: Final = 1.0  # seconds

_log = structlog.get_logger(__name__)


class DueWatch:
    """Executes future-dated Commands, and lets the WAN carry on, when their time has come."""

    def __init__(
        self,
        base: Foundation,
        devices: DeviceStore,
        workflow: Workflow,
        wan: Wan,
        power: Power,
    ) -> None:
        self._base = base
        self._devices = devices
        self._workflow = workflow
        self._wan = wan
        self._power = power
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        base.clock.on_change(self._wake.set)
        workflow.when_pending(self._wake.set)
        wan.when_held(self._wake.set)
        power.when_on(self._wake.set)

    async def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="due watch")

    async def stop(self) -> None:
        """Stop watching; what is due then is executed after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._workflow.execute_due()
                await self._wan.release_due()
                pause = await self._pause()
            except Exception as error:  # noqa: BLE001 - the watch must outlive any one failure
                _log.error("could not execute what is due", error=type(error).__name__)
                _log.debug("traceback", exc_info=error)
                pause = AFTER_A_FAILURE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _pause(self) -> float:
        """Seconds until the next is due; a held clock is waited for until it is changed."""
        async with self._base.database.connect() as conn:
            pending = await self._devices.next_due(conn, self._power.off)
        due = min((at for at in (pending, self._wan.next_due()) if at is not None), default=None)
        if due is None or self._base.clock.mode == "held":
            return LONGEST_SLEEP
        left = (due - self._base.clock.now()).total_seconds()
        return min(LONGEST_SLEEP, max(0.0, left))
