"""Every source that a check or a comment names is there to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "docs" / "sources.md"
NAMED = re.compile(r"docs/sources\.md((?:\s*(?:#\s)?\s*,?\s*#[a-z-]+)+)")


def files() -> Iterator[Path]:
    for folder in sorted(ROOT.iterdir()):
        if folder.is_dir() and not folder.name.startswith(".") and folder.name != "var":
            yield from (p for p in folder.rglob("*") if p.suffix in {".py", ".md", ".xsd"})


def anchors() -> set[str]:
    titles = re.findall(r"(?m)^## (.+)$", SOURCES.read_text())
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_anchor_named_is_a_section() -> None:
    known = anchors()
    named = {
        (path.relative_to(ROOT), anchor)
        for path in files()
        for found in NAMED.findall(path.read_text())
        for anchor in re.findall(r"#([a-z-]+)", found)
    }
    assert named
    assert {(path, anchor) for path, anchor in named if anchor not in known} == set()


def test_nothing_names_notes_that_are_not_here() -> None:
    old = re.compile("[Dd]omain" + r"\s+facts|\[" + "K]")
    assert [p.relative_to(ROOT) for p in files() if old.search(p.read_text())] == []
