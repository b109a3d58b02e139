"""Rows by their keys are what a dictionary by these keys would be."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.exc import MultipleResultsFound

from services.chassis.data import rows
from services.chassis.data.store import Database
from tests.unit.services.chassis.data.undone import undone

own = MetaData()
homes = Table(
    "home",
    own,
    Column("street", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("colour", Text),
    Column("rooms", Integer, server_default="1"),
)
STREETS, NUMBERS, COLOURS = st.sampled_from("AB"), st.integers(1, 3), st.sampled_from(["red", None])
ACTS = st.lists(
    st.tuples(st.sampled_from(["put", "add_new", "change", "remove"]), STREETS, NUMBERS, COLOURS),
    max_size=20,
)


@pytest.fixture
async def store(database: Database) -> Database:
    await database.create_all(own)
    return database


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(acts=ACTS)
async def test_as_a_dictionary(store: Database, acts: list[tuple[str, str, int, str]]) -> None:
    expected: dict[tuple[str, int], str | None] = {}
    async with undone(store) as conn:
        for act, street, number, colour in acts:
            at, key = (street, number), {"street": street, "number": number}
            if act == "put":
                await rows.put(conn, homes, key, colour=colour)
                expected[at] = colour
            elif act == "add_new":
                assert await rows.add_new(conn, homes, **key, colour=colour) == (at not in expected)
                expected.setdefault(at, colour)
            elif act == "change":
                found = await rows.change(conn, homes, key, colour=colour)
                assert (found is not None) == (at in expected)
                if at in expected:
                    expected[at] = colour
            else:
                assert await rows.remove(conn, homes, **key) == (at in expected)
                expected.pop(at, None)
            one = await rows.find(conn, homes, **key)
            assert (one and one.colour) == expected.get(at)
        held = await rows.find_all(conn, homes)
        assert [((one.street, one.number), one.colour) for one in held] == sorted(expected.items())


async def test_what_the_store_fills_in_is_given_back(store: Database) -> None:
    async with store.begin() as conn:
        added = await rows.add(conn, homes, street="A", number=1)
        assert (added.rooms, added.colour) == (1, None)


async def test_a_key_of_several_rows_is_no_key_of_one(store: Database) -> None:
    async with store.begin() as conn:
        for number in (2, 1):
            await rows.add(conn, homes, street="A", number=number)
        assert [one.number for one in await rows.find_all(conn, homes, street="A")] == [1, 2]
        with pytest.raises(MultipleResultsFound):
            await rows.find(conn, homes, street="A")


async def test_a_row_that_is_there_already_stays_as_it_was_put_without_values(
    store: Database,
) -> None:
    async with store.begin() as conn:
        await rows.put(conn, homes, {"street": "A", "number": 1}, colour="red")
        await rows.put(conn, homes, {"street": "A", "number": 1})
        found = await rows.find(conn, homes, street="A", number=1)
        assert found is not None
        assert found.colour == "red"


async def test_many_rows_of_one_shape_in_one_go(store: Database) -> None:
    key = ("street", "number")
    async with store.begin() as conn:
        await rows.put(conn, homes, {"street": "A", "number": 1}, colour="red")
        many = [{"street": "A", "number": number, "colour": "blue"} for number in (1, 2)]
        await rows.put_all(conn, homes, key, many)
        await rows.put_all(conn, homes, key, [])
        await rows.put_all(conn, homes, key, [{"street": "A", "number": n} for n in (2, 3)])
        found = await rows.find_all(conn, homes, street="A")
    assert [(row.number, row.colour) for row in found] == [(1, "blue"), (2, "blue"), (3, None)]
