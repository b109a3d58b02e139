"""What somebody who is nobody, or only repeats, can have a party write down: not without end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.chassis.data.quota import RECORD, UnauthenticatedQuota
from services.link.wire.message import HttpRequest
from tests.unit.services.link.estate import Estate, HeldClock, Party, open_party
from tests.unit.services.link.forge import Forge

ROOM = 4
"""Records a stranger may leave in these tests."""


async def poor(folder: Path, estate: Estate, clock: HeldClock) -> Party:
    opened = await open_party(folder, estate, clock=clock)
    opened.audit.unauthenticated = UnauthenticatedQuota(
        clock, quota=ROOM * (RECORD + 400), per_second=RECORD
    )
    return opened


async def refusals(party: Party, request: HttpRequest, times: int) -> set[str]:
    """By which checks the same request is refused, so often."""
    answers = [await party.send(request) for _ in range(times)]
    return {str(json.loads(answer.body)["check"]) for answer in answers}


async def test_quota_are_refused_by_name_but_leave_only_so_much(
    tmp_path: Path, estate: Estate, clock: HeldClock
) -> None:
    party = await poor(tmp_path, estate, clock)
    stranger = HttpRequest("POST", "/link/cos-command", "", (), b"x" * 100_000)
    assert await refusals(party, stranger, 30) == {"link.request.header_present"}
    kept = len(await party.rows())
    assert kept <= ROOM
    clock.step(1)
    await party.send(stranger)
    (*_, last) = await party.rows()
    assert len(await party.rows()) == kept + 1
    assert last["record"]["unkept_before"] == 30 - kept
    assert await party.audit.verify() == kept + 1
    await party.database.close()


@pytest.mark.parametrize("how", ["again", "to another"])
async def test_copies_of_an_authentic_request_leave_only_so_much(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge, how: str
) -> None:
    """Caught on the wire: sent again where it was for, or shown to whom it was not."""
    party = await poor(tmp_path, estate, clock)
    caught = forge.request() if how == "again" else forge.but(recipient="tcos_party").request()
    check = "link.request.nonce" if how == "again" else "link.request.recipient"
    if how == "again":
        assert (await party.send(caught)).status == 200
    before = len(await party.rows())
    assert await refusals(party, caught, 30) == {check}
    refused = await party.rows("link.request.refused")
    assert 0 < len(refused) <= ROOM
    assert len(await party.rows()) - before <= 2 * ROOM  # what was answered is kept with it
    await party.database.close()


async def test_the_peer_itself_is_kept_whatever_strangers_do(
    tmp_path: Path, estate: Estate, clock: HeldClock, forge: Forge
) -> None:
    party = await poor(tmp_path, estate, clock)
    await refusals(party, HttpRequest("POST", "/link/cos-command", "", (), b""), 2 * ROOM)
    assert not party.audit.unauthenticated.admit()
    assert (await party.send(forge.request())).status == 200
    assert [row["kind"] for row in (await party.rows())[-2:]] == [
        "link.request.received",
        "link.response.sent",
    ]
    wrong = forge.but(purpose="registration-notice", nonce="n" * 22, message_id="m-2").request()
    assert json.loads((await party.send(wrong)).body)["check"] == "link.request.purpose"
    assert (await party.rows())[-2]["kind"] == "link.request.refused"
    await party.database.close()
