"""The answer that brings a new revocation list is judged by it: the repair must not need itself."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.crl import read_crl
from services.link.client import LinkClient
from services.link.errors import LinkRefused
from services.link.revocation_lists import LISTS_PURPOSE, trust_for
from services.link.trust import LinkTrust
from tests.unit.services.link.estate import NOW, Authority, Estate, HeldClock, Party, open_caller
from tests.unit.services.link.forge import AnswerForge, Wire

ESTATE = Estate()
DAYS = 40
"""How late it is: the list in use was good for thirty."""


@dataclass
class Late:
    """The ACB, whose revocation list has run out, asking a peer whose answers the test makes."""

    estate: Estate
    trust: LinkTrust
    link: LinkClient
    wire: Wire
    acb: Party

    def serial(self, system: str) -> int:
        return self.estate.holders[system].certificate.serial

    async def ask(self, lists: object, purpose: str = LISTS_PURPOSE) -> None:
        forge = AnswerForge(
            self.estate.holders["ecos_party"],
            body=json.dumps({"version": 1, "lists": lists}).encode(),
            purpose=purpose,
            created=int(self.acb.clock.now().timestamp()),
        )
        self.wire.answer = forge.response
        await self.link.call(f"/link/{purpose}", purpose, "m-1", {"version": 1, "known": {}})


@pytest.fixture
async def late(tmp_path: Path, estate: Estate) -> AsyncIterator[Late]:
    clock = HeldClock()
    trust = estate.trust()
    trust.offer(read_crl(estate.authority.revocation_list()))
    wire = Wire(AnswerForge(estate.holders["ecos_party"]).response)
    link, acb = await open_caller(tmp_path, estate, wire, clock=clock, trust=trust)
    clock.step(DAYS * 86_400)
    assert trust.stale(clock.now())
    yield Late(estate, trust, link, wire, acb)
    await acb.database.close()


def text(der: bytes) -> str:
    return base64.b64encode(der).decode()


async def test_the_answer_that_brings_the_new_list_is_taken(late: Late) -> None:
    new = late.estate.authority.revocation_list(number=2, days=99)
    await late.ask({"infrastructure": text(new), "device": None})
    # nothing is kept by the link itself: whoever asked verifies the list, and offers it
    assert late.trust.stale(late.acb.clock.now())
    late.trust.offer(read_crl(new))
    await late.ask({}, "cos-command")


async def assert_refused(late: Late, lists: object, found: str, **more: str) -> None:
    with pytest.raises(LinkRefused) as refused:
        await late.ask(lists, **more)
    assert refused.value.check == "link.response.certificate"
    assert found in refused.value.reason
    assert late.trust.stale(late.acb.clock.now())


async def test_what_is_no_new_list_of_the_authority_repairs_nothing(late: Late) -> None:
    own = late.estate.authority
    await assert_refused(late, {}, "crl_stale")
    await assert_refused(late, {"infrastructure": None}, "crl_stale")
    await assert_refused(late, {"infrastructure": text(own.revocation_list())}, "crl_stale")
    await assert_refused(late, {"infrastructure": "no base64"}, "crl_stale")
    await assert_refused(late, {"infrastructure": text(b"0")}, "crl_stale")
    await assert_refused(late, [text(own.revocation_list(number=2, days=99))], "crl_stale")
    forged = Authority().revocation_list(number=9, days=99)
    await assert_refused(late, {"infrastructure": text(forged)}, "crl_stale")


async def test_a_new_list_with_the_answering_certificate_on_it_refuses(late: Late) -> None:
    new = late.estate.authority.revocation_list(late.serial("ecos_party"), number=2, days=99)
    await assert_refused(late, {"infrastructure": text(new)}, "revoked")


async def test_an_answer_to_anything_else_is_not_judged_by_what_it_brings(late: Late) -> None:
    new = late.estate.authority.revocation_list(number=2, days=99)
    await assert_refused(late, {"infrastructure": text(new)}, "crl_stale", purpose="cos-command")


async def test_an_older_list_unrevokes_nobody(late: Late) -> None:
    at = NOW
    held = late.estate.authority.revocation_list(late.serial("ecos_party"), number=5)
    trust = late.estate.trust()
    trust.offer(read_crl(held))
    older = late.estate.authority.revocation_list(number=4, days=99)
    body = json.dumps({"lists": {"infrastructure": text(older)}}).encode()
    key = trust_for(trust, LISTS_PURPOSE, body).find(late.estate.holders["ecos_party"].key_id)
    assert key is not None
    assert key.failure(at) == "revoked"


@given(
    body=st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text() | st.just(text(b"0")),
        lambda inner: st.lists(inner) | st.dictionaries(st.just("lists") | st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_the_body_of_an_answer_it_renews_or_does_nothing(body: bytes) -> None:
    key = trust_for(ESTATE.trust(), LISTS_PURPOSE, body).find(ESTATE.holders["acb"].key_id)
    assert key is not None
    assert key.failure(NOW) is None
