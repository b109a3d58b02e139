"""Running attacks: a stack that none has touched, the act, the state afterwards, the judgement.

Most attacks are refused and leave nothing behind. Those run side by side, many to one comparison of
the state; where that shows a change, or one ended otherwise than it must, they are repeated one by
one, and only that counts. The others (what needs preparation, what must succeed, what moves a
counter) run one by one from the start.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from duis.errors import DuisError
from gbcs.errors import GbcsError
from keys.errors import KeysError
from probe.model import BETWEEN, Attack, Result
from probe.result import Observed
from probe.world import World
from stack.errors import CommandError

BROKEN = (CommandError, DuisError, GbcsError, KeysError, KeyError, ValueError, OSError)
"""What an attack may die of: the stack is not as it must be, so nothing is proven."""

TOGETHER = 200
"""So many attacks share one comparison of the state."""
JOBS = 4
"""So many attacks run at once."""

Progress = Callable[[Result], None]


def run(
    world: World, attacks: Iterable[Attack], progress: Progress, jobs: int = JOBS
) -> list[Result]:
    """Run attacks; the results are in the order of the attacks."""
    wanted = list(attacks)
    shared = _mixed([a for a in wanted if not a.alone]) if jobs > 1 else []
    results: dict[int, Result] = {}

    def done(result: Result) -> None:
        results[id(result.attack)] = result
        progress(result)

    try:
        again = [
            attack
            for at in range(0, len(shared), TOGETHER)
            for attack in _side_by_side(world, shared[at : at + TOGETHER], done, jobs)
        ]
        later = {id(a) for a in again} | {id(a) for a in wanted if a.alone or jobs == 1}
        one_by_one = [a for a in wanted if id(a) in later]
        # The systems start anew for those in between: once, after all the others.
        _one_by_one(world, sorted(one_by_one, key=lambda a: BETWEEN in a.tags), done)
    finally:
        world.stop_standing_between()
    return [results[id(a)] for a in wanted]


def lane(attack: Attack) -> str:
    """Attacks of one lane wait for each other.

    A device tells what it refused last; the broker wants the requests of one supplier in order.
    """
    first, second = attack.id.split(".")[:2]
    if "meter" in attack.tags:
        return "meter"
    return f"{first}.{second}" if first in {"link", "xml"} or "by-broker" in attack.id else "broker"


def _lanes(attacks: Iterable[Attack]) -> list[list[Attack]]:
    lanes: dict[str, list[Attack]] = defaultdict(list)
    for attack in attacks:
        lanes[lane(attack)].append(attack)
    return sorted(lanes.values(), key=len, reverse=True)


def _mixed(attacks: Iterable[Attack]) -> list[Attack]:
    """Those of every lane spread evenly, so that no lane is alone at the end."""
    placed = [(at / len(one), a) for one in _lanes(attacks) for at, a in enumerate(one)]
    return [attack for _, attack in sorted(placed, key=lambda pair: pair[0])]


def _side_by_side(
    world: World, attacks: Sequence[Attack], done: Progress, jobs: int
) -> list[Attack]:
    """Run attacks at once that leave nothing; gives back those that have to be repeated alone."""

    def all_of(those: Sequence[Attack]) -> list[Result]:
        return [_timed(world, attack) for attack in those]

    world.restore()
    world.watch(frozenset())
    world.shared = True
    try:
        with ThreadPoolExecutor(jobs) as pool:
            results = [one for those in pool.map(all_of, _lanes(attacks)) for one in those]
    finally:
        world.shared = False
    if world.changes():
        return list(attacks)
    for result in results:
        if result.ok:
            done(result)
    return [result.attack for result in results if not result.ok]


def _one_by_one(world: World, attacks: Sequence[Attack], done: Progress) -> None:
    """Each sees a stack that no other attack has touched."""
    clean = False
    for attack in attacks:
        if not clean:
            world.restore()
        result = _timed(world, attack)
        # What changed nothing needs no clearing away, and neither does its successor.
        clean = result.outcome == "refused" and not result.changed and not world.prepared
        done(result)
    if attacks and not clean:
        world.restore()


def _timed(world: World, attack: Attack) -> Result:
    begun = time.monotonic()
    return replace(run_one(world, attack), seconds=time.monotonic() - begun)


def run_one(world: World, attack: Attack) -> Result:
    """Run one attack on a restored stack; where attacks share it, the state is compared later."""
    try:
        if world.shared:
            return judge(attack, attack.act(world), ())
        if BETWEEN in attack.tags:
            world.stand_between()  # before any check is off: the systems start anew for it
        world.watch(attack.watches)
        if attack.off is None:
            seen = attack.act(world)
        else:
            with world.without(attack.off):
                seen = attack.act(world)
        changed = world.changes()
    except BROKEN as error:
        note = f"{type(error).__name__}: {error}"
        return Result(attack, "error", None, (), ok=False, note=note)
    return judge(attack, seen, changed)


def judge(attack: Attack, seen: Observed, changed: tuple[str, ...]) -> Result:
    """Whether what happened is what must happen.

    A refusal is right if the named check of the named party made it and nothing changed but what
    the attack may change; a success is right only where the attack must succeed.
    """
    outcome = "succeeded" if seen.refused_by is None else "refused"
    unexpected = tuple(c for c in changed if c.partition(":")[0] not in attack.may_change)
    right = seen.refused_by == attack.expected
    ok = right and (outcome == "succeeded" or not unexpected)
    return Result(attack, outcome, seen.refused_by, changed, ok, seen.note)
