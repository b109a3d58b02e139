"""The core of the link does no I/O, and of the chassis knows only what a check is."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

import services.link

CORE = (
    "services.link.wire.base",
    "services.link.checks",
    "services.link.wire.digest",
    "services.link.wire.exact",
    "services.link.envelope",
    "services.link.errors",
    "services.link.wire.fields",
    "services.link.wire.message",
    "services.link.parts",
    "services.link.wire.profile",
    "services.link.store.records",
    "services.link.rules",
    "services.link.rules.authenticity",
    "services.link.rules.form",
    "services.link.rules.sources",
    "services.link.wire.signing",
    "services.link.wire.tally",
)
PURE = {
    "__future__", "base64", "binascii", "collections", "cryptography", "dataclasses", "datetime",
    "functools", "hashlib", "hmac", "json", "operator", "re", "typing",
}  # fmt: skip


def source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CORE)
def test_a_module_of_the_core_imports_only_the_core(name: str):
    for node in ast.walk(ast.parse(source(name))):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            imported = named if set(named) & set(CORE) else [node.module]
        for module in imported:
            first = module.partition(".")[0]
            if first == "services":
                assert module in {*CORE, "services.chassis.checks"}
            else:
                assert first in PURE
                assert first == "cryptography" or first in sys.stdlib_module_names


def test_nothing_in_the_link_reads_the_clock_of_the_machine():
    for file in Path(services.link.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "datetime.now" not in text
        assert "import time" not in text
