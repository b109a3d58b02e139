"""A disk that is full: readiness says so, requests are told by name, and it passes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from services.chassis.data.store import Database, StoreUnwritableError
from tests.unit.acb.world import World


@contextmanager
def no_room_in(database: Database) -> Iterator[None]:
    """The store cannot grow by a page, whichever connection writes."""
    assert database._writer is not None
    driver = database._writer._conn.driver
    driver.execute("PRAGMA max_page_count=1")  # SQLite takes it for as much as there is already
    try:
        yield
    finally:
        driver.execute(f"PRAGMA max_page_count={2**30}")


@pytest.mark.check
async def test_a_full_disk_is_told_by_name_and_passes(world: World) -> None:
    document = world.estate.signed(world.estate.request())
    database = world.parts.base.database
    assert await database.not_writable() is None
    with no_room_in(database):
        for _ in range(3):
            answer = await world.submit(document)
            assert answer.status_code == 503
            assert answer.json()["check"] == "acb.store.writable"
            assert answer.json()["party"] == "acb"
        assert await database.not_writable() == "the store cannot be written"
        assert not world.meter.heard
    assert await database.not_writable() is None
    assert (await world.submit(document)).status_code == 200
    await world.settle()
    assert len(world.meter.heard) == 1


@pytest.mark.check
async def test_noise_on_a_full_disk_is_no_bug(world: World) -> None:
    with no_room_in(world.parts.base.database):
        answer = await world.submit(b"<a>" + b"x" * 100_000 + b"</a>")
        assert (answer.status_code, answer.json()["check"]) == (503, "acb.store.writable")


async def test_what_is_no_lack_of_space_is_raised_as_it_is(world: World) -> None:
    database = world.parts.base.database
    with pytest.raises(Exception, match="no such table") as raised:
        async with database.begin() as conn:
            conn.driver.execute("INSERT INTO nowhere VALUES (1)")
    assert not isinstance(raised.value, StoreUnwritableError)
    assert await database.not_writable() is None
