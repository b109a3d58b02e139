"""Earlier changes that the bench writes into the stores are such as the systems take for theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import estate, history, stores
from bench.load import Driver
from stack.systems import SYSTEMS

pytestmark = pytest.mark.xdist_group("stack")

EARLIER = 20


def test_systems_go_on_after_earlier_changes_that_were_written(tmp_path: Path) -> None:
    data = tmp_path / "data"
    estate.hold_ceremony(data, 4)
    assert history.fill(lambda _line: None, data, EARLIER)
    kept = {system: stores.tables(data, system) for system in SYSTEMS}
    with estate.running(data) as connection:
        for system in SYSTEMS:
            told = connection.lab(system, "GET", "/lab/audit/verify")
            assert told["intact"]
            assert told["rows"] >= kept[system]["audit"].rows
        driver = Driver(connection, data)
        driver.run(4, 8)  # raises where one does not come to its good end
        requests = connection.lab("acb", "GET", "/lab/requests")["requests"]
    made = history.WARM_UP + history.PATTERN + EARLIER
    assert len(requests) == made + 8
    assert len({one["request_id"] for one in requests}) == len(requests)
    assert {one["state"] for one in requests} == {"completed"}
    assert len({one["target"] for one in requests}) == 4, "of all homes, not of one"


def test_nothing_is_written_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    estate.hold_ceremony(data, 2)
    monkeypatch.setattr(history, "FREE_SHARE", 0.0)
    assert not history.fill(lambda _line: None, data, EARLIER)
    assert stores.tables(data, "acb")["acb_request"].rows == history.WARM_UP + history.PATTERN
