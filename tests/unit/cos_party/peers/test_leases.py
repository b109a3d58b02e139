"""A source's word that holds for a while: nobody is asked meanwhile, and then again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from cos_party.peers.outbound import KnownExtract
from cos_party.peers.wire import Position, RegistrationExtract
from services.chassis.checks import Refused
from services.chassis.time.leases import Lease
from services.link.repository import Lists
from tests.unit.cos_party import pki
from tests.unit.cos_party.estate import (
    DEVICE,
    SUPPLIER_B,
    Estate,
    Party,
    Published,
    open_party,
)
from tests.unit.cos_party.rules.test_return_checks import RESPONSE, answering

CHANGES = 20


class Granting(Published):
    """Sources that grant leases."""

    async def registration_extract(
        self, known: KnownExtract | None, after: Position | None = None, *, lease: bool = False
    ) -> RegistrationExtract:
        assert lease
        answer = await super().registration_extract(known, after)
        return answer.model_copy(update={"lease": 1e9})

    async def revocation_lists(self, known: Mapping[str, int], *, lease: bool = False) -> Lists:
        assert lease
        return Lists((await super().revocation_lists(known)).lists, 1e9)


class Seconds:
    """Machine time that passes when told."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def leased(folder: Path, estate: Estate) -> tuple[Party, Granting, Seconds]:
    sources, seconds = Granting(estate), Seconds()
    party = await open_party(folder, estate, published=sources)
    puller = party.gatherer.puller
    puller.lease, puller.lists.lease = Lease(1.0, seconds), Lease(1.0, seconds)
    return party, sources, seconds


async def test_nobody_is_asked_while_the_word_holds(tmp_path: Path, estate: Estate) -> None:
    party, sources, seconds = await leased(tmp_path, estate)
    await party.command(estate.ask(counter=1).signed)
    asked = list(sources.asked)
    await party.command(estate.ask(counter=2).signed)
    assert sources.asked == asked
    seconds.at += 1.0  # longer than that a lease is not believed
    await party.command(estate.ask(counter=3).signed)
    assert sorted(sources.asked[len(asked) :]) == ["registration", "smki"]
    await party.base.close()


async def test_changes_one_after_another_ask_each_source_once(
    tmp_path: Path, estate: Estate
) -> None:
    party, sources, _ = await leased(tmp_path, estate)
    for number in range(CHANGES):
        await party.command(estate.ask(counter=number).signed)
    # the repository: for its lists, and for the one certificate that all are signed with
    assert Counter(sources.asked) == {"registration": 1, "smki": 2}
    await party.base.close()


async def test_changes_at_once_share_one_question_to_each_source(
    tmp_path: Path, estate: Estate
) -> None:
    party, sources, seconds = await leased(tmp_path, estate)
    party.base.book.turn_off("ecos.request.order")  # at once, they come in any order
    await party.command(estate.ask(counter=CHANGES).signed)
    seconds.at += 1.0
    sources.asked.clear()
    contents = [estate.ask(counter=number).signed for number in range(CHANGES)]
    answers = await asyncio.gather(*map(party.command, contents))
    assert len({answer["counter"] for answer in answers}) == CHANGES
    assert Counter(sources.asked) == {"registration": 1, "smki": 1}
    await party.base.close()


async def test_what_was_published_meanwhile_counts_when_it_has_run_out(
    tmp_path: Path, estate: Estate
) -> None:
    """The source confirms it to whoever published it only then."""
    party, sources, seconds = await leased(tmp_path, estate)
    await party.command(estate.ask(counter=1).signed)
    serial = estate.xml_signer(SUPPLIER_B).certificate.serial
    sources.revoke(estate.issuing, "organisation", serial)
    seconds.at += 1.0
    with pytest.raises(Refused) as refusal:
        await party.command(estate.ask(counter=2).signed)
    assert refusal.value.check == "ecos.request.certificate_revoked"
    await party.base.close()


async def test_a_source_that_falls_silent_decides_nothing_once_its_word_has_run_out(
    tmp_path: Path, estate: Estate
) -> None:
    party, sources, seconds = await leased(tmp_path, estate)
    await party.command(estate.ask(counter=1).signed)
    sources.down.add("registration")
    seconds.at += 1.0
    with pytest.raises(Refused) as refusal:
        await party.command(estate.ask(counter=2).signed)
    assert (refusal.value.check, refusal.value.status) == ("ecos.registration.fresh", 503)
    party.base.book.turn_off("ecos.registration.fresh")
    assert (await party.command(estate.ask(counter=2).signed))["counter"] == 6002  # the twin
    await party.base.close()


async def test_after_a_sync_the_next_decision_asks_for_itself(
    tmp_path: Path, estate: Estate
) -> None:
    party, sources, _ = await leased(tmp_path, estate)
    await party.gatherer.puller.sync()
    sources.down.add("registration")
    with pytest.raises(Refused) as refusal:
        await party.command(estate.ask(counter=1).signed)
    assert refusal.value.check == "ecos.registration.fresh"
    await party.base.close()


async def test_a_restart_asks_again(tmp_path: Path, estate: Estate) -> None:
    party, sources, _ = await leased(tmp_path, estate)
    await party.command(estate.ask(counter=1).signed)
    await party.base.close()
    asked = sources.asked.count("registration")
    again = await open_party(tmp_path, estate, published=sources)
    await again.command(estate.ask(counter=2).signed)
    assert sources.asked.count("registration") == asked + 1
    await again.base.close()


async def test_a_devices_certificate_that_is_held_is_not_asked_for_again(
    ecos: Party, estate: Estate
) -> None:
    certificates: list[str] = []
    ask = ecos.published.certificates_of

    async def counted(eui: str) -> tuple[bytes, ...]:
        certificates.append(eui)
        return await ask(eui)

    ecos.published.certificates_of = counted  # type: ignore[method-assign]
    first = await answering(ecos, estate, purpose=RESPONSE)
    await ecos.bring(RESPONSE, first.content, "t-1")
    assert certificates == [DEVICE]
    with pytest.raises(Refused) as refusal:
        await ecos.bring(RESPONSE, first.content[:-1] + bytes([first.content[-1] ^ 1]), "t-1")
    assert refusal.value.check == "ecos.response.signature"
    assert certificates == [DEVICE] * 2  # it may have been given another


async def test_a_device_that_was_given_another_certificate_is_heard(
    ecos: Party, estate: Estate
) -> None:
    """What is held refuses it; the repository has the one that it signs with now."""
    content = (await answering(ecos, estate, purpose=RESPONSE)).content
    now = list(ecos.published.certificates)
    other = pki.reissued_with_serial(estate.device_issuing, estate.other_device, DEVICE).certificate
    ecos.published.certificates = [c for c in now if c.subject_eui != DEVICE] + [other]
    with pytest.raises(Refused) as refusal:
        await ecos.bring(RESPONSE, content, "t-1")
    assert refusal.value.check == "ecos.response.signature"
    ecos.published.certificates = now
    assert (await ecos.bring(RESPONSE, content, "t-1"))["accepted"] is True
