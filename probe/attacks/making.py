"""How attacks are written down: functions of their own, or rows of a table.

A function is an attack by the decorator `attack`; the first line of its docstring is the title. The
rows of a table become attacks by `attack_row`, or by `meter_attack` where octets go to a device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from probe.model import METER_CHECKS, Act, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World

ANY = "a connection to the interface, nothing else"
RECORDED = "a finished command, recorded and held back on its way to the device"
COUNTER_USED = frozenset({"counters"})
"""An authentic command that is refused for what it asks: the device counts it all the same."""

PREFIXES = {"meter": "meter_sim", "smki": "smki_repository", **COS}
F = TypeVar("F", bound=Callable[..., Observed])


def refusal(check: str | None, party: str = "") -> Refusal | None:
    """By this check; of the party that its name begins with, unless told (`link.` names none)."""
    if check is None:
        return None
    first = check.partition(".")[0]
    return Refusal(party or PREFIXES.get(first, first), check)


def attack(
    name: str,
    *,
    check: str | None,
    rung: Rung,
    requirement: str,
    holds: str,
    party: str = "",
    tags: tuple[str, ...] = (),
    **more: Any,
) -> Callable[[F], F]:
    """Make a function an attack; its docstring's first line is the title.

    With `{cos}` in its name it is two attacks, one at each CoS Party: the function gets the party
    beside the world, and `{cos}`, `{party}` and `{other}` are filled in everywhere.

    The first part of its name is the family, and a tag. `check` must refuse it (None: it must
    succeed); `party` is whose check that is, where the check's name does not say. The other values
    are those of `Attack`.
    """

    def keep(act: F) -> F:
        title = (act.__doc__ or "").partition("\n")[0].removesuffix(".")
        where = (act.__code__.co_filename, act.__code__.co_firstlineno)

        def one(fill: Mapping[str, str], run: Act) -> Attack:
            return Attack(
                name.format_map(fill), title.format_map(fill), rung, requirement,
                holds.format_map(fill), run,
                refusal(check and check.format_map(fill), party.format_map(fill)),
                tags=(name.partition(".")[0], *tags), written_at=where, **more,
            )  # fmt: skip

        if "{cos}" not in name:
            act.attacks = (one({}, act),)  # type: ignore[attr-defined]
            return act
        others = dict(zip(COS.values(), reversed(COS.values()), strict=True))
        act.attacks = tuple(  # type: ignore[attr-defined]
            one({"cos": cos, "party": whose, "other": others[whose]}, partial(act, party=whose))
            for cos, whose in COS.items()
        )
        return act

    return keep


def written_in(names: Mapping[str, Any]) -> Iterator[Attack]:
    """The attacks of a module by its names: decorated functions, and what `attacks()` gives."""
    for value in list(names.values()):
        if getattr(value, "__module__", "") == names["__name__"]:  # not what it imported
            yield from getattr(value, "attacks", ())
    if callable(tables := names.get("attacks")):
        yield from tables()


def attack_row(
    name: str,
    title: str,
    rung: Rung,
    requirement: str,
    holds: str,
    act: Act,
    expected: Refusal | None,
    *tags: str,
    **more: Any,
) -> Attack:
    """One row of a table; its family is the first part of its name."""
    family = name.partition(".")[0]
    return Attack(
        name, title, rung, requirement, holds, act, expected, tags=(family, *tags), **more
    )


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
    tags: tuple[str, ...] = (),
    **more: Any,
) -> Attack:
    """Octets sent to a device over the WAN; `check` is a meter's check without its prefix.

    `prepare` is what honestly happened before: the state is compared with the moment after it.
    """

    def act(world: World) -> Observed:
        if prepare is not None:
            prepare(world)
        message = octets(world)
        if prepare is not None:
            world.compare_from_here()
        return world.send_to_meter(to(world), message)

    expected = None if check is None else Refusal("meter_sim", f"meter.{check}")
    return attack_row(
        name, title, rung, requirement, holds, act, expected, "meter", *tags,
        prepares=prepare is not None, **more,
    )  # fmt: skip
