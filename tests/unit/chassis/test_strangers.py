"""What strangers may leave behind: a purse that empties, fills slowly, and is paid back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.chassis.strangers import RECORD, Strangers

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
        strangers.known(RECORD)
    for _ in range(50):
        strangers.known(RECORD)  # never more than the purse holds
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
