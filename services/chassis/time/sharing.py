"""Asking a source once for many who want to know, and never with an answer from before they asked.

What it guarantees: whoever asks gets what a pull brought that began after it asked; so what was
published before is in it, if the source says what is so. At most `most` pulls are under way at a
time: whoever asks meanwhile shares the next one. Nobody waits for longer than `seconds`.
What it leaves to others: what a pull is, and what to go by if none ended in time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MOST: Final = 4
"""Pulls under way at a time: one whose answer is lost must not hold up those after it."""


class Shared(Generic[T]):
    """One pull for all who ask while it waits for its turn.

    Args:
        pull: asks the source, anew each time it is called.
        seconds: the longest that anybody waits, its turn included.
        most: how many are under way at a time.
    """

    def __init__(
        self, pull: Callable[[], Awaitable[T]], *, seconds: float, most: int = MOST
    ) -> None:
        self._pull = pull
        self._seconds = seconds
        self._turns = asyncio.Semaphore(most)
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """What a pull brings that begins from now on.

        Raises:
            TimeoutError: it brought nothing in time. Others may still get it.
            Exception: whatever the pull raised, to each who shared it.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn(), name="shared pull")
            self._next.add_done_callback(_heard)
        async with asyncio.timeout(self._seconds):
            # shielded: who gives up does not take it from the others
            return await asyncio.shield(self._next)

    async def _in_turn(self) -> T:
        try:
            await self._turns.acquire()
        finally:
            self._next = None  # it begins: whoever asks from now on waits for another
        try:
            async with asyncio.timeout(self._seconds):
                return await self._pull()
        finally:
            self._turns.release()


def _heard(task: asyncio.Task[T]) -> None:
    """Take note of how it ended, also if all who waited for it are gone."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
