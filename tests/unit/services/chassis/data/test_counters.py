"""A counter goes up and never gives the same number twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.chassis.data.counters import LARGEST, CounterExhaustedError, OriginatorCounter
from services.chassis.data.store import Database


async def test_it_counts_from_its_first_and_is_named(database: Database) -> None:
    one, other = OriginatorCounter(), OriginatorCounter("other", first=1000)
    async with database.begin() as conn:
        assert await one.last(conn) == 0
        assert [await one.next(conn) for _ in range(3)] == [1, 2, 3]
        assert [await other.next(conn) for _ in range(2)] == [1000, 1001]
        assert (await one.last(conn), await other.last(conn)) == (3, 1001)


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    given: list[int] = []
    for _ in range(3):
        database = await Database.open(tmp_path / "s.sqlite3")
        async with database.begin() as conn:
            given.append(await OriginatorCounter().next(conn))
        await database.close()
    assert given == [1, 2, 3]


async def test_a_number_goes_back_with_what_it_was_for(database: Database) -> None:
    counter = OriginatorCounter()

    async def fail() -> None:
        async with database.begin() as conn:
            assert await counter.next(conn) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.begin() as conn:
        assert await counter.next(conn) == 1


async def test_it_ends_rather_than_wraps(database: Database) -> None:
    counter = OriginatorCounter(first=LARGEST)
    async with database.begin() as conn:
        assert await counter.next(conn) == LARGEST
        with pytest.raises(CounterExhaustedError):
            await counter.next(conn)
        assert await counter.last(conn) == LARGEST
    with pytest.raises(CounterExhaustedError):
        OriginatorCounter(first=-1)
