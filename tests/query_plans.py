"""What SQLite does for each statement that a store is asked meanwhile (EXPLAIN QUERY PLAN)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from services.chassis.data.prepared import Prepared, Result

FEW = frozenset(
    {"audit_head", "acb_user", "smki_revocation_list", "registration_copy", "cos_threshold"}
)
"""Tables that do not grow with what has happened."""
NARROW = ("smki_certificate_named", "ix_cos_command_request_id", "cos_asked_dated")
"""Indexes by which few rows are found whatever has happened: those may be sorted."""


@contextmanager
def plans() -> Iterator[dict[str, list[str]]]:
    """The plan of every statement that is compiled once, by its SQL."""
    found: dict[str, list[str]] = {}
    run = Prepared.run

    def watched(self: Prepared, driver: Any, values: Any) -> Result:
        sql = self._compiled[0]
        if sql not in found and sql.startswith(("SELECT", "UPDATE", "DELETE")):
            asked = driver.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
            found[sql] = [row[3] for row in asked]
        return run(self, driver, values)

    with patch.object(Prepared, "run", watched):
        yield found


def growing(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """The statements whose cost grows with the past: they read a whole table, or sort rows."""
    return {
        sql: plan
        for sql, plan in found.items()
        if any(_scans(step) for step in plan) or _sorts_many(plan)
    }


def _sorts_many(plan: list[str]) -> bool:
    sorts = any(step.startswith("USE TEMP B-TREE") for step in plan)
    return sorts and not any(f"USING INDEX {name} " in step for step in plan for name in NARROW)


def _scans(step: str) -> bool:
    words = step.split()
    return words[0] == "SCAN" and words[1] not in FEW and "INDEX" not in words
