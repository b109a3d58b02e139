"""A service is one entry: the pipeline follows it and knows none by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import acb.steps
from acb.checks import book
from acb.services.service import Service, Silence
from acb.services.table import SUPPORTED

STEPS = sorted(Path(acb.steps.__file__).parent.glob("*.py"))
ENTRIES = [pytest.param(entry, id=name) for name, entry in SUPPORTED.items()]
SHARED = {"evidence", "service", "table"}
"""Modules of `acb.services` that are no service."""


@pytest.mark.parametrize("path", STEPS, ids=[path.stem for path in STEPS])
def test_no_step_knows_a_service(path: Path) -> None:
    """Neither by its reference, nor by its module, nor by what stands in its request."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            assert node.value not in SUPPORTED, f"{path.name}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("acb.services."):
            assert (node.module or "").rpartition(".")[2] in SHARED, f"{path.name}:{node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module == "duis.model":
            assert {name.name for name in node.names} <= {"ServiceRequest"}, path.name


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_whole(entry: Service) -> None:
    """What the pipeline takes for granted of it."""
    assert set(entry.variants) == entry.rules.command_variants
    assert bool(entry.returned) == entry.rules.uses_cos_party
    lists = [variant.checks for variant in entry.variants.values()] + [entry.returned]
    for judgement in (entry.response, entry.alert):
        if judgement is not None:
            assert judgement.checks[0].id.endswith(".received") or judgement is entry.alert
            lists.append(judgement.checks)
    for checks in filter(None, lists):
        (section,) = {check.section for check in checks}
        assert [check.id for check in checks] == [check.id for check in book().section(section)]
    for variant in entry.variants.values():
        sends = variant.command is not None or bool(entry.returned)
        assert sends is (variant.answer is None)
        assert not sends or entry.response is not None
    if entry.silence is Silence.READ_BACK:
        assert entry.response is not None


def test_nothing_takes_a_proof_and_drops_it() -> None:
    for path in Path(acb.steps.__file__).parents[1].rglob("*.py"):
        assert "del approved" not in path.read_text(), path
