"""What one change of supplier makes the systems do may not grow; what it owes may not shrink."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import counts
from bench.counts import Counted

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture(scope="module")
def counted() -> Counted:
    return counts.measured(lambda _line: None)


def test_a_change_costs_no_more_and_owes_no_less_than_committed(counted: Counted) -> None:
    assert counts.broken(counts.read(), counted) == []


def test_every_system_and_every_count_is_looked_at(counted: Counted) -> None:
    """A count whose function is not reached any more would hold nothing."""
    assert set(counts.COSTS) <= counted.reached
    idle = {"registration", "smki_repository"}  # within a lease nobody asks them anything
    commits = {system for system, costs in counted.costs.items() if costs.get("store.commits")}
    assert commits == set(counted.costs) - idle
    assert all(len(names) > 10 for parts in counted.checks.values() for names in parts.values())


def test_within_a_lease_a_change_is_two_calls_over_the_link(counted: Counted) -> None:
    """To the CoS Party for the command, and with the device's response; nobody asks a source."""
    assert {s: costs.get("watch.link_call", 0) for s, costs in counted.costs.items()} == {
        **dict.fromkeys(counted.costs, 0),
        "acb": 2,
    }


def test_more_work_is_named(counted: Counted) -> None:
    committed = counted.as_dict()
    costs = {**counted.costs, "acb": {**counted.costs["acb"], "store.commits": 1000.0}}
    said = counts.broken(committed, replace(counted, costs=costs))
    assert len(said) == 1
    assert "acb: 1000 store.commits" in said[0]


def test_a_check_that_did_not_run_is_named(counted: Counted) -> None:
    party, systems = next(iter(counted.checks.items()))
    fewer = {**counted.checks, party: {**systems, "meter_sim": []}}
    said = counts.broken(counted.as_dict(), replace(counted, checks=fewer))
    assert len(said) == len(systems["meter_sim"])
    assert f"meter_sim: check meter.mac did not run (a change by {party})" in said


def test_a_row_of_evidence_that_is_not_kept_is_named(counted: Counted) -> None:
    none = {**counted.evidence, "meter_sim": {}}
    said = counts.broken(counted.as_dict(), replace(counted, evidence=none))
    assert any("device.answered" in one for one in said)


def test_a_link_call_without_its_evidence_is_named(counted: Counted) -> None:
    none = {**counted.evidence, "acb": {}}
    said = counts.broken(counted.as_dict(), replace(counted, evidence=none))
    assert any("link.request.sent" in one for one in said)
