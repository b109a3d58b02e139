"""Fixtures of the link's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.services.link.estate import Estate, HeldClock, Party, open_party
from tests.unit.services.link.forge import Forge


@pytest.fixture(scope="session")
def estate() -> Estate:
    return Estate()


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def forge(estate: Estate) -> Forge:
    return Forge(estate.holders["acb"])


@pytest.fixture
async def party(tmp_path: Path, estate: Estate, clock: HeldClock) -> AsyncIterator[Party]:
    opened = await open_party(tmp_path, estate, clock=clock)
    yield opened
    await opened.database.close()
