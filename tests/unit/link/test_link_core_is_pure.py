"""The core of the link does no I/O, and of the chassis knows only what a check is."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import services.link

CORE = {
    "base", "checks", "digest", "envelope", "errors", "fields", "message", "parts", "profile",
    "records", "rules", "rules/authenticity", "rules/form", "rules/sources", "signing",
}  # fmt: skip
PURE = {
    "__future__", "base64", "binascii", "collections", "dataclasses", "datetime", "functools",
    "hashlib", "hmac", "json", "re", "typing",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CORE - {"rules"}))
def test_a_module_of_the_core_imports_only_the_core(name: str):
    source = (Path(services.link.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            if node.module == "services.chassis.checks":
                continue
            within = node.module == "services.link"
            imported = [
                f"{node.module}.{alias.name}" if within else node.module for alias in node.names
            ]
        for module in imported:
            first = module.partition(".")[0]
            if first == "services":
                assert module.removeprefix("services.link.").partition(".")[0] in CORE
            else:
                assert first == "cryptography" or first in PURE
                assert first == "cryptography" or first in sys.stdlib_module_names


def test_nothing_in_the_link_reads_the_clock_of_the_machine():
    for file in Path(services.link.__file__).parent.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "datetime.now" not in text
        assert "import time" not in text
