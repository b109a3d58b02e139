"""Whatever happens in whatever order: one counter per request, none twice, the same answer again.

And no request after a newer one, whether that was signed or only set out to be.

Suppliers ask, ask again, ask for what is refused; the process dies before or after the key is
used, and is started again. At every point the invariants below hold.
"""

from __future__ import annotations

import asyncio
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cos_party.store import decisions as store
from services.chassis.checks import Refused
from tests.unit.cos_party.estate import Estate, Party, open_party

REQUESTS = 6


class CrashError(Exception):
    """The process dies here."""


@cache
def estate() -> Estate:
    return Estate()


@cache
def content_of(number: int) -> bytes:
    return estate().ask(counter=number).signed


class OneCounterPerRequest(RuleBasedStateMachine):
    """A CoS Party through orderly and disorderly days."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.answers: dict[int, dict[str, Any]] = {}
        self.intended: set[int] = set()
        self.highest = 6000
        self.party = self.opened()

    def opened(self) -> Party:
        return self.runner.run(open_party(Path(self.folder.name), estate()))

    def teardown(self) -> None:
        self.runner.run(self.party.base.close())
        self.runner.close()
        self.folder.cleanup()

    def ask(self, number: int) -> dict[str, Any] | None:
        """The answer; None if it was refused, as what is older than another must be."""
        older = number not in self.answers and number < max(self.intended, default=0)
        if not older:
            self.intended.add(number)
        if older:
            with pytest.raises(Refused, match=r"ecos\.request\.order"):
                self.runner.run(self.party.command(content_of(number)))
            return None
        return self.runner.run(self.party.command(content_of(number)))

    @rule(number=st.integers(0, REQUESTS - 1))
    def ask_or_ask_again(self, number: int) -> None:
        found = self.ask(number)
        if found is not None:
            answer = {**found, "transaction": None}
            assert self.answers.setdefault(number, answer) == answer

    @rule()
    def ask_for_what_is_refused(self) -> None:
        wrong = estate().ask(counter=999, import_mpxn="1399999999999").signed
        try:
            self.runner.run(self.party.command(wrong))
        except Refused:
            return
        raise AssertionError("signed")

    @rule(number=st.integers(0, REQUESTS - 1))
    @precondition(lambda self: len(self.answers) < REQUESTS)
    def die_before_signing(self, number: int) -> None:
        def die(data: bytes) -> bytes:
            raise CrashError(len(data))

        self.party.signer.sign = die  # type: ignore[method-assign]
        self.dying(number)

    @rule(number=st.integers(0, REQUESTS - 1))
    @precondition(lambda self: len(self.answers) < REQUESTS)
    def die_after_signing(self, number: int) -> None:
        async def die(*_: Any) -> bytes:
            raise CrashError

        kept = store.record_signed
        store.record_signed = die
        try:
            self.dying(number)
        finally:
            store.record_signed = kept

    def dying(self, number: int) -> None:
        """Ask, die (unless the answer was there already), and start again."""
        try:
            found = self.ask(number)
        except CrashError:
            assert number not in self.answers
        else:
            assert found is None or number in self.answers
        self.runner.run(self.party.base.close())
        self.party = self.opened()

    @invariant()
    def no_counter_is_used_twice(self) -> None:
        counters = [answer["counter"] for answer in self.answers.values()]
        assert len(set(counters)) == len(counters)

    @invariant()
    def counters_only_go_up_and_each_belongs_to_one_request(self) -> None:
        effects = self.runner.run(self.party.effects())
        assert effects["counter"] >= self.highest
        self.highest = effects["counter"]
        rows = effects["cos_command"]
        assert sorted(row.counter for row in rows) == list(range(6001, self.highest + 1))
        signed = {row.counter for row in rows if row.command is not None}
        assert signed == {answer["counter"] for answer in self.answers.values()}


TestOneCounterPerRequest = OneCounterPerRequest.TestCase
TestOneCounterPerRequest.settings = settings(
    max_examples=examples(15), stateful_step_count=12, deadline=None
)
