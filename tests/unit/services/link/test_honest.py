"""The honest run: a request is taken once, answered, and both ends hold the proof."""

from __future__ import annotations

from pathlib import Path

from tests.unit.services.link.estate import Estate, Party, open_caller
from tests.unit.services.link.forge import Forge


async def test_a_call_is_answered_and_both_logs_hold_it(
    tmp_path: Path, estate: Estate, party: Party
):
    link, acb = await open_caller(tmp_path, estate, party.transport(), clock=party.clock)
    answer = await link.call("/link/cos-command", "cos-command", "m-1", {"version": 1})
    assert answer.body == {"version": 1, "acts": 1}
    assert [row["kind"] for row in await acb.rows()] == [
        "link.request.sent",
        "link.response.received",
    ]
    assert [row["kind"] for row in await party.rows()] == [
        "link.request.received",
        "link.response.sent",
    ]
    assert party.handled[0].sender == "acb"
    assert party.handled[0].evidence == 1
    await acb.database.close()


async def test_a_forged_copy_of_an_honest_request_is_taken(party: Party, forge: Forge):
    response = await party.send(forge.request())
    assert response.status == 200
    assert len(party.handled) == 1
