"""A counter never gives the same number twice, however many ask at once and whatever fails."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.store import Database

ACTS = st.lists(st.sampled_from(["next", "fail", "restart"]), max_size=25)


async def ask(database: Database, act: str, kept: list[int]) -> None:
    counter = OriginatorCounter()
    with contextlib.suppress(ZeroDivisionError):
        async with database.begin() as conn:
            numbers = [await counter.next(conn)]
            await asyncio.sleep(0)
            numbers.append(await counter.next(conn))
            if act == "fail":
                raise ZeroDivisionError
        kept += numbers


async def concurrently(path: Path, acts: list[str]) -> None:
    kept: list[int] = []
    rounds: list[list[str]] = [[]]
    for act in acts:
        rounds.append([]) if act == "restart" else rounds[-1].append(act)
    highest = 0
    for now in rounds:
        database = await Database.open(path)
        async with asyncio.TaskGroup() as group:
            for act in now:
                group.create_task(ask(database, act, kept))
        async with database.connect() as conn:
            last = await OriginatorCounter().last(conn)
        await database.close()
        assert last >= highest
        highest = last
    assert sorted(kept) == list(range(1, highest + 1))


@settings(max_examples=examples(30), deadline=None)
@given(ACTS)
def test_never_twice(acts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(concurrently(Path(name) / "s.sqlite3", acts))
