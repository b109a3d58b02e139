"""A run's judgement: refused by the named check, and nothing changed, or it is not right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from probe.catalogue import catalogue
from probe.model import Attack, Result, Rung
from probe.own_attacks import attacks_in
from probe.reports import as_json, as_junit, as_sarif, complaint
from probe.result import Observed, Refusal
from probe.runner import judge, run
from stack.errors import CommandError

ROOT = Path(__file__).resolve().parents[3]
CHECK = Refusal("ecos_party", "link.request.nonce")
OTHER = Refusal("ecos_party", "link.request.stale")


def attack(
    expected: Refusal | None = CHECK, act: Callable[[Any], Observed] | None = None
) -> Attack:
    return Attack(
        "link.ecos.x", "title", Rung.RECORDING, "ECoS separation consultation, 11(i)", "holds",
        act or (lambda _: Observed(expected)), expected, frozenset({"counters"}), ("link",),
    )  # fmt: skip


@pytest.mark.parametrize(("expected", "found", "changed", "ok", "outcome"), [
    (CHECK, CHECK, (), True, "refused"),
    (CHECK, CHECK, ("counters:m",), True, "refused"),  # allowed to this attack
    (CHECK, CHECK, ("cells:m",), False, "refused"),
    (CHECK, CHECK, ("counters:m", "signed:ecos_party"), False, "refused"),
    (CHECK, OTHER, (), False, "refused"),
    (CHECK, None, ("cells:m",), False, "succeeded"),
    (CHECK, None, (), False, "succeeded"),
    (None, None, ("cells:m",), True, "succeeded"),
    (None, CHECK, (), False, "refused"),
])  # fmt: skip
def test_judgement(
    expected: Refusal | None,
    found: Refusal | None,
    changed: tuple[str, ...],
    ok: bool,
    outcome: str,
) -> None:
    result = judge(attack(expected), Observed(found), changed)
    assert (result.ok, result.outcome) == (ok, outcome)
    assert result.state_unchanged == (not changed)
    assert bool(complaint(result)) != ok


class Stack:
    """A world of one value: what was done to it is counted."""

    def __init__(self) -> None:
        self.value = 0
        self.before: int | None = None
        self.freshened = 0
        self.prepared = False
        self.off: list[Refusal] = []
        self.left = False
        self.shared = False
        self.compared = 0

    def restore(self) -> None:
        self.freshened += 1
        self.value, self.before, self.prepared = 0, None, False

    def watch(self, more: frozenset[str]) -> None:
        assert not more
        if self.before is None:
            self.before = self.value

    def stop_standing_between(self) -> None:
        self.left = True

    def changes(self) -> tuple[str, ...]:
        self.compared += 1
        return ("cells:m",) if self.value != self.before else ()

    def without(self, check: Refusal) -> Stack:
        self.off.append(check)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.off.append(Refusal("on", "again"))


def spoil(stack: Stack) -> Observed:
    stack.value += 1
    return Observed(CHECK)


def die(_: Stack) -> Observed:
    raise CommandError("cannot be reached")


def test_each_attack_finds_a_stack_that_none_has_touched() -> None:
    stack, seen = Stack(), []
    attacks = [attack(), attack(), attack(act=spoil), attack(), attack(act=die), attack()]
    results = run(stack, attacks, seen.append)  # type: ignore[arg-type]
    assert [r.outcome for r in results] == ["refused"] * 4 + ["error", "refused"]
    assert [r.ok for r in results] == [True, True, False, True, False, True]
    assert seen == results
    # Before the first, after the spoiling one, after the broken one.
    assert stack.freshened == 3
    assert stack.left


def harmless(name: str, by: Refusal = CHECK) -> Attack:
    return replace(attack(act=lambda _: Observed(by)), id=name, may_change=frozenset())


def test_what_leaves_nothing_behind_shares_one_comparison() -> None:
    stack = Stack()
    attacks = [harmless(f"link.ecos.{n}") for n in range(9)] + [harmless("gbcs.frame.x")]
    results = run(stack, attacks, lambda _: None)  # type: ignore[arg-type]
    assert [r.attack.id for r in results] == [a.id for a in attacks]
    assert all(r.ok for r in results)
    assert (stack.compared, stack.freshened, stack.shared) == (1, 1, False)


def test_what_ended_otherwise_beside_others_is_repeated_alone() -> None:
    tried = []

    def only_alone(stack: Stack) -> Observed:
        tried.append(stack.shared)
        return Observed(OTHER if stack.shared else CHECK)

    one = replace(harmless("link.ecos.a"), act=only_alone)  # type: ignore[arg-type]
    stack = Stack()
    results = run(stack, [one, harmless("link.ecos.b")], lambda _: None)  # type: ignore[arg-type]
    assert [r.ok for r in results] == [True, True]
    assert tried == [True, False]


def test_a_change_beside_others_is_laid_at_the_door_of_the_one_that_made_it() -> None:
    stack = Stack()
    bad = replace(harmless("link.ecos.b"), act=spoil)  # type: ignore[arg-type]
    attacks = [harmless("link.ecos.a"), bad, harmless("link.ecos.c")]
    results = run(stack, attacks, lambda _: None)  # type: ignore[arg-type]
    assert [(r.ok, r.changed) for r in results] == [(True, ()), (False, ("cells:m",)), (True, ())]


def test_one_job_is_one_after_the_other() -> None:
    stack = Stack()
    results = run(stack, [harmless("link.ecos.a")] * 1, lambda _: None, 1)  # type: ignore[arg-type]
    assert (results[0].ok, stack.compared) == (True, 1)


def test_a_check_is_off_for_one_act_only() -> None:
    stack = Stack()
    weak = replace(attack(), off=OTHER)
    run(stack, [weak], lambda _: None)  # type: ignore[arg-type]
    assert stack.off == [OTHER, Refusal("on", "again")]


def results() -> list[Result]:
    return [
        replace(judge(attack(), Observed(CHECK), ()), seconds=0.25),
        replace(judge(attack(), Observed(None, "accepted\x00"), ("cells:m",)), seconds=1.5),
    ]


def test_json() -> None:
    told = as_json(results())
    assert told["totals"] == {
        "attacks": 2, "ok": 1, "not_ok": 1, "refused": 1, "succeeded": 1, "error": 0,
    }  # fmt: skip
    assert {"id", "title", "rung", "requirement", "expected_party", "expected_check", "outcome",
            "stopped_by", "state_unchanged", "ok"} <= told["attacks"][0].keys()  # fmt: skip
    assert json.loads(json.dumps(told)) == told


def test_junit() -> None:
    root = etree.fromstring(as_junit(results()))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    assert len(root.findall("testcase")) == 2
    assert root.find("testcase/failure") is not None
    assert [case.get("time") for case in root.findall("testcase")] == ["0.250", "1.500"]
    assert root.get("time") == "1.750"


def test_a_run_says_how_long_each_took() -> None:
    (one,) = run(Stack(), [attack()], lambda _: None)  # type: ignore[arg-type]
    assert one.seconds > 0
    assert one.as_dict()["seconds"] >= 0


def test_sarif() -> None:
    run_of = json.loads(as_sarif(results()))["runs"][0]
    assert [r["level"] for r in run_of["results"]] == ["error"]
    assert run_of["results"][0]["ruleId"] == "link.ecos.x"
    assert len(run_of["tool"]["driver"]["rules"]) == 2


def test_sarif_has_what_githubs_code_scanning_asks_for() -> None:
    """SARIF 2.1.0, and GitHub's "SARIF support for code scanning": what is required there."""
    told = json.loads(as_sarif(results()))
    assert told["version"] == "2.1.0"
    (one_run,) = told["runs"]
    driver = one_run["tool"]["driver"]
    for rule in driver["rules"]:
        assert all(rule[name]["text"] for name in ("shortDescription", "fullDescription", "help"))
        assert len(rule["properties"]["tags"]) <= 20
    for found in one_run["results"]:
        assert driver["rules"][found["ruleIndex"]]["id"] == found["ruleId"]
        assert found["message"]["text"].isprintable()
        assert found["partialFingerprints"]["primaryLocationLineHash"]
        for place in found["locations"]:
            physical = place["physicalLocation"]
            uri = physical["artifactLocation"]["uri"]
            assert not uri.startswith(("/", "file:", ".."))
            assert (ROOT / uri).is_file()
            lines = (ROOT / uri).read_text().splitlines()
            assert "Attack(" in lines[physical["region"]["startLine"] - 1]


