"""Sources that take their time: one pull for many, and a deadline after which the copy serves.

Never at the price of a revocation, or of a change of registration, that was published before the
request came: as long as the source answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from cos_party.model import Limits
from cos_party.peers.outbound import KnownExtract
from cos_party.peers.pull import Pulled
from cos_party.peers.wire import Position, RegistrationExtract
from services.chassis.checks import Refused
from services.chassis.time.sharing import MOST, Shared
from services.link.repository import Lists
from tests.unit.cos_party.estate import SUPPLIER_B, Estate, Party, Published, open_party

CROWD = 20
SOON = 0.05
"""Seconds until a party gives up on the one source that never answers."""


class Slow(Published):
    """Sources that answer when they are let, with what was true when they were asked."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(estate)
        self.slow: set[str] = set()
        self.let_go = asyncio.Event()
        self.waited_for: asyncio.Queue[str] = asyncio.Queue()

    async def registration_extract(
        self, known: KnownExtract | None, after: Position | None = None, *, lease: bool = False
    ) -> RegistrationExtract:
        answer = await super().registration_extract(known, after, lease=lease)
        await self._wait("registration")
        return answer

    async def revocation_lists(self, known: Mapping[str, int], *, lease: bool = False) -> Lists:
        answer = await super().revocation_lists(known, lease=lease)
        await self._wait("smki")
        return answer

    async def _wait(self, source: str) -> None:
        if source in self.slow:
            self.waited_for.put_nowait(source)
            await self.let_go.wait()


def impatient(party: Party, *sources: str) -> None:
    """The party gives up soon on these alone, so that nothing depends on how fast others are."""
    puller = party.gatherer.puller
    if "registration" in sources:
        puller._registrations = Shared(puller._pull_registration, seconds=SOON)
    if "smki" in sources:
        puller.lists._pulls = Shared(puller.lists._pull, seconds=SOON)
        puller.lists._seconds = SOON


async def test_a_crowd_shares_pulls(tmp_path: Path, estate: Estate) -> None:
    sources = Slow(estate)
    party = await open_party(tmp_path, estate, published=sources)
    party.base.book.turn_off("ecos.request.order")  # at once, they come in any order
    sources.slow = {"registration"}
    shared, waiting, all_wait = party.gatherer.puller._registrations, 0, asyncio.Event()
    get = shared.get

    async def counted() -> Pulled:
        nonlocal waiting
        waiting += 1
        if waiting == CROWD:
            all_wait.set()
        return await get()

    shared.get = counted  # type: ignore[method-assign]
    contents = [estate.ask(counter=number).signed for number in range(CROWD)]
    asking = [asyncio.create_task(party.command(content)) for content in contents]
    await all_wait.wait()
    sources.let_go.set()
    answers = await asyncio.gather(*asking)
    assert len({answer["counter"] for answer in answers}) == CROWD
    assert sources.asked.count("registration") <= MOST + 1
    await party.base.close()


async def test_a_revocation_published_before_the_request_is_seen_whoever_is_waited_for(
    tmp_path: Path, estate: Estate
) -> None:
    """Every place is taken by pulls that were answered before it: they are not for this one."""
    sources = Slow(estate)
    party = await open_party(tmp_path, estate, published=sources)
    party.base.book.turn_off("ecos.request.order")
    await party.gatherer.puller.sync()
    sources.slow = {"smki"}
    early = []
    for _ in range(MOST):
        early.append(asyncio.create_task(party.gatherer.puller.sync()))
        assert await sources.waited_for.get() == "smki"
    sources.revoke(estate.issuing, "organisation", estate.xml_signer(SUPPLIER_B).certificate.serial)
    late = asyncio.create_task(party.command(estate.ask().signed))
    for _ in range(50):
        await asyncio.sleep(0)
    sources.let_go.set()
    with pytest.raises(Refused) as refused:
        await late
    assert refused.value.check == "ecos.request.certificate_revoked"
    assert party.signer.used == 0
    await asyncio.gather(*early)
    await party.base.close()


async def test_silence_ends_at_the_deadline_and_the_lists_held_serve(
    tmp_path: Path, estate: Estate
) -> None:
    sources = Slow(estate)
    party = await open_party(tmp_path, estate, published=sources)
    await party.gatherer.puller.sync()
    await party.command(estate.ask(counter=1).signed)
    sources.slow = {"smki"}
    impatient(party, "smki")
    assert (await party.command(estate.ask(counter=2).signed))["counter"] == 6002
    told = await party.gatherer.puller.not_ready()
    assert told is not None
    assert "no answer within " in told
    party.clock.step(Limits().revocation_patience + timedelta(seconds=1))
    with pytest.raises(Refused) as refused:
        await party.command(estate.ask(counter=3).signed)
    assert refused.value.check == "ecos.request.certificate_revoked"
    assert "not refreshed since" in refused.value.detail
    await party.base.close()


@pytest.mark.parametrize(("age", "served"), [(59, True), (61, False)])
async def test_registrations_copy_serves_within_its_permitted_age_alone(
    tmp_path: Path, estate: Estate, age: int, served: bool
) -> None:
    sources = Slow(estate)
    limits = Limits(registration_max_age=timedelta(seconds=60))
    party = await open_party(tmp_path, estate, published=sources, limits=limits)
    await party.command(estate.ask(counter=1).signed)
    sources.slow = {"registration"}
    impatient(party, "registration")
    party.clock.step(timedelta(seconds=age))
    if served:
        assert (await party.command(estate.ask(counter=2).signed))["counter"] == 6002
    else:
        with pytest.raises(Refused) as refused:
            await party.command(estate.ask(counter=2).signed)
        assert (refused.value.check, refused.value.status) == ("ecos.registration.fresh", 503)
        assert "no answer within " in refused.value.detail
        assert party.signer.used == 1
    await party.base.close()
