"""docs/attacks.md is of the catalogue as it is, and says what the last matrix found."""

from __future__ import annotations

import re
from pathlib import Path

from probe.catalogue import NOT_RUN, catalogue, sample
from probe.matrix import recorded
from probe.model import RUNGS, Rung

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "attacks.md"
ROW = re.compile(r"^\| ([a-z_, ]+) \| `([a-z0-9._]+)` \| (\d+) \| (\d+) \| (.*) \|$", re.MULTILINE)


def test_it_counts_the_catalogue_as_it_is() -> None:
    text, attacks = DOCUMENT.read_text(), catalogue()
    assert f"There are {len(attacks):,} attacks" in text
    assert f"{len(sample(attacks)):,} attacks. `cos probe --all`" in text
    for rung in set(Rung) - {Rung.CHECK_OFF}:
        assert f"| {int(rung)} | {RUNGS[rung]} | {sum(a.rung is rung for a in attacks)} |" in text
    assert len(text.splitlines()) < 500


def test_each_line_of_the_matrix_is_what_was_found() -> None:
    lines = recorded()
    held: dict[tuple[str, str], list[str]] = {}
    for attack in catalogue():
        if attack.expected is not None and attack.id in lines:
            held.setdefault((attack.expected.party, attack.expected.check), []).append(attack.id)
    told = {}
    for parties, check, refuses, through, behind in ROW.findall(DOCUMENT.read_text()):
        for party in parties.split(", "):
            cos = party.partition("_")[0]
            named = check.replace("cos.", f"{cos}.", 1) if check.startswith("cos.") else check
            told[party, named] = (int(refuses), int(through), behind.replace("`cos.", f"`{cos}."))
    assert set(told) == set(held)
    for key, names in held.items():
        refusals = [lines[name] for name in names]
        behind = sorted({f"`{one.check}`" for one in refusals if one is not None})
        assert told[key][:2] == (len(names), refusals.count(None)), key
        assert sorted(told[key][2].split(", ")) == (behind or ["-"]), key


def test_what_was_found_is_of_attacks_that_exist() -> None:
    assert set(recorded()) <= {a.id for a in catalogue()}


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


def test_nothing_in_it_changes_from_run_to_run() -> None:
    text = DOCUMENT.read_text()
    assert not re.search(r"20\d\d-\d\d-\d\dT", text)
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text)
    assert not re.search(r"0253494d[0-9a-f]{8}", text)
