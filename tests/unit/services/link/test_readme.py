"""The README lists the checks that run, in the order in which they run."""

from __future__ import annotations

import re
from pathlib import Path

import services.link
from services.link.checks import SETTLED, link_checks, request_checks


def test_the_readme_lists_the_checks_as_they_run():
    readme = Path(services.link.__file__).with_name("README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(link\.\S+)` \| (.+) \|$", readme, re.MULTILINE)
    assert rows == [(check.id, check.title) for check in link_checks()]


def test_refusals_are_settled_from_the_first_check_after_the_nonce():
    ids = [check.id for check in request_checks()]
    after = ids[ids.index("link.request.nonce") + 1 :]
    assert set(after) == SETTLED
    assert after[0] == "link.request.purpose"
