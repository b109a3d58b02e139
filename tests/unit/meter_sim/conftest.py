"""Fixtures of the meters' tests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from meter_sim.device.model import DeviceState
from tests.unit.meter_sim.estate import Estate
from tests.unit.meter_sim.running import Running


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Tracebacks are logged at debug; drawing them takes longer than all else here."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def estate() -> Estate:
    return Estate()


@pytest.fixture
def esme(estate: Estate) -> DeviceState:
    return estate.device()


@pytest.fixture
async def meters(estate: Estate, tmp_path: Path) -> AsyncIterator[Running]:
    """The whole service, over its two interfaces, without sockets."""
    running = await Running.start(estate, tmp_path)
    yield running
    await running.stop()
