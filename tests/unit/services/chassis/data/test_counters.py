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
        given.append(await OriginatorCounter().reserve(database))
        await database.close()
    assert given == [1, 2, 3]


async def test_a_reserved_number_is_spent_even_if_what_follows_fails(database: Database) -> None:
    counter = OriginatorCounter()

    async def fail() -> None:
        async with database.begin() as conn:
            assert await counter.next(conn) == 2
            raise ZeroDivisionError

    assert await counter.reserve(database) == 1
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await counter.reserve(database) == 2


async def test_it_is_raised_and_never_lowered(database: Database) -> None:
    counter = OriginatorCounter()
    async with database.begin() as conn:
        assert await counter.raise_to(conn, 500) == 500
        assert await counter.raise_to(conn, 20) == 500
        assert await counter.next(conn) == 501


async def test_it_ends_rather_than_wraps(database: Database) -> None:
    counter = OriginatorCounter()
    async with database.begin() as conn:
        await counter.raise_to(conn, LARGEST - 1)
        assert await counter.next(conn) == LARGEST
        with pytest.raises(CounterExhaustedError):
            await counter.next(conn)
        with pytest.raises(CounterExhaustedError):
            await counter.raise_to(conn, LARGEST + 1)
        assert await counter.last(conn) == LARGEST
    with pytest.raises(CounterExhaustedError):
        OriginatorCounter(first=-1)
