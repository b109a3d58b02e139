"""Fixtures of the CoS Parties' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.cos_party.estate import Estate, Party, open_party


@pytest.fixture(scope="session")
def estate() -> Estate:
    return Estate()


@pytest.fixture(params=["ecos", "tcos"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def party(tmp_path: Path, estate: Estate, prefix: str) -> AsyncIterator[Party]:
    """Each of the two CoS Parties in turn."""
    opened = await open_party(tmp_path, estate, prefix)
    yield opened
    await opened.base.close()


@pytest.fixture
async def ecos(tmp_path: Path, estate: Estate) -> AsyncIterator[Party]:
    """The ECoS Party alone, for what does not depend on which of them it is."""
    opened = await open_party(tmp_path, estate, "ecos")
    yield opened
    await opened.base.close()
