"""Wakes a party when something it keeps falls due, by its domain clock, or when that is changed.

What it guarantees: `act` is called soon after a moment that `next_due` names has come, after each
change of the clock, after `wake`, and after a start; a failure of either is logged and tried again.
What it leaves to others: that doing the same twice is harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import structlog

from services.chassis.time.clock import LabClock

LONGEST_SLEEP: Final = 60.0  # seconds; a machine's clock may be corrected meanwhile
AFTER_A_FAILURE: Final = 1.0  # seconds

_log = structlog.get_logger(__name__)


class DueWatch:
    """Calls `act` when something is due.

    Args:
        clock: the domain clock.
        act: does whatever is due.
        next_due: when the next thing is due; None if nothing is.
    """

    def __init__(
        self,
        clock: LabClock,
        act: Callable[[], Awaitable[None]],
        next_due: Callable[[], Awaitable[datetime | None]],
    ) -> None:
        self._clock = clock
        self._act = act
        self._next_due = next_due
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        clock.on_change(self.wake)

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    async def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch(), name="due watch")

    async def stop(self) -> None:
        """Stop watching; what is due then is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._act()
                pause = await self._pause()
            except Exception as error:  # noqa: BLE001 - the watch must outlive any one failure
                _log.error("could not do what is due", error=type(error).__name__)
                _log.debug("traceback", exc_info=error)
                pause = AFTER_A_FAILURE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _pause(self) -> float:
        """Seconds until the next is due; a held clock is waited for until it is changed."""
        due = await self._next_due()
        if due is None or self._clock.mode == "held":
            return LONGEST_SLEEP
        left = (due - self._clock.now()).total_seconds()
        return min(LONGEST_SLEEP, max(0.0, left))
