"""Which check holds what: every check off in turn, and what then happens to what it refused.

Checks of one party run in one order and the first refusal ends it. So turning off check C can
change the fate of those attacks only that C refused: what an earlier check refuses it still
refuses, and what C let pass it lets pass. Hence each attack is repeated once, without the check
that refused it; that is the whole matrix. What was found is kept in `next_line.json` beside this
module, and `cos probe --rung 5` holds a stack to it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from probe.catalogue import NOT_RUN
from probe.model import BETWEEN, RUNGS, Attack, Result, Rung
from probe.result import Seen, Stop
from probe.runner import BROKEN, judge
from probe.world import World
from stack.systems import SYSTEMS

METERS = "meter_sim"
RECORD = Path(__file__).parent / "next_line.json"
ANYTHING = frozenset({"cells", "counters", "pending", "certificates", "record", "signed"})
Lines = dict[str, Stop | None]
"""By attack: who refuses it without the check that refuses it; None: it gets through."""

COLUMNS = ("attack", "rung", "what is attempted", "the attacker holds", "requirement",
           "refused by", "and without that check by")  # fmt: skip


def recorded() -> Lines:
    """What the last matrix found."""
    told = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    return {name: Stop(*line) if line else None for name, line in told.items()}


def record(lines: Lines) -> None:
    """Keep what a matrix found."""
    told = {n: [s.party, s.check] if s else None for n, s in sorted(lines.items())}
    RECORD.write_text(json.dumps(told, indent=1) + "\n")


def without(attack: Attack, expected: Stop | None) -> Attack:
    """The same attack at a stack that lacks the check which refuses it."""
    check = attack.expected
    assert check is not None
    return replace(
        attack,
        id=f"{attack.id}.without-its-check",
        title=f"{attack.title}, with {check.check} off",
        rung=Rung.CHECK_OFF,
        expected=expected,
        off=check,
        may_change=ANYTHING if expected is None else attack.may_change | {"counters", "signed"},
        tags=(*attack.tags, "weakened"),
    )


def weakened(attacks: Sequence[Attack]) -> Iterator[Attack]:
    """Rung 5: every refused attack without its check, held to what the last matrix found."""
    lines = recorded()
    for attack in attacks:
        if attack.expected is not None and attack.id in lines:
            yield without(attack, lines[attack.id])


def next_lines(
    world: World, attacks: Sequence[Attack], progress: Callable[[Result], None]
) -> tuple[Lines, list[Result]]:
    """Repeat every refused attack without its check: what was found, and what broke off.

    An attack whose check cannot be turned off (it is none of the party's book: a route that does
    not exist, for instance) is left out. Attacks on one check come one after the other, so that it
    is turned off once for all of them.
    """
    known = {(c["party"], c["id"]) for c in checks_of(world)}
    by_check: dict[Stop, list[Attack]] = defaultdict(list)
    for attack in attacks:
        stop = attack.expected
        if stop is not None and (stop.party, stop.check) in known:
            by_check[stop].append(without(attack, None))
    lines: Lines = {}
    broken: list[Result] = []
    world.compares = False
    try:
        if any(BETWEEN in attack.tags for attack in attacks):
            world.stand_between()
        for result in _repeated(world, by_check):
            if result.outcome == "error":
                broken.append(result)
            else:
                name = result.attack.id.removesuffix(".without-its-check")
                lines[name] = result.stopped_by
            progress(result)
        world.fresh()
    finally:
        world.compares = True
        world.leave()
    return lines, broken


def _repeated(world: World, by_check: Mapping[Stop, Sequence[Attack]]) -> Iterator[Result]:
    """Each attack on a stack that no other has changed, with its check off."""
    fresh = False
    for stop, attacks in by_check.items():
        off = False
        for attack in attacks:
            if not fresh:
                world.fresh()
                off = False
            if not off:
                world.switch(stop, on=False)
                off = True
            try:
                if stop.party == METERS:
                    world.watch(frozenset())
                seen = attack.act(world)
                fresh = _left_nothing(world, attack, seen)
            except BROKEN as error:
                fresh = False
                note = f"{type(error).__name__}: {error}"
                yield Result(attack, "error", None, (), ok=False, note=note)
                continue
            yield judge(attack, seen, ())
        if off:
            world.switch(stop, on=True)


def _left_nothing(world: World, attack: Attack, seen: Seen) -> bool:
    """Whether the next attack finds the stack as this one did.

    What the party without the check refused all the same has changed nothing there: that is what
    the run with all checks on is about. (A device counts what it heard: there it is looked at.)
    Whatever went further is cleared away.
    """
    if world.untouched:
        return True
    stop, off = seen.stopped_by, attack.off
    if stop is None or off is None or world.prepared or stop.party != off.party:
        return False
    return stop.party != METERS or not world.changes()


def checks_of(world: World) -> list[dict[str, str]]:
    """Every check that any system can switch off: party, identifier, title."""
    return [
        {"party": party, "id": check["id"], "title": check["title"]}
        for party in SYSTEMS
        for check in world.lab(party, "GET", "/lab/checks")["checks"]
    ]


def document(attacks: Sequence[Attack], lines: Lines, checks: Sequence[dict[str, str]]) -> str:
    """docs/attacks.md: the same for the same attacks and behaviour, whenever it is made."""
    return "\n".join([*_head(attacks), *_matrix(attacks, lines, checks), *_list(attacks, lines)])


def _head(attacks: Sequence[Attack]) -> list[str]:
    out = [
        "# Attacks, and which check holds what",
        "",
        "Made by `cos probe matrix`; do not edit. `cos probe matrix --check` says whether it is",
        "current. Run the attacks themselves with `cos probe` against a running stack.",
        "",
        "## Rungs",
        "",
        "| rung | the attacker has | attacks |",
        "|---|---|---|",
    ]
    for rung, title in RUNGS.items():
        count = sum(a.rung is rung for a in attacks)
        shown = "every refused attack below, again" if rung is Rung.CHECK_OFF else str(count)
        out.append(f"| {int(rung)} | {title} | {shown} |")
    out += ["", "## What is not attacked here, and why", ""]
    out += [f"- **{what}**: {' '.join(why.split())}" for what, why in NOT_RUN]
    return [*out, ""]


def _matrix(attacks: Sequence[Attack], lines: Lines, checks: Sequence[dict[str, str]]) -> list[str]:
    by_check: dict[tuple[str, str], list[Attack]] = defaultdict(list)
    for attack in attacks:
        if attack.expected is not None:
            by_check[attack.expected.party, attack.expected.check].append(attack)
    out = [
        "## The matrix",
        "",
        "One line per check: how many attacks it refuses, how many of them get through when it is",
        "off, and who refuses the others then. (Order decides: with a check off, only what that",
        "check refused can end otherwise.) Where a check is its own next line, nothing can be",
        "made of such octets: there is nothing to go on with, on or off.",
        "",
        "| party | check | refuses | get through without it | still refused by |",
        "|---|---|---|---|---|",
    ]
    idle = []
    for check in checks:
        held = [a for a in by_check[check["party"], check["id"]] if a.id in lines]
        through = [a.id for a in held if lines[a.id] is None]
        behind = sorted({stop.check for a in held if (stop := lines[a.id]) is not None})
        if not through:
            idle.append((check, len(held)))
        if held:
            shown = ", ".join(f"`{b}`" for b in behind) or "-"
            out.append(
                f"| {check['party']} | `{check['id']}` | {len(held)} | {len(through)} | {shown} |"
            )
    out += ["", "### Redundant or untested", "",
            "Checks whose removal lets nothing through here. With attacks: others stand behind",
            "them (defence in depth). Without: no attack of this bench reaches them.", "",
            "| party | check | attacks it refuses | |", "|---|---|---|---|"]  # fmt: skip
    for check, count in idle:
        why = "others stand behind it" if count else "untested here"
        out.append(f"| {check['party']} | `{check['id']}` | {count} | {why} |")
    return [*out, ""]


def _list(attacks: Sequence[Attack], lines: Lines) -> list[str]:
    out = [
        "## The attacks",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|---|---|---|---|",
    ]
    for a in attacks:
        refused = f"{a.expected.party} `{a.expected.check}`" if a.expected else "**nobody**"
        behind = "-"
        if a.expected is not None and a.id in lines:
            stop = lines[a.id]
            behind = "**nobody**" if stop is None else f"{stop.party} `{stop.check}`"
        cells = (f"`{a.id}`", str(int(a.rung)), a.title, a.holds, a.requirement, refused, behind)
        out.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return [*out, ""]
