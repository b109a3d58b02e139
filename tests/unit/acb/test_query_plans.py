"""What a change of supplier asks the broker's store costs the same whatever the past."""

from __future__ import annotations

from tests.query_plans import growing, plans
from tests.unit.acb.world import World


async def test_no_statement_of_a_change_reads_the_past(world: World) -> None:
    await world.run(world.estate.request())
    with plans() as found:
        told = await world.run(world.estate.request(counter=1_000))
    assert told["state"] == "completed"
    assert len(found) > 30
    assert growing(found) == {}
