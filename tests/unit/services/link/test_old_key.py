"""What a party says with a key that nobody knows is refused at the other end, by its name."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from services.chassis.faults.messages import Answer, Asked
from services.link.errors import LinkRefused, PeerUnavailable
from services.link.unsafe_old_key import UnsafeOldKey
from tests.unit.services.link.estate import Estate, Party, open_caller


class Between(httpx.AsyncBaseTransport):
    """Hands what passes to the old key, in one direction."""

    def __init__(self, inner: httpx.AsyncBaseTransport, old: UnsafeOldKey, claims_own: bool):
        self.inner, self.old, self.claims_own = inner, old, claims_own
        self.requests = self.answers = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        asked = Asked(request.method, request.url.path, tuple(request.headers.raw), body)
        if self.requests:
            asked = self.old.request(asked, claims_own=self.claims_own)
        sent = httpx.Request(
            asked.method, request.url, headers=list(asked.headers), content=asked.body
        )
        came = await self.inner.handle_async_request(sent)
        answer = Answer(came.status_code, tuple(came.headers.raw), await came.aread())
        if self.answers:
            answer = self.old.answer(asked, answer, claims_own=self.claims_own)
        return httpx.Response(
            answer.status,
            headers=list(answer.headers),
            stream=httpx.ByteStream(answer.body),
            request=request,
        )


@pytest.mark.parametrize(("claims_own", "check"), [(True, "signature"), (False, "key")])
async def test_a_request_by_an_old_key_is_refused(
    tmp_path: Path, estate: Estate, party: Party, claims_own: bool, check: str
) -> None:
    old = UnsafeOldKey(estate.identity("acb"), party.clock)
    between = Between(party.transport(), old, claims_own)
    link, acb = await open_caller(tmp_path, estate, between, clock=party.clock)
    between.requests = True
    with pytest.raises(PeerUnavailable):
        await link.call("/link/cos-command", "cos-command", "m-1", {"version": 1})
    refused = await party.rows("link.request.refused")
    assert [row["record"]["verdict"]["check"] for row in refused] == [f"link.request.{check}"]
    assert party.handled == []
    between.requests = False  # the twin: the same message, signed by the key that is pinned
    assert (await link.call("/link/cos-command", "cos-command", "m-1", {"version": 1})).status
    await acb.database.close()


@pytest.mark.parametrize(("claims_own", "check"), [(True, "signature"), (False, "key")])
async def test_an_answer_by_an_old_key_is_refused(
    tmp_path: Path, estate: Estate, party: Party, claims_own: bool, check: str
) -> None:
    old = UnsafeOldKey(estate.identity("ecos_party"), party.clock)
    between = Between(party.transport(), old, claims_own)
    link, acb = await open_caller(tmp_path, estate, between, clock=party.clock)
    between.answers = True
    with pytest.raises(LinkRefused) as refused:
        await link.call("/link/cos-command", "cos-command", "m-1", {"version": 1})
    assert refused.value.check == f"link.response.{check}"
    between.answers = False
    assert (await link.call("/link/cos-command", "cos-command", "m-1", {"version": 1})).status
    await acb.database.close()


async def test_what_is_not_of_the_link_is_left_alone(estate: Estate, party: Party) -> None:
    old = UnsafeOldKey(estate.identity("acb"), party.clock)
    asked = Asked("POST", "/devices/1/messages", ((b"content-type", b"x"),), b"octets")
    assert old.request(asked, claims_own=True) == asked
    answer = Answer(200, ((b"content-type", b"x"),), b"octets")
    assert old.answer(asked, answer, claims_own=True) == answer
