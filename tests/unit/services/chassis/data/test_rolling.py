"""A rolling window counts what a plain count of the happenings in it would."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.data import rolling
from services.chassis.data.store import Database
from tests.unit.services.chassis.data.undone import undone

BEGAN = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECONDS = st.integers(0, 600).map(lambda n: BEGAN + timedelta(seconds=n, microseconds=n % 3))
HAPPENED = st.lists(st.tuples(st.sampled_from("abc"), SECONDS), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(past=HAPPENED, after=SECONDS, scope=st.sampled_from("abc"))
async def test_as_counted_one_by_one(
    database: Database, past: list[tuple[str, datetime]], after: datetime, scope: str
) -> None:
    async def edge(first: datetime, before: datetime) -> int:
        assert before - first <= rolling.MINUTE
        return sum(of == scope and first < at < before for of, at in past)

    async with undone(database) as conn:
        for of, at in past:
            await rolling.happened(conn, at, of)
        counted = await rolling.since(conn, scope, after, edge)
        others = await rolling.others_since(conn, after, "a", "b")
    assert counted == sum(of == scope and at > after for of, at in past)
    assert others == ("c" in {of for of, at in past if at > after})


async def test_one_happening_counts_for_each_of_its_scopes(database: Database) -> None:
    async def none(_first: datetime, _before: datetime) -> int:
        return 0

    async with database.begin() as conn:
        await rolling.happened(conn, BEGAN, "a", "all")
        await rolling.happened(conn, BEGAN, "b", "all")
        hour_ago = BEGAN - timedelta(hours=1)
        found = [await rolling.since(conn, scope, hour_ago, none) for scope in ("a", "b", "all")]
    assert found == [1, 1, 2]
