"""One pull for many: never one that began before they asked, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from services.chassis.time.sharing import Shared

LONG = 60.0
"""Seconds: longer than any test."""


class Source:
    """Answers each pull with what is published by the time it begins, when it is let."""

    def __init__(self) -> None:
        self.published = 1
        self.begun = 0
        self.open = asyncio.Event()

    async def pull(self) -> int:
        self.begun += 1
        seen = self.published
        await self.open.wait()
        return seen


async def turns() -> None:
    """Let whatever can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_all_who_ask_before_it_begins_share_one() -> None:
    source = Source()
    source.open.set()
    shared = Shared(source.pull, seconds=LONG)
    assert await asyncio.gather(*(shared.get() for _ in range(50))) == [1] * 50
    assert source.begun == 1


async def test_who_asks_later_has_what_was_published_before_it_asked() -> None:
    """The first is under way with what was true when it began: that is not for the others."""
    source = Source()
    shared = Shared(source.pull, seconds=LONG, most=1)
    first = asyncio.create_task(shared.get())
    await turns()
    source.published = 2
    later = [asyncio.create_task(shared.get()) for _ in range(5)]
    await turns()
    assert source.begun == 1
    source.open.set()
    assert await first == 1
    assert await asyncio.gather(*later) == [2] * 5
    assert source.begun == 2


async def test_one_that_hangs_does_not_hold_up_those_after_it() -> None:
    source = Source()
    shared = Shared(source.pull, seconds=LONG, most=2)
    hanging = asyncio.create_task(shared.get())
    await turns()
    other = asyncio.create_task(shared.get())
    await turns()
    assert source.begun == 2
    source.open.set()
    assert await asyncio.gather(hanging, other) == [1, 1]


async def test_whoever_waits_for_too_long_is_told_and_the_place_is_free_again() -> None:
    source = Source()
    shared = Shared(source.pull, seconds=0.01, most=1)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await shared.get()
    source.open.set()
    assert await Shared(source.pull, seconds=LONG, most=1).get() == 1
    patient = Shared(source.pull, seconds=LONG, most=1)
    assert await patient.get() == 1


async def test_who_gives_up_takes_it_from_nobody() -> None:
    source = Source()
    shared = Shared(source.pull, seconds=LONG)
    impatient, patient = (asyncio.create_task(shared.get()) for _ in range(2))
    await turns()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    source.open.set()
    assert await patient == 1
    assert source.begun == 1


async def test_what_fails_fails_for_all_who_shared_it_and_the_next_is_another() -> None:
    begun = 0

    async def fail() -> int:
        nonlocal begun
        begun += 1
        raise ValueError(begun)

    shared = Shared(fail, seconds=LONG)
    found = await asyncio.gather(*(shared.get() for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in found] == ["1"] * 3
    with pytest.raises(ValueError, match="2"):
        await shared.get()
