"""What all requesters together may have signed is not one requester's to spend."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cos_party.model import Earlier, Intent, Thresholds
from cos_party.rules import anomaly as anomaly_checks
from cos_party.store import decisions as store
from cos_party.store.tables import metadata
from services.chassis.checks import CheckFailed
from services.chassis.data.store import Database

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def evidence(mine: int, total: int, requesters: int, most: int) -> Any:
    earlier = Earlier(
        request_digest=None,
        transaction_digest=None,
        signed_for_requester=mine,
        signed_in_total=total,
        last_counter=None,
        dated=(),
        requesters=requesters,
    )
    return SimpleNamespace(earlier=earlier, thresholds=Thresholds(total=most))


@pytest.mark.parametrize(
    ("mine", "total", "requesters", "most"),
    [
        (0, 0, 1, 1),
        (99, 99, 1, 100),  # alone, all of it
        (0, 100, 2, 100),  # another spent it
        (49, 149, 2, 100),
        (33, 200, 3, 100),  # a third of it, rounded up
    ],
)
def test_within_the_threshold_or_an_even_share(
    mine: int, total: int, requesters: int, most: int
) -> None:
    anomaly_checks.threshold(evidence(mine, total, requesters, most))


@pytest.mark.parametrize(
    ("mine", "total", "requesters", "most"),
    [
        (100, 100, 1, 100),
        (100, 149, 2, 100),
        (50, 150, 2, 100),
        (34, 200, 3, 100),
        (0, 0, 1, 0),
    ],
)
def test_above_both_it_is_quarantined(mine: int, total: int, requesters: int, most: int) -> None:
    with pytest.raises(CheckFailed, match="in total"):
        anomaly_checks.threshold(evidence(mine, total, requesters, most))


async def test_requesters_are_counted_within_the_window_the_one_who_asks_included(
    tmp_path: Path,
) -> None:
    database = await Database.open(tmp_path / "party.sqlite3")
    await database.create_all(metadata)
    body = SimpleNamespace(import_mpxn="1", cancels=False, execution_date_time=None)
    request: Any = SimpleNamespace(
        header=SimpleNamespace(request_id=SimpleNamespace(counter=1)), body=body
    )
    signed = [("a", 0), ("a", 0), ("b", 0), ("c", 48)]  # hours ago
    async with database.begin() as conn:
        for number, (requester, hours) in enumerate(signed):
            await store.record_intent(
                conn,
                Intent(
                    request_id=f"{number}",
                    digest=f"{number}",
                    requester=requester,
                    device="d",
                    counter=number + 1,
                    intended_at=NOW - timedelta(hours=hours),
                    pre_command=b"",
                ),
                request,
            )
    found = {}
    async with database.connect() as conn:
        for requester in ("a", "c", "new"):
            earlier = await store.earlier(
                conn,
                digest="another",
                request_id=None,
                transaction="t",
                requester=requester,
                device="d",
                since=NOW - timedelta(hours=24),
            )
            found[requester] = (earlier.signed_in_total, earlier.requesters)
    await database.close()
    assert found == {"a": (3, 2), "c": (3, 3), "new": (3, 3)}
