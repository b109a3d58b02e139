"""docs/attacks.md is of the catalogue as it is: no attack missing, none that is gone."""

from __future__ import annotations

import re
from pathlib import Path

from probe.catalogue import NOT_RUN, catalogue
from probe.matrix import recorded

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "attacks.md"
ROW = re.compile(r"^\| `([a-z0-9._-]+)` \| (\d) \| ", re.MULTILINE)


def test_every_attack_is_listed_in_order() -> None:
    listed = ROW.findall(DOCUMENT.read_text())
    assert listed == [(a.id, str(int(a.rung))) for a in catalogue()]


def test_each_line_says_who_refuses_now_and_without_that_check() -> None:
    lines = recorded()
    rows = {row.split("`")[1]: row for row in DOCUMENT.read_text().splitlines() if ROW.match(row)}
    for attack in catalogue():
        row = rows[attack.id]
        if attack.expected is None:
            assert row.endswith("| **nobody** | - |")
            continue
        assert f"{attack.expected.party} `{attack.expected.check}` |" in row
        behind = lines.get(attack.id)
        if behind is not None:
            assert row.endswith(f"| {behind.party} `{behind.check}` |")
        elif attack.id in lines:
            assert row.endswith("| **nobody** |")


NOT_SWITCHED = re.compile(r"[a-z]+\.request\.(method|route|target|trailers)")
"""What the connection or a route itself refuses: in no book, so it cannot be turned off."""
READING = frozenset({
    "acb.block.frame", "link.request.body", "meter.block.frame", "meter.frame", "meter.inner",
    "meter.message_code", "meter.payload",
})  # fmt: skip
"""With these off there is still nothing that could be read, and that is what refuses then."""
SILENCE = frozenset({"acb.answer.received", "acb.response.received"})
"""What a request that ended in silence is said to have failed by, whichever check is off."""


def test_every_refusal_was_tried_without_its_check_and_then_ended_otherwise() -> None:
    """No attack passes by being refused whatever is on: its check off, it ends elsewhere."""
    lines = recorded()
    refused = [a for a in catalogue() if a.expected is not None]
    untried = {a.expected.check for a in refused if a.expected and a.id not in lines}
    assert [check for check in untried if not NOT_SWITCHED.fullmatch(check)] == []
    same = {a.expected.check for a in refused if lines.get(a.id) == a.expected and a.expected}
    assert same <= READING | SILENCE


def test_what_is_not_attacked_is_said() -> None:
    text = DOCUMENT.read_text()
    assert all(f"**{what}**" in text for what, _ in NOT_RUN)
    assert "Redundant or untested" in text


def test_nothing_in_it_changes_from_run_to_run() -> None:
    text = DOCUMENT.read_text()
    assert not re.search(r"20\d\d-\d\d-\d\dT", text)
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
    assert not re.search(r"0253494d[0-9a-f]{8}", text)
