"""The threat model and the fidelity pages name tests, files and checks that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acb.checks import book as broker_book
from cos_party.checks import check_book
from meter_sim.book import meter_checks
from services.link.checks import link_checks
from services.registration.checks import CHECKS as REGISTRATION_CHECKS
from services.smki_repository.checks import CHECKS as REPOSITORY_CHECKS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/threat-model.md", "docs/fidelity.md")
PREFIXES = "acb|tcos|ecos|meter|link|registration|smki"
CHECK = re.compile(rf"`((?:\*|{PREFIXES})(?:\.[a-z_]+)*(?:\.\*|\.[a-z_]+))`")
FILE = re.compile(r"`([a-z_]+(?:/[a-zA-Z0-9_-]+)+\.(?:py|md|toml))`")
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
    assert linked
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
