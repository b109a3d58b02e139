"""Fixtures every test may use."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from effort import EFFORT, SEED, examples
from hypothesis import HealthCheck, settings

from services.chassis.data.store import Database

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent.parent

# No test asserts how long something takes, so neither does hypothesis on a busy machine. All else
# stays as it was: in CI that is hypothesis' own profile for it.
settings.register_profile(
    "unhurried",
    settings(
        deadline=None,
        max_examples=examples(100),
        suppress_health_check=[
            *settings.default.suppress_health_check,
            HealthCheck.too_slow,
        ],
    ),
)
settings.load_profile("unhurried")

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30  # octets free; a whole run keeps well under one gibibyte


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Begin from the seed, and put the tests' folders in memory where there is room.

    Every store waits for its disk at every commit, thousands of times in a run. What a test can see
    of that is the same in memory: it kills processes, not the machine's power. Who names a place
    with PYTEST_DEBUG_TEMPROOT or --basetemp gets that.
    """
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(SEED)
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_report_header() -> str:
    """What it takes to repeat this run."""
    return f"cos: COS_EFFORT={EFFORT} COS_SEED={SEED}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Keep together what shares a file or a stack."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from scheduling import ByGroup  # noqa: PLC0415 - its base is there only beside pytest-xdist

    config.option.loadscopereorder = False
    return ByGroup(config, log)


def pytest_collection_finish() -> None:
    """What is there now stays: no need to look for garbage in it again and again."""
    gc.collect()
    gc.freeze()


def find_shared() -> Path | None:
    """The folder of published reference material, if it lies beside the project."""
    named = os.environ.get("COS_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    return folder if (folder / "rtds").is_dir() else None


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The published reference material (vectors, schema, templates), or a skip that says so."""
    folder = find_shared()
    if folder is None:
        pytest.skip(
            "published reference material not found: put it beside the project as ../shared "
            "or name its folder in COS_SHARED"
        )
    return folder


@pytest.fixture(autouse=True)
def logs_as_they_come() -> Iterator[None]:
    """Every test starts with logging unconfigured: a level set by one must not silence another."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def stores_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test closes the stores that it opens.

    What stays open is told of only when it is collected, in whatever test runs then.
    """
    opened: list[Database] = []
    open_store = Database.open

    async def noted(where: str | Path) -> Database:
        database = await open_store(where)
        opened.append(database)
        return database

    monkeypatch.setattr(Database, "open", noted)
    yield
    assert [database for database in opened if not database.closed] == []
