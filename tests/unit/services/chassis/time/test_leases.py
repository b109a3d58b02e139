"""A source's word holds for a while: who relies on it, and who waits until nobody does."""

from __future__ import annotations

import pytest

from services.chassis.time import leases
from services.chassis.time.leases import Grants, Lease


class Machine:
    """Seconds that pass when told, or when somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = 100.0
        self.slept: list[float] = []
        monkeypatch.setattr(leases.asyncio, "sleep", self.sleep)

    def __call__(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_lease_begins_with_the_question_and_not_with_the_answer(machine: Machine) -> None:
    lease = Lease(1.0, machine)
    assert not lease.holds()
    asked = lease.asking()
    machine.at += 0.75  # its answer was long on its way
    lease.begin(asked, 1.0)
    assert lease.holds()
    machine.at += 0.25
    assert not lease.holds()


def test_a_source_that_lies_about_the_length_is_believed_no_longer_than_the_settings_say(
    machine: Machine,
) -> None:
    lease = Lease(1.0, machine)
    lease.begin(lease.asking(), 1e9)
    machine.at += 1.0
    assert not lease.holds()
    never = Lease(0.0, machine)
    never.begin(never.asking(), 1.0)
    assert not never.holds()


def test_what_was_asked_before_a_lease_was_ended_does_not_begin_one(machine: Machine) -> None:
    lease = Lease(1.0, machine)
    asked = lease.asking()
    machine.at += 0.25
    lease.end()
    lease.begin(asked, 1.0)
    assert not lease.holds()
    lease.begin(lease.asking(), 1.0)
    assert lease.holds()


async def test_a_change_is_confirmed_when_no_lease_is_left(machine: Machine) -> None:
    grants = Grants(1.0, machine)
    grants.none()
    await grants.run_out()
    assert machine.slept == []
    holder = Lease(1.0, machine)
    asked = holder.asking()
    machine.at += 0.125
    holder.begin(asked, grants.grant())
    machine.at += 0.25
    await grants.run_out()
    assert machine.slept == [0.75]
    assert not holder.holds()


async def test_a_source_that_was_started_again_waits_for_what_it_granted_before(
    machine: Machine,
) -> None:
    """It does not know of it: it was killed."""
    holder = Lease(1.0, machine)
    holder.begin(holder.asking(), Grants(1.0, machine).grant())
    machine.at += 0.25
    await Grants(1.0, machine).run_out()
    assert not holder.holds()
