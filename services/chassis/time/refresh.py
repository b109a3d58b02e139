"""Tries again, in the background, to bring up to date what a party keeps of others' data.

What it guarantees: while `wanting` says so, `refresh` is called again after a pause that grows; a
party that nobody asks anything comes back by itself. As long as nothing is wanting, nothing is
asked of anybody. A failure is logged and tried again.
What it leaves to others: what is wanting, and why (`/readyz` says it).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

FIRST_PAUSE: Final = 0.25  # seconds, after a first failure and after a start
LONGEST_PAUSE: Final = 15.0  # seconds
LOOK: Final = 5.0  # seconds between looks while nothing is wanting

_log = structlog.get_logger(__name__)


class Refresher:
    """Calls `refresh` for as long as something is wanting.

    Args:
        wanting: whether something could not be brought up to date, or has run out since.
        refresh: asks again.
    """

    def __init__(self, wanting: Callable[[], bool], refresh: Callable[[], Awaitable[Any]]) -> None:
        self._wanting = wanting
        self._refresh = refresh
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._watch(), name="refresher")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def once(self) -> bool:
        """Ask again if something is wanting; whether anything still is."""
        if not self._wanting():
            return False
        try:
            await self._refresh()
        except Exception as error:  # noqa: BLE001 - it must outlive any one failure
            _log.error("could not be brought up to date", error=type(error).__name__)
            _log.debug("traceback", exc_info=error)
        return self._wanting()

    async def _watch(self) -> None:
        pause, tries = FIRST_PAUSE, 0
        while True:
            await asyncio.sleep(pause)
            tries = tries + 1 if await self.once() else 0
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(tries, 10))) if tries else LOOK