def test_every_attack_is_at_a_line_of_its_familys_file() -> None:
    short_ways = {"model.py", "making.py", "catalogue.py"}
    for one in catalogue():
        file, line = one.written_at
        assert Path(file).parent == ROOT / "probe" / "attacks"
        assert Path(file).name not in short_ways
        assert 0 < line <= len(Path(file).read_text().splitlines())


MINE = """
from probe.attacks.making import attack
from probe.model import Rung
from probe.result import Observed

@attack({id!r}, check=None, rung=Rung.WIRE, requirement="ours", holds="nothing")
def mine(world):
    "title"
    return Observed(None)
"""


def test_attacks_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(id="mine.one"))
    (mine,) = attacks_in(path)
    assert (mine.id, mine.tags) == ("mine.one", ("mine",))
    assert mine.written_at == (str(path), 6)


@pytest.mark.parametrize(("text", "said"), [
    (None, "FileNotFoundError"),
    ("ATTACKS = [", "SyntaxError"),
    ("x = 1", "defines no ATTACKS"),
    ("ATTACKS = ['one']", "defines no ATTACKS"),
    ("def attacks(): raise ValueError('not today')", "not today"),
    (MINE.format(id="gbcs.frame.empty"), "called gbcs.frame.empty already"),
])  # fmt: skip
def test_a_file_without_attacks_is_refused_in_a_sentence(
    tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CommandError, match=said) as error:
        attacks_in(path)
    assert error.value.code == 2
