"""Short ways to write down an attack of one family."""

from __future__ import annotations

from collections.abc import Callable

from probe.model import METER_CHECKS, Act, Attack, Rung
from probe.result import Seen, Stop
from probe.world import World

ANY = "a connection to the interface, nothing else"
RECORDED = "a finished command, recorded and held back on its way to the device"
HEARD = frozenset({"counters"})
"""An authentic command that is refused for what it asks was heard: its counter is used up."""


def meter_attack(
    name: str,
    title: str,
    rung: Rung,
    holds: str,
    octets: Callable[[World], bytes],
    check: str | None,
    *,
    to: Callable[[World], str],
    requirement: str = METER_CHECKS,
    prepare: Callable[[World], None] | None = None,
    may_change: frozenset[str] = frozenset(),
    tags: tuple[str, ...] = (),
) -> Attack:
    """Octets sent to a device over the WAN; `check` is a meter's check without its prefix.

    `prepare` is what honestly happened before: the state is compared with the moment after it.
    """

    def act(world: World) -> Seen:
        if prepare is not None:
            prepare(world)
        message = octets(world)
        if prepare is not None:
            world.mark()
        return world.tell_meter(to(world), message)

    expected = None if check is None else Stop("meter_sim", f"meter.{check}")
    family = name.partition(".")[0]
    return Attack(
        name,
        title,
        rung,
        requirement,
        holds,
        act,
        expected,
        may_change,
        (family, "meter", *tags),
    )


def attack(
    name: str,
    title: str,
    rung: Rung,
    requirement: str,
    holds: str,
    act: Act,
    expected: Stop | None,
    *tags: str,
) -> Attack:
    """Any other attack; its family is the first part of its name."""
    family = name.partition(".")[0]
    return Attack(name, title, rung, requirement, holds, act, expected, tags=(family, *tags))
