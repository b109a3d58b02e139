"""A receiver recognises what it has seen."""

from __future__ import annotations

import pytest

from services.chassis.data.inbox import (
    KeyReusedError,
    first_time,
)
from services.chassis.data.store import Database


async def test_only_the_first_time_is_the_first(database: Database) -> None:
    async with database.begin() as conn:
        assert await first_time(conn, "acb", "m1")
        assert not await first_time(conn, "acb", "m1")
        assert await first_time(conn, "acb", "m2")
        assert await first_time(conn, "ecos_party", "m1")


async def test_a_rolled_back_first_time_did_not_happen(database: Database) -> None:
    async def fail() -> None:
        async with database.begin() as conn:
            assert await first_time(conn, "acb", "m1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.begin() as conn:
        assert await first_time(conn, "acb", "m1")


async def test_another_content_under_the_same_key_is_a_contradiction(database: Database) -> None:
    async with database.begin() as conn:
        await first_time(conn, "acb", "m1", content=b"question")
        for other in (b"another question", None):
            with pytest.raises(KeyReusedError):
                await first_time(conn, "acb", "m1", content=other)
