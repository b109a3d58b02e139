"""What strangers may leave behind: a quota that empties, fills slowly, and is paid back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.chassis.data.quota import RECORD, UnauthenticatedQuota

if TYPE_CHECKING:
    from conftest import HeldClock


def test_a_quota_empties_and_fills_again_with_time(held_clock: HeldClock) -> None:
    unauthenticated = UnauthenticatedQuota(held_clock, quota=3 * RECORD, per_second=RECORD)
    assert [unauthenticated.admit() for _ in range(5)] == [True, True, True, False, False]
    held_clock.step(1)
    assert [unauthenticated.admit() for _ in range(2)] == [True, False]
    held_clock.step(3600)
    assert [unauthenticated.admit() for _ in range(4)] == [True, True, True, False]


def test_what_a_record_carries_counts(held_clock: HeldClock) -> None:
    unauthenticated = UnauthenticatedQuota(held_clock, quota=3 * RECORD, per_second=1)
    assert not unauthenticated.admit(2 * RECORD + 1)
    assert unauthenticated.admit(2 * RECORD)
    assert not unauthenticated.admit()


def test_who_has_proven_who_it_is_pays_nothing(held_clock: HeldClock) -> None:
    unauthenticated = UnauthenticatedQuota(held_clock, quota=2 * RECORD, per_second=1)
    for _ in range(50):
        assert unauthenticated.admit(RECORD)
        unauthenticated.refund(RECORD)
    for _ in range(50):
        unauthenticated.refund(RECORD)  # never more than the quota is
    assert [unauthenticated.admit() for _ in range(3)] == [True, True, False]


def test_a_clock_that_is_set_back_fills_nothing_and_takes_nothing(held_clock: HeldClock) -> None:
    unauthenticated = UnauthenticatedQuota(held_clock, quota=2 * RECORD, per_second=RECORD)
    assert unauthenticated.admit()
    held_clock.step(-3600)
    assert [unauthenticated.admit() for _ in range(2)] == [True, False]
    held_clock.step(1)
    assert unauthenticated.admit()


def test_what_was_not_kept_is_counted_once(held_clock: HeldClock) -> None:
    unauthenticated = UnauthenticatedQuota(held_clock, quota=RECORD, per_second=1)
    assert [unauthenticated.admit() for _ in range(4)] == [True, False, False, False]
    assert (unauthenticated.unrecorded(), unauthenticated.unrecorded()) == (3, 0)


def test_one_known_sender_pays_neither_for_strangers_nor_for_another(held_clock: HeldClock) -> None:
    unauthenticated = UnauthenticatedQuota(
        held_clock, quota=RECORD, per_second=1, sender_quota=2 * RECORD
    )
    assert [unauthenticated.admit(sender="a") for _ in range(3)] == [True, True, False]
    assert unauthenticated.admit(sender="b", records=2)
    assert not unauthenticated.admit(sender="b")
    assert [unauthenticated.admit() for _ in range(2)] == [True, False]
    assert unauthenticated.unrecorded() == 3


def test_senders_longest_quiet_are_forgotten(
    held_clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.data.quota.SENDERS", 2)
    unauthenticated = UnauthenticatedQuota(held_clock, sender_quota=RECORD)
    assert [unauthenticated.admit(sender=one) for one in ("a", "b", "a", "c")] == [
        True,
        True,
        False,
        True,
    ]
    assert unauthenticated.admit(sender="b")  # "a" spoke later, so "b" made room for "c"
