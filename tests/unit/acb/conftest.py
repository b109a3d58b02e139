"""Fixtures of the broker's tests."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from acb.checks import book
from services.chassis.checks import CheckBook
from tests.unit.acb.estate import Estate
from tests.unit.acb.keeping import Home
from tests.unit.acb.meters import Meters, install_meters
from tests.unit.acb.world import World, make_world, plain_logs, provision


@pytest.fixture(autouse=True)
def quiet(logs_as_they_come: None) -> None:
    plain_logs()


@pytest.fixture(scope="session")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return Estate.make(tmp_path_factory.mktemp("acb") / "data")


@pytest.fixture
def checks() -> CheckBook:
    return book()


@pytest.fixture(scope="session")
def provisioned(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stores of a world whose devices and users are known: copied for each test."""
    folder = tmp_path_factory.mktemp("acb-provisioned")

    async def make() -> None:
        made = await make_world(estate, folder)
        await provision(made)
        await made.close()

    asyncio.run(make())
    return folder


@pytest.fixture
async def world(estate: Estate, provisioned: Path, tmp_path: Path) -> AsyncIterator[World]:
    folder = tmp_path / "stores"
    shutil.copytree(provisioned, folder)
    made = await make_world(estate, folder)
    yield made
    await made.close()


@pytest.fixture
async def meters(world: World, tmp_path: Path) -> AsyncIterator[Meters]:
    """Real meters in the place of the stand-in."""
    made = await install_meters(world.around, tmp_path)
    yield made
    await world.stop()
    await made.close()


@pytest.fixture
async def home(world: World) -> Home:
    """A device that keeps dated commands, and a broker that watches its calendar."""
    return await Home.of(world)
