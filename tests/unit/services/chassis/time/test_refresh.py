"""What could not be brought up to date is asked for again, and nothing else is."""

from __future__ import annotations

import asyncio

from services.chassis.time.refresh import Refresher


class Source:
    """Answers after so many failures."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.asked = 0
        self.came = asyncio.Event()
        self.wants = True

    def wanting(self) -> bool:
        return self.wants

    async def refresh(self) -> None:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise ValueError("no answer")
        self.wants = False
        self.came.set()


async def test_it_asks_until_nothing_is_wanting_and_then_no_more() -> None:
    source = Source(2)
    refresher = Refresher(source.wanting, source.refresh)
    assert [await refresher.once() for _ in range(5)] == [True, True, False, False, False]
    assert source.asked == 3


async def test_it_does_so_by_itself_and_ends() -> None:
    source = Source(1)
    refresher = Refresher(source.wanting, source.refresh)
    await refresher.start()
    await source.came.wait()
    await refresher.stop()
    assert source.asked == 2
    await refresher.stop()
