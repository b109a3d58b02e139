"""Waiting for something to change: the primitive behind ``?wait=`` on an interface."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """Who waits for which key, in this process."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    @property
    def waiting(self) -> int:
        """How many wait now, for whatever."""
        return sum(len(waiting) for waiting in self._waiting.values())

    def notify(self, key: str) -> None:
        """Wake everyone who waits for `key`. Call it after the commit, on the event loop."""
        for event in self._waiting.get(key, ()):
            event.set()

    async def wait(
        self,
        key: str,
        read: Callable[[], Awaitable[T]],
        done: Callable[[T], bool],
        seconds: float,
    ) -> T:
        """Read until `done` is satisfied or `seconds` have passed; the last value either way.

        Each reading begins after the waiter is registered, so no change falls between.
        """
        event = asyncio.Event()
        self._waiting.setdefault(key, set()).add(event)
        try:
            value = await read()
            try:
                async with asyncio.timeout(seconds):
                    while not done(value):
                        await event.wait()
                        event.clear()
                        value = await read()
            except TimeoutError:
                return value
            return value
        finally:
            waiting = self._waiting[key]
            waiting.discard(event)
            if not waiting:
                del self._waiting[key]
