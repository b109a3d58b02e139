"""The chassis knows no party, no DUIS and no header of the signed link: in names or in texts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from stack.systems import TABLE

CHASSIS = Path(__file__).resolve().parents[2] / "services" / "chassis"
PREFIXES = {row.check_prefix for row in TABLE}  # acb, ecos, tcos, meter, registration, smki
FOREIGN = re.compile(
    rf"(?<![a-z])({'|'.join(sorted(PREFIXES))}|duis|cos-(?!stack)[a-z-]+|signature-input|content-digest)(?![a-z])",
    re.IGNORECASE,
)
HEADERS_FOR_FAULTS = {"cos-purpose", "cos-message-id", "cos-sender"}
"""`faults/exchange.py` reads these, so that a fault can be told which messages it is for."""


def said_in(source: str) -> set[str]:
    """Foreign words in a module's names and texts; what documents it may give examples."""
    tree = ast.parse(source)
    documenting = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documenting:
            text = node.value.decode() if isinstance(node.value, bytes) else str(node.value)
        else:
            names = (getattr(node, at, None) for at in ("id", "attr", "name", "arg"))
            text = " ".join(name.replace("_", " ") for name in names if isinstance(name, str))
        found |= {word.lower() for word in FOREIGN.findall(text)}
    return found


@pytest.mark.parametrize(
    "path", sorted(CHASSIS.rglob("*.py")), ids=lambda path: str(path.relative_to(CHASSIS))
)
def test_the_chassis_names_nothing_of_a_party(path: Path) -> None:
    allowed = HEADERS_FOR_FAULTS if path.name == "exchange.py" else set()
    assert said_in(path.read_text()) <= allowed


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('PARTY = "ecos_party"', "ecos"),
        ("def ask_registration(): ...", "registration"),
        ('HEADER = b"Cos-Purpose"', "cos-purpose"),
        ("import duis.xml as duis", "duis"),
        ('text = f"{x}acb.request"', "acb"),
    ],
)
def test_what_is_foreign_is_found(line: str, word: str) -> None:
    assert word in said_in(line)
