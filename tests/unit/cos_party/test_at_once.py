"""What comes twice at once, or in the wrong order, is one thing and never a bug.

Beside `test_once.py`: there the requests of suppliers, here what devices and the
publishing services send, and the store they meet in.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from cos_party.model import Intent
from cos_party.peers.outbound import KnownExtract
from cos_party.peers.wire import Position, RegistrationExtract
from cos_party.store import decisions as store
from services.chassis.checks import Refused
from services.link.repository import read_lists
from tests.unit.cos_party.estate import Estate, Party, Published, extract, open_party
from tests.unit.cos_party.pki import NOW
from tests.unit.cos_party.rules.test_return_checks import ALERT, RESPONSE, answering


@pytest.mark.parametrize("purpose", [RESPONSE, ALERT])
async def test_the_same_word_of_a_device_twice_at_once_is_recorded_once(
    ecos: Party, estate: Estate, purpose: str
) -> None:
    content = (await answering(ecos, estate, purpose=purpose)).content
    answers = await asyncio.gather(*(ecos.bring(purpose, content, "t-1") for _ in range(3)))
    assert answers[1:] == answers[:1] * 2
    assert len((await ecos.effects())["cos_device_return"]) == 1


class Slow(Published):
    """Registration whose first answer takes its time: another decision overtakes it."""

    def __init__(self, estate: Estate) -> None:
        super().__init__(estate)
        self.held = asyncio.Event()
        self.let_go = asyncio.Event()

    async def registration_extract(
        self, known: KnownExtract | None, after: Position | None = None, *, lease: bool = False
    ) -> RegistrationExtract:
        answer = await super().registration_extract(known, after, lease=lease)
        if not self.held.is_set():
            self.held.set()
            await self.let_go.wait()
        return answer


async def test_an_older_extract_does_not_take_the_place_of_a_newer(
    tmp_path: Path, estate: Estate
) -> None:
    """Asked first, answered last: what registration has withdrawn since stays withdrawn."""
    sources = Slow(estate)
    party = await open_party(tmp_path, estate, published=sources)
    overtaken = asyncio.create_task(party.command(estate.ask(counter=1).signed))
    await sources.held.wait()
    points = extract().model_dump()["meter_points"]
    points[0]["registrations"] = [
        {"participant": "SUPC", "effective_from": NOW - timedelta(days=9), "effective_to": None}
    ]
    sources.extract = extract(number=2, meter_points=points)
    with pytest.raises(Refused):
        await party.command(estate.ask(counter=2).signed)
    sources.let_go.set()
    with pytest.raises(Refused) as refusal:
        await overtaken
    assert refusal.value.check == "ecos.registration.incoming_supplier"
    async with party.base.database.connect() as conn:
        held = await party.gatherer.puller.registration.known(conn)
    assert held is not None
    assert held.number == 2
    assert party.signer.used == 0
    await party.base.close()


async def test_a_copy_confirmed_later_than_now_is_not_fresh(ecos: Party, estate: Estate) -> None:
    """The clock was turned back: what was confirmed on a day to come says nothing of today."""
    ecos.clock.step(timedelta(days=9))
    await ecos.gatherer.puller.sync()
    ecos.clock.step(timedelta(days=-9))
    ecos.published.down.add("registration")
    with pytest.raises(Refused) as refusal:
        await ecos.command(estate.ask().signed)
    assert refusal.value.check == "ecos.registration.fresh"


async def test_a_list_whose_number_fills_twenty_octets_is_kept(ecos: Party, estate: Estate) -> None:
    """RFC 5280 5.2.3 allows that much; the store's integers hold eight."""
    number = 2**159 - 1
    ecos.published.lists["organisation"] = estate.issuing.revocation_list(number=number)
    await ecos.command(estate.ask(counter=1).signed)
    async with ecos.base.database.connect() as conn:
        held = await read_lists(conn)
    assert number in [item.number for item in held.values()]
    ecos.published.lists["organisation"] = estate.issuing.revocation_list(number=7)
    await ecos.command(estate.ask(counter=2).signed)
    async with ecos.base.database.connect() as conn:
        held = await read_lists(conn)
    assert number in [item.number for item in held.values()]


async def test_a_transaction_begun_with_other_bytes_meanwhile_is_not_repeated_into(
    ecos: Party, estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the transaction and the answer, other bytes began that transaction."""
    first, other = estate.ask(counter=1).signed, estate.ask(counter=2).signed
    await ecos.command(first, "t-1")
    look = store.intent_for
    between = True

    async def meanwhile(conn: object, digest: str) -> Intent | None:
        nonlocal between
        found = await look(conn, digest)  # type: ignore[arg-type]
        if between:
            between = False
            await ecos.command(other, "t-2")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(store, "intent_for", meanwhile)
        with pytest.raises(Refused) as refusal:
            await ecos.command(first, "t-2")
    assert refusal.value.check == "ecos.request.duplicate"
    async with ecos.base.database.connect() as conn:
        command = await store.signed_command(conn, "t-2")
    assert command is not None
    assert command.counter == 6002
