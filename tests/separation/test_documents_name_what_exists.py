"""The threat model and the fidelity pages name tests, files and checks that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acb.checks import book as broker_book
from cos_party.checks import check_book
from meter_sim.checks import meter_checks
from services.link.checks import link_checks
from services.registration.checks import CHECKS as REGISTRATION_CHECKS
from services.smki_repository.checks import CHECKS as REPOSITORY_CHECKS

ROOT = Path(__file__).resolve().parents[2]
FIDELITY = ("docs/fidelity.md", "docs/fidelity/acb.md", "docs/fidelity/meter.md")
PAGES = ("docs/threat-model.md", *FIDELITY)
PREFIXES = "acb|tcos|ecos|meter|link|registration|smki"
CHECK = re.compile(rf"`((?:\*|{PREFIXES})(?:\.[a-z_]+)*(?:\.\*|\.[a-z_]+))`")
FILE = re.compile(r"`([a-z_]+(?:/[a-zA-Z0-9_-]+)+\.(?:py|md|toml))`")
TEST = re.compile(r"`(tests/[a-z_/0-9]+\.py)(?:::([a-z_0-9]+))?`")
HELD_BY_NOTHING = re.compile(r"^(?:none: no code does|no code does; nothing to hold)$")
LINK = re.compile(r"\]\(([^)#:]+\.md)\)")
FAMILY = re.compile(r"probe ((?:`[a-z.-]+`(?:, )?)+)")


def known_checks() -> set[str]:
    known = {check.id for check in (*meter_checks(), *link_checks())}
    known |= {check["id"] for check in broker_book().describe()}
    for party, prefix in (("tcos_party", "tcos"), ("ecos_party", "ecos")):
        known |= {check["id"] for check in check_book(party, prefix).describe()}
    return known | {check.id for check in (*REGISTRATION_CHECKS, *REPOSITORY_CHECKS)}


def text(page: str) -> str:
    return (ROOT / page).read_text()


def missing(names: list[str], known: set[str]) -> list[str]:
    """Those patterns that fit no check. `*.` in front stands for both CoS Parties."""
    found = []
    for name in names:
        wanted = [name.replace("*.", f"{p}.", 1) for p in ("tcos", "ecos")]
        for one in wanted if name.startswith("*.") else [name]:
            start = one.removesuffix("*")
            if not any(k == one or (one.endswith(".*") and k.startswith(start)) for k in known):
                found.append(name)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_is_there(page: str) -> None:
    named = set(FILE.findall(text(page)))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", FIDELITY)
def test_every_test_named_is_in_its_file(page: str) -> None:
    named = TEST.findall(text(page))
    assert named
    lost = [
        (file, name)
        for file, name in named
        if not (ROOT / file).is_file() or f"def {name}" not in (ROOT / file).read_text()
    ]
    assert lost == []


def rows(page: str) -> list[list[str]]:
    """What each row says, cell by cell, without the tables' heads."""
    lines = [line for line in text(page).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] != "behaviour"]


@pytest.mark.parametrize("page", FIDELITY)
def test_every_row_names_its_own_tests_or_says_that_there_is_nothing_to_hold(page: str) -> None:
    """No "the same": a row that is put between two others would change what it means."""
    found = rows(page)
    assert len(found) > 25
    assert all(len(row) == 4 for row in found)
    unheld = [row[0] for row in found if not TEST.search(row[3])]
    assert [row[3] for row in found if row[0] in unheld and not HELD_BY_NOTHING.match(row[3])] == []


def test_every_check_named_is_one() -> None:
    named = CHECK.findall(text("docs/threat-model.md"))
    assert len(set(named)) > 40
    assert missing(named, known_checks()) == []


def test_a_check_that_is_none_is_found() -> None:
    known = known_checks()
    assert missing(["meter.mac", "*.registration.*", "acb.return.*"], known) == []
    assert missing(["meter.mack", "*.registration.mood", "acb.retour.*"], known) != []
    assert len(missing(["meter.mack", "*.registration.mood", "acb.retour.*"], known)) == 4


@pytest.mark.parametrize("page", PAGES)
def test_every_page_linked_is_there(page: str) -> None:
    linked = LINK.findall(text(page))
    assert linked or page.startswith("docs/fidelity/")
    here = (ROOT / page).parent
    assert {link for link in linked if not (here / link).is_file()} == set()


def test_every_family_of_attacks_named_has_attacks() -> None:
    catalogue = pytest.importorskip("probe.catalogue", reason="no probe in this checkout")
    known = [attack.id for attack in catalogue.catalogue()]
    families = {
        name
        for run in FAMILY.findall(text("docs/threat-model.md"))
        for name in re.findall(r"`([a-z.-]+)`", run)
    }
    assert len(families) > 5
    assert {f for f in families if not any(k.startswith(f"{f}.") for k in known)} == set()
