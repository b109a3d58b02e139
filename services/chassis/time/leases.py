"""How long a source's word holds without asking again: a lease.

Registration and the SMKI repository are asked by every party for every decision, and hardly ever
have news. So their answer may come with a lease: for that long the source confirms no change to
whoever makes it (`Grants.run_out`). Whoever holds a lease judges by its copy without asking, and
yet nothing is overlooked: whatever was confirmed as published before the lease was asked for is in
the copy, and what is published meanwhile is confirmed only when no lease is left on what was true
before. No notice is sent, so none can be lost; a source or a holder that stops, or a wire that is
cut, ends what it held within the lease (docs/decisions/0013-a-sources-word-holds-for-a-second.md).

Both ends count by a clock that nobody sets, each from a moment that errs on the safe side: the
holder from before it asks, the source from when it answers. A source may lie about the length; the
holder takes no more than its own setting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

Monotonic = Callable[[], float]


class Lease:
    """The holder's side: whether a source's last word still holds.

    Args:
        most: seconds; longer is not believed. 0: the source is asked every time.
        monotonic: seconds by a clock that only goes forward.
    """

    def __init__(self, most: float, monotonic: Monotonic = time.monotonic) -> None:
        self.most = most
        self._now = monotonic
        self._until = self._ended = float("-inf")

    def holds(self) -> bool:
        """Whether nothing can have been confirmed since the source was asked."""
        return self._now() < self._until

    def asking(self) -> float:
        """The moment before a question, for `begin`."""
        return self._now()

    def begin(self, asked: float, seconds: float) -> None:
        """Take what the answer to a question of that moment granted."""
        if asked >= self._ended:
            self._until = max(self._until, asked + min(seconds, self.most))

    def end(self) -> None:
        """Ask again before the next decision, whatever is on its way here."""
        self._until, self._ended = float("-inf"), self._now()


class Grants:
    """The source's side: until when its word was given to anybody.

    A source that has just started gave its word to who knows whom before.

    Args:
        seconds: how long a lease is. 0: none is granted.
        monotonic: seconds by a clock that only goes forward.
    """

    def __init__(self, seconds: float, monotonic: Monotonic = time.monotonic) -> None:
        self.seconds = seconds
        self._now = monotonic
        self._until = monotonic() + seconds

    def none(self) -> None:
        """Nobody was ever answered: the source begins."""
        self._until = float("-inf")

    def grant(self) -> float:
        """Give a lease, in seconds. Before what it is about is read: never after."""
        self._until = self._now() + self.seconds
        return self.seconds

    async def run_out(self) -> None:
        """Wait, after a change was committed, until no lease is left on what was true before it."""
        left = self._until - self._now()
        if left > 0:
            await asyncio.sleep(left)
