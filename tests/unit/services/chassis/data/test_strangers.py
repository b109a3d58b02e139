"""What strangers may leave behind: a purse that empties, fills slowly, and is paid back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.chassis.data.strangers import RECORD, Strangers

if TYPE_CHECKING:
    from conftest import HeldClock


def test_a_purse_empties_and_fills_again_with_time(held_clock: HeldClock) -> None:
    strangers = Strangers(held_clock, purse=3 * RECORD, per_second=RECORD)
    assert [strangers.afford() for _ in range(5)] == [True, True, True, False, False]
    held_clock.step(1)
    assert [strangers.afford() for _ in range(2)] == [True, False]
    held_clock.step(3600)
    assert [strangers.afford() for _ in range(4)] == [True, True, True, False]


def test_what_a_record_carries_counts(held_clock: HeldClock) -> None:
    strangers = Strangers(held_clock, purse=3 * RECORD, per_second=1)
    assert not strangers.afford(2 * RECORD + 1)
    assert strangers.afford(2 * RECORD)
    assert not strangers.afford()


def test_who_has_proven_who_it_is_pays_nothing(held_clock: HeldClock) -> None:
    strangers = Strangers(held_clock, purse=2 * RECORD, per_second=1)
    for _ in range(50):
        assert strangers.afford(RECORD)
        strangers.refund(RECORD)
    for _ in range(50):
        strangers.refund(RECORD)  # never more than the purse holds
    assert [strangers.afford() for _ in range(3)] == [True, True, False]


def test_a_clock_that_is_set_back_fills_nothing_and_takes_nothing(held_clock: HeldClock) -> None:
    strangers = Strangers(held_clock, purse=2 * RECORD, per_second=RECORD)
    assert strangers.afford()
    held_clock.step(-3600)
    assert [strangers.afford() for _ in range(2)] == [True, False]
    held_clock.step(1)
    assert strangers.afford()


def test_what_was_not_kept_is_counted_once(held_clock: HeldClock) -> None:
    strangers = Strangers(held_clock, purse=RECORD, per_second=1)
    assert [strangers.afford() for _ in range(4)] == [True, False, False, False]
    assert (strangers.unkept(), strangers.unkept()) == (3, 0)


def test_one_known_sender_pays_neither_for_strangers_nor_for_another(held_clock: HeldClock) -> None:
    strangers = Strangers(held_clock, purse=RECORD, per_second=1, sender_purse=2 * RECORD)
    assert [strangers.afford(sender="a") for _ in range(3)] == [True, True, False]
    assert strangers.afford(sender="b", records=2)
    assert not strangers.afford(sender="b")
    assert [strangers.afford() for _ in range(2)] == [True, False]
    assert strangers.unkept() == 3


def test_senders_longest_quiet_are_forgotten(
    held_clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.data.strangers.SENDERS", 2)
    strangers = Strangers(held_clock, sender_purse=RECORD)
    assert [strangers.afford(sender=one) for one in ("a", "b", "a", "c")] == [
        True,
        True,
        False,
        True,
    ]
    assert strangers.afford(sender="b")  # "a" spoke later, so "b" made room for "c"
