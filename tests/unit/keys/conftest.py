"""Fixtures of the key infrastructure's tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.issuing.ceremony import load_plan, run_ceremony
from tests.unit.keys.workshop import NOW, Workshop


@pytest.fixture(scope="session")
def workshop() -> Workshop:
    return Workshop.open()


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a default ceremony; to be read, not changed."""
    data = tmp_path_factory.mktemp("ceremony") / "data"
    run_ceremony(load_plan(), data, now=NOW)
    return data


@pytest.fixture
def data(ceremony: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be changed."""
    copy = tmp_path / "data"
    shutil.copytree(ceremony, copy)
    return copy


@pytest.fixture
def edit(data: Path) -> Callable[[str, str, str], None]:
    """Replace text in a file of the copy; it must be there."""

    def change(name: str, old: str, new: str) -> None:
        path = data / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change
