"""Which check holds what: every check off in turn, and what then happens to what it refused.

Checks of one party run in one order and the first refusal ends it. So turning off check C can
change the fate of those attacks only that C refused: what an earlier check refuses it still
refuses, and what C let pass it lets pass. Hence each attack is repeated once, without the check
that refused it; that is the whole matrix. What was found is kept in `without_check.json` beside
this module (by attack: party and check, or null: it gets through), and `cos probe --rung 5`
holds a stack to it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from probe.model import BETWEEN, Attack, Result, Rung
from probe.result import Observed, Refusal
from probe.runner import BROKEN, judge
from probe.world import World
from stack.systems import SYSTEMS

METERS = "meter_sim"
RECORD = Path(__file__).parent / "without_check.json"
ANYTHING = frozenset({"cells", "counters", "pending", "certificates", "record", "signed"})
Repeats = dict[str, Refusal | None]
"""By attack: who refuses it without the check that refuses it; None: it gets through."""


def recorded() -> Repeats:
    """What the last matrix found."""
    told: dict[str, str | None] = json.loads(RECORD.read_text()) if RECORD.is_file() else {}
    return {name: Refusal(*line.split()) if line else None for name, line in told.items()}


def record(lines: Repeats) -> None:
    """Keep what a matrix found, a line an attack."""
    told = {n: r and f"{r.party} {r.check}" for n, r in sorted(lines.items())}
    RECORD.write_text(json.dumps(told, indent=1) + "\n")


def without(attack: Attack, expected: Refusal | None) -> Attack:
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


def repeat_without_checks(
    world: World, attacks: Sequence[Attack], progress: Callable[[Result], None]
) -> tuple[Repeats, list[Result]]:
    """Repeat every refused attack without its check: what was found, and what broke off.

    An attack whose check cannot be turned off (it is none of the party's book: a route that does
    not exist, for instance) is left out. Attacks on one check come one after the other, so that it
    is turned off once for all of them.
    """
    known = {(c["party"], c["id"]) for c in checks_of(world)}
    by_check: dict[Refusal, list[Attack]] = defaultdict(list)
    for attack in attacks:
        refusal = attack.expected
        if refusal is not None and (refusal.party, refusal.check) in known:
            by_check[refusal].append(without(attack, None))
    lines: Repeats = {}
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
                lines[name] = result.refused_by
            progress(result)
        world.restore()
    finally:
        world.compares = True
        world.stop_standing_between()
    return lines, broken


def _repeated(world: World, by_check: Mapping[Refusal, Sequence[Attack]]) -> Iterator[Result]:
    """Each attack on a stack that no other has changed, with its check off."""
    fresh = False
    for refusal, attacks in by_check.items():
        off = False
        for attack in attacks:
            if not fresh:
                world.restore()
                off = False
            if not off:
                world.switch(refusal, on=False)
                off = True
            try:
                if refusal.party == METERS:
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
            world.switch(refusal, on=True)


def _left_nothing(world: World, attack: Attack, seen: Observed) -> bool:
    """Whether the next attack finds the stack as this one did.

    What the party without the check refused all the same has changed nothing there: that is what
    the run with all checks on is about. (A device counts what it heard: there it is looked at.)
    Whatever went further is cleared away.
    """
    if world.untouched:
        return True
    refusal, off = seen.refused_by, attack.off
    if refusal is None or off is None or world.prepared or refusal.party != off.party:
        return False
    return refusal.party != METERS or not world.changes()


def checks_of(world: World) -> list[dict[str, str]]:
    """Every check that any system can switch off: party, identifier, title."""
    return [
        {"party": party, "id": check["id"], "title": check["title"]}
        for party in SYSTEMS
        for check in world.lab(party, "GET", "/lab/checks")["checks"]
    ]
