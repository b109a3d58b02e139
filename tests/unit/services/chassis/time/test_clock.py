"""A tester moves domain time; nobody moves the machine's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.chassis.time.clock import ClockError, LabClock, SystemClock


class Base:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def base() -> Base:
    return Base()


def test_real_follows_the_machine(base: Base) -> None:
    clock = LabClock(base)
    assert clock.mode == "real"
    assert clock.now() == base.at
    base.at += timedelta(hours=1)
    assert clock.now() == base.at
    assert clock.offset == timedelta()


def test_held_stands_and_steps(base: Base) -> None:
    clock = LabClock(base)
    clock.set(datetime(2030, 6, 1, 13, tzinfo=timezone(timedelta(hours=1))))
    base.at += timedelta(days=1)
    assert clock.now() == datetime(2030, 6, 1, 12, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    clock.step(timedelta(minutes=-5))
    assert clock.now() == datetime(2030, 6, 1, 11, 55, tzinfo=UTC)
    assert clock.mode == "held"
    assert clock.now() == base.at + clock.offset


def test_resume_runs_on_from_where_it_stood(base: Base) -> None:
    clock = LabClock(base)
    clock.hold()
    base.at += timedelta(hours=2)
    clock.resume()
    assert clock.mode == "offset"
    assert clock.offset == timedelta(hours=-2)
    base.at += timedelta(minutes=1)
    assert clock.now() == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    clock.reset()
    assert (clock.mode, clock.now()) == ("real", base.at)


def test_step_and_shift_while_running(base: Base) -> None:
    clock = LabClock(base)
    clock.step(timedelta(days=3))
    clock.step(timedelta(days=4))
    assert clock.now() == base.at + timedelta(days=7)
    clock.shift(timedelta(days=1))
    assert clock.now() == base.at + timedelta(days=1)


def test_every_act_is_told(base: Base) -> None:
    clock = LabClock(base)
    told: list[str] = []
    clock.on_change(lambda: told.append(clock.mode))
    clock.hold()
    clock.step(timedelta(seconds=1))
    clock.resume()
    clock.reset()
    assert told == ["held", "held", "offset", "real"]


def test_nonsense_is_refused_and_changes_nothing(base: Base) -> None:
    clock = LabClock(base)
    with pytest.raises(ClockError):
        clock.set(datetime(2026, 1, 1))  # noqa: DTZ001 - the fault under test
    with pytest.raises(ClockError):
        clock.step(timedelta(days=4_000_000))
    assert (clock.mode, clock.now()) == ("real", base.at)


def test_the_system_clock_is_aware_utc() -> None:
    assert SystemClock().now().tzinfo is UTC
