"""Running attacks: fresh stack, state before, act, state after, judgement."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from duis.errors import DuisError
from gbcs.errors import GbcsError
from keys.errors import KeysError
from probe.model import BETWEEN, Attack, Result
from probe.result import Seen
from probe.world import World
from stack.errors import CommandError

BROKEN = (CommandError, DuisError, GbcsError, KeysError, KeyError, ValueError, OSError)
"""What an attack may die of: the stack is not as it must be, so nothing is proven."""


def run(
    world: World, attacks: Iterable[Attack], progress: Callable[[Result], None]
) -> list[Result]:
    """Run attacks one after another; each sees a stack that no other attack has touched."""
    results = []
    fresh = False
    try:
        for attack in attacks:
            if not fresh:
                world.fresh()
            begun = time.monotonic()
            result = replace(run_one(world, attack), seconds=time.monotonic() - begun)
            # What changed nothing needs no clearing away, and neither does its successor.
            fresh = result.outcome == "refused" and not result.changed and not world.prepared
            results.append(result)
            progress(result)
        if results and not fresh:
            world.fresh()
    finally:
        world.leave()
    return results


def run_one(world: World, attack: Attack) -> Result:
    """Run one attack on a stack that is fresh."""
    try:
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


def judge(attack: Attack, seen: Seen, changed: tuple[str, ...]) -> Result:
    """Whether what happened is what must happen.

    A refusal is right if the named check of the named party made it and nothing changed but what
    the attack may change; a success is right only where the attack must succeed.
    """
    outcome = "succeeded" if seen.stopped_by is None else "refused"
    unexpected = tuple(c for c in changed if c.partition(":")[0] not in attack.may_change)
    right = seen.stopped_by == attack.expected
    ok = right and (outcome == "succeeded" or not unexpected)
    return Result(attack, outcome, seen.stopped_by, changed, ok, seen.note)
