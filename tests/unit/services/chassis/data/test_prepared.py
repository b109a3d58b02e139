"""A statement that is compiled once says and reads the same as SQLAlchemy's own execution."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Column, Integer, LargeBinary, MetaData, Table, Text, insert, select
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound, StatementError

from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import Database, UtcDateTime
from tests.unit.services.chassis.data.undone import undone

own = MetaData()
things = Table(
    "prepared_thing",
    own,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("good", Boolean, nullable=False),
    Column("octets", LargeBinary),
    Column("at", UtcDateTime),
)
ADD = Prepared(insert(things), "id", "name", "good", "octets", "at")
BY_ID = Prepared(select(things).where(things.c.id == param("id")))
AMONG = Prepared(select(things.c.id).where(things.c.name.in_(["a", "b"])).order_by(things.c.id))
EVERY = Prepared(select(things.c.id))
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - given its time zone by hypothesis
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
ROW = st.fixed_dictionaries(
    {
        "name": st.text().filter(lambda text: "\0" not in text),
        "good": st.booleans(),
        "octets": st.none() | st.binary(),
        "at": st.none() | MOMENTS,
    }
)


@pytest.fixture
async def store(database: Database) -> Database:
    await database.create_all(own)
    return database


def thing(number: int, name: str = "a", **other: object) -> dict[str, object]:
    return {"id": number, "name": name, "good": True, "octets": None, "at": NOON} | other


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(row=ROW)
async def test_it_reads_what_sqlalchemy_reads(store: Database, row: dict[str, object]) -> None:
    async with undone(store) as conn:
        await conn.execute(ADD, {"id": 1, **row})
        ours = (await conn.execute(BY_ID, {"id": 1})).one()
        theirs = (await conn.execute(select(things))).one()
        assert tuple(ours) == tuple(theirs)
        assert ours.at == row["at"]


async def test_a_fixed_list_stands_in_it(store: Database) -> None:
    async with store.begin() as conn:
        await conn.execute(ADD, [thing(1), thing(2, "b"), thing(3, "c")])
        assert (await conn.execute(AMONG)).scalars() == [1, 2]


async def test_a_value_that_is_not_given_is_named(store: Database) -> None:
    async with store.begin() as conn:
        with pytest.raises(StatementError, match="no value is given for 'id'"):
            await conn.execute(BY_ID, {"name": "a"})


async def test_a_value_that_cannot_be_written_is_refused(store: Database) -> None:
    async with store.begin() as conn:
        with pytest.raises(StatementError):
            await conn.execute(ADD, thing(1, at=datetime(2026, 6, 1)))  # noqa: DTZ001 - the point


async def test_what_the_store_refuses_has_sqlalchemys_kind_and_no_values(store: Database) -> None:
    async with store.begin() as conn:
        await conn.execute(ADD, thing(1, "a secret"))
    with pytest.raises(IntegrityError) as refused:
        async with store.begin() as conn:
            await conn.execute(ADD, thing(1, "a secret"))
    assert "a secret" not in str(refused.value)


async def test_one_is_one(store: Database) -> None:
    async with store.begin() as conn:
        assert (await conn.execute(EVERY)).scalar_one_or_none() is None
        with pytest.raises(NoResultFound):
            (await conn.execute(EVERY)).one()
        await conn.execute(ADD, [thing(1), thing(2)])
        with pytest.raises(MultipleResultsFound):
            (await conn.execute(EVERY)).one()


async def test_moments_order_as_they_are(store: Database) -> None:
    later = Prepared(select(things.c.id).where(things.c.at > param("after")).order_by(things.c.at))
    async with store.begin() as conn:
        for number in range(3):
            await conn.execute(ADD, thing(number, at=NOON + timedelta(microseconds=number)))
        assert (await conn.execute(later, {"after": NOON})).scalars() == [1, 2]
