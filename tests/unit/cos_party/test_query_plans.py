"""What a change of supplier asks a CoS Party's store costs the same whatever the past."""

from __future__ import annotations

from tests.query_plans import growing, plans
from tests.unit.cos_party.estate import Estate, Party


async def test_no_statement_of_a_decision_reads_the_past(party: Party, estate: Estate) -> None:
    with plans() as found:
        await party.command(estate.ask().signed, "t-1")
    assert len(found) > 10
    assert growing(found) == {}
