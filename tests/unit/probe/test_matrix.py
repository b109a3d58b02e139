"""The matrix: each check off once for all attacks on it, and a stack that none has touched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from probe.matrix import repeat_without_checks
from probe.model import Attack, Result, Rung
from probe.result import Observed, Refusal
from stack.errors import CommandError

NONCE = Refusal("ecos_party", "link.request.nonce")
LABEL = Refusal("ecos_party", "link.request.label")
MAC, SIGNATURE = Refusal("meter_sim", "meter.mac"), Refusal("meter_sim", "meter.signature")
NOBODYS = Refusal("ecos_party", "ecos.request.method")


class Stack:
    """Keeps what was done to it, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.untouched = True
        self.prepared = False
        self.compares = True
        self.changed: tuple[str, ...] = ()

    def lab(self, party: str, method: str, path: str) -> Any:
        del method, path
        known = (NONCE, LABEL, MAC, SIGNATURE)
        checks = [{"id": s.check, "title": ""} for s in known if s.party == party]
        return {"checks": checks}

    def restore(self) -> None:
        self.done.append("fresh")
        self.untouched, self.changed = True, ()

    def switch(self, check: Refusal, *, on: bool) -> None:
        self.done.append(f"{'on' if on else 'off'} {check.check}")

    def watch(self, more: frozenset[str]) -> None:
        assert not more

    def changes(self) -> tuple[str, ...]:
        return self.changed

    def stop_standing_between(self) -> None:
        self.done.append("leave")


def attack(name: str, expected: Refusal | None, act: Callable[[Stack], Observed]) -> Attack:
    return Attack(name, "t", Rung.WIRE, "r", "h", act, expected)  # type: ignore[arg-type]


def goes_through(stack: Stack) -> Observed:
    stack.untouched = False
    stack.done.append("through")
    return Observed(None)


def only_at_the_cos_party(stack: Stack) -> Observed:
    stack.done.append("signed")
    return Observed(None)


def stopped(by: Refusal, changed: tuple[str, ...] = ()) -> Callable[[Stack], Observed]:
    def act(stack: Stack) -> Observed:
        stack.untouched, stack.changed = False, changed
        stack.done.append("stopped")
        return Observed(by)

    return act


def broken(stack: Stack) -> Observed:
    stack.done.append("broken")
    raise CommandError("cannot be reached")


def run(*attacks: Attack) -> tuple[dict[str, Refusal | None], list[str], Stack]:
    stack, seen = Stack(), list[Result]()
    lines, off = repeat_without_checks(stack, attacks, seen.append)  # type: ignore[arg-type]
    assert len(seen) == len(lines) + len(off)
    return lines, [result.attack.id for result in off], stack


def test_a_check_is_off_once_for_all_attacks_on_it() -> None:
    lines, _, stack = run(
        attack("a.one", NONCE, only_at_the_cos_party),
        attack("a.two", LABEL, stopped(NONCE)),
        attack("a.three", NONCE, stopped(LABEL)),
    )
    assert lines == {"a.one": None, "a.two": NONCE, "a.three": LABEL}
    assert stack.done == [
        "fresh", "off link.request.nonce", "signed", "stopped", "on link.request.nonce",
        "off link.request.label", "stopped", "on link.request.label", "fresh", "leave",
    ]  # fmt: skip
    assert stack.compares


def test_what_went_further_is_cleared_away_before_the_next() -> None:
    _, _, stack = run(
        attack("a.one", NONCE, goes_through),
        attack("a.two", NONCE, stopped(MAC)),
        attack("a.three", NONCE, stopped(LABEL)),
    )
    again = ["fresh", "off link.request.nonce"]
    assert stack.done[:8] == [*again, "through", *again, "stopped", *again]


def test_at_a_device_the_state_is_looked_at() -> None:
    _, _, stack = run(
        attack("a.one", MAC, stopped(SIGNATURE)),
        attack("a.two", MAC, stopped(SIGNATURE, ("counters:m",))),
        attack("a.three", MAC, stopped(SIGNATURE)),
    )
    assert stack.done[:6] == ["fresh", "off meter.mac", "stopped", "stopped", "fresh",
                              "off meter.mac"]  # fmt: skip


def test_an_attack_that_breaks_off_is_told_and_the_others_go_on() -> None:
    lines, off, stack = run(
        attack("a.one", NONCE, broken),
        attack("a.two", NONCE, only_at_the_cos_party),
        attack("a.of-no-book", NOBODYS, only_at_the_cos_party),
        attack("a.honest", None, only_at_the_cos_party),
    )
    assert (lines, off) == ({"a.two": None}, ["a.one.without-its-check"])
    assert stack.done[:5] == ["fresh", "off link.request.nonce", "broken", "fresh",
                              "off link.request.nonce"]  # fmt: skip
