"""A short run of `make fuzz` against a real meter process that awaits the honest original."""

from __future__ import annotations

import pytest

from fuzz.devices import over_http

pytestmark = [pytest.mark.xdist_group("fuzz"), pytest.mark.check, pytest.mark.timeout(300)]


def test_no_mutation_over_http_is_obeyed_or_answered_with_a_failure() -> None:
    tally = over_http(1000, seed=1)
    assert tally.findings == []
    assert tally.tried == 1000
