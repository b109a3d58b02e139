"""Short runs of `make fuzz` against real processes."""

from __future__ import annotations

import pytest
from effort import SEED, examples

from fuzz import authentic
from fuzz.devices import over_http

pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.check, pytest.mark.timeout(300)]

RUN = examples(4000)


def test_no_mutation_over_http_is_obeyed_or_answered_with_a_failure() -> None:
    tally = over_http(RUN, seed=SEED)
    assert tally.findings == []
    assert tally.tried == RUN


def test_no_signed_nonsense_is_answered_with_a_failure() -> None:
    tallies = list(authentic.run(RUN // 50, seed=SEED))
    assert [finding for tally in tallies for finding in tally.findings] == []
    assert {tally.tried for tally in tallies} == {RUN // 50}
    # It gets past the link: the parties' own readers and checks refuse it too.
    checks = {name for tally in tallies for name in tally.refused_by}
    assert any(".request." in name and "link." not in name for name in checks)
