"""Whose turn it is in a device: the order of requests, and whose change waits there."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cos_party.lab.routes import lab_routes
from duis.model import CANCEL_DATE
from services.chassis.checks import Refused
from tests.unit.cos_party.estate import (
    DEVICE,
    MPXN,
    RETURN,
    SUPPLIER_C,
    SWITCH,
    Asking,
    Estate,
    Party,
    extract,
)
from tests.unit.cos_party.pki import NOW

DAY = timedelta(days=1)


def registered(number: int, *periods: tuple[str, datetime, datetime | None]) -> Any:
    """An extract in which these supply the meter point, one after the other."""
    history = [
        {"participant": who, "effective_from": start, "effective_to": end}
        for who, start, end in periods
    ]
    point = {"mpxn": MPXN, "devices": [DEVICE], "registrations": history}
    return extract(number, meter_points=[point])


def of_b(estate: Estate, at: datetime | None, counter: int = 1) -> Asking:
    return estate.ask(execution_date_time=at, counter=counter)


def of_c(estate: Estate, at: datetime | None, counter: int = 1) -> Asking:
    return estate.ask(requester=SUPPLIER_C, execution_date_time=at, counter=counter)


async def refused(party: Party, asking: Asking, check: str) -> None:
    """It is refused by that check, and nothing came of it."""
    before = await party.effects()
    with pytest.raises(Refused) as refusal:
        await party.command(asking.signed)
    assert refusal.value.check == f"{party.prefix}.{check}"
    assert await party.effects() == before


async def test_an_older_request_after_a_newer_one_is_refused(party: Party, estate: Estate) -> None:
    """Whoever brings them: the order is in what the supplier signed."""
    held_back = of_b(estate, None, counter=2**63 - 1)
    await party.command(of_b(estate, None, counter=2**63).signed)
    await refused(party, held_back, "request.order")
    # Another supplier's counter is its own, and a newer request goes on.
    assert (await party.command(of_c(estate, RETURN, counter=1).signed))["counter"] == 6002
    assert (await party.command(of_b(estate, None, counter=2**63 + 1).signed))["counter"] == 6003


async def test_what_was_signed_is_given_again_though_a_newer_one_was_signed(
    ecos: Party, estate: Estate
) -> None:
    """A broker that lost an answer: that is no second command."""
    first = of_b(estate, None, counter=1).signed
    answer = await ecos.command(first, "t-1")
    await ecos.command(of_b(estate, None, counter=2).signed)
    assert await ecos.command(first, "t-1") == answer


async def test_what_was_refused_leaves_no_mark_in_the_order(ecos: Party, estate: Estate) -> None:
    asked = estate.ask(counter=9, import_mpxn="1399999999999")
    await refused(ecos, asked, "registration.mpxn_known")
    assert (await ecos.command(of_b(estate, None, counter=2).signed))["counter"] == 6001


async def test_of_two_at_once_never_the_older_last(ecos: Party, estate: Estate) -> None:
    """In whichever order they come to the store, what is signed is signed in their order."""
    contents = [of_b(estate, None, counter=n).signed for n in (5, 4, 3, 2, 1)]
    await asyncio.gather(*(ecos.command(one) for one in contents), return_exceptions=True)
    rows = sorted((await ecos.effects())["cos_command"], key=lambda row: row.counter)
    order = [int(row.request_id.rsplit(":", 1)[1]) for row in rows]
    assert order
    assert order == sorted(order)


@pytest.mark.parametrize("at", [CANCEL_DATE, RETURN - DAY], ids=["withdrawn", "displaced"])
async def test_the_supplier_until_then_may_not_take_away_what_waits(
    party: Party, estate: Estate, at: datetime
) -> None:
    await party.command(of_c(estate, RETURN).signed)
    await refused(party, of_b(estate, at), "registration.pending_change")
    # What is done at once takes nobody's place; whose change it is may move or withdraw it.
    for asking in (
        of_b(estate, None, 2),
        of_c(estate, RETURN + DAY, 2),
        of_c(estate, CANCEL_DATE, 3),
    ):
        assert "displaces" not in await party.command(asking.signed)


async def test_after_its_own_withdrawal_nothing_of_it_stands(ecos: Party, estate: Estate) -> None:
    """It is named all the same: a withdrawal that was signed may never have reached the device."""
    withdrawn = of_c(estate, RETURN)
    await ecos.command(withdrawn.signed)
    await ecos.command(of_c(estate, CANCEL_DATE, 2).signed)
    answer = await ecos.command(of_b(estate, RETURN - DAY).signed)
    assert answer["displaces"] == [withdrawn.request.header.request_id.text]


async def test_after_its_date_it_stands_in_nobodys_way(ecos: Party, estate: Estate) -> None:
    await ecos.command(of_c(estate, RETURN).signed)
    ecos.published.extract = registered(
        2, ("SUPB", SWITCH, RETURN), ("SUPC", RETURN, RETURN + DAY), ("SUPB", RETURN + DAY, None)
    )
    ecos.clock.set(RETURN + timedelta(seconds=1))
    assert "displaces" not in await ecos.command(of_b(estate, RETURN + 2 * DAY).signed)


@pytest.mark.parametrize("at", [CANCEL_DATE, RETURN + DAY], ids=["withdrawn", "displaced"])
async def test_whom_registration_puts_in_its_place_may_take_it_away(
    party: Party, estate: Estate, at: datetime
) -> None:
    """C's registration was a mistake and is gone: B keeps the home, and says so to the device."""
    waiting = of_c(estate, RETURN)
    await party.command(waiting.signed)
    party.published.extract = registered(2, ("SUPB", SWITCH, None))
    asked = of_b(estate, at).signed
    answer = await party.command(asked, "t-1")
    assert answer["displaces"] == [waiting.request.header.request_id.text]
    assert await party.command(asked, "t-1") == answer
    # It is gone, and is not named again.
    assert "displaces" not in await party.command(of_b(estate, at, 2).signed)


async def test_a_dated_change_of_who_has_the_home_gives_way(ecos: Party, estate: Estate) -> None:
    """B can have its change made at once, C only from its day on; nobody blocks the other."""
    waiting = of_b(estate, NOW + DAY)
    await ecos.command(waiting.signed)
    await refused(ecos, of_c(estate, CANCEL_DATE), "registration.pending_change")
    answer = await ecos.command(of_c(estate, RETURN, 2).signed)
    assert answer["displaces"] == [waiting.request.header.request_id.text]
    await refused(ecos, of_b(estate, NOW + DAY, 2), "registration.pending_change")
    assert (await ecos.command(of_b(estate, None, 3).signed))["counter"] == 6003


async def kinds(party: Party, asking: Asking) -> list[str]:
    entries = await party.base.traces.read(asking.request.header.request_id.text)
    return [entry["kind"] for entry in entries if entry["kind"].startswith("ground")]


async def test_what_waits_is_looked_at_again_when_registration_changes(
    party: Party, estate: Estate
) -> None:
    """Known and said once, whoever's business brought the extract; the right supplier then acts."""
    moved, waiting = of_c(estate, RETURN + DAY, 1), of_c(estate, RETURN, 2)
    await party.command(moved.signed)
    await party.command(waiting.signed)
    party.published.extract = registered(2, ("SUPB", SWITCH, None))
    await party.command(of_b(estate, None, 1).signed)
    assert await kinds(party, waiting) == ["ground_lost"]
    assert await kinds(party, moved) == []
    await party.gatherer.puller.sync()
    party.published.extract = registered(
        3, ("SUPB", SWITCH, RETURN + DAY), ("SUPC", RETURN + DAY, None)
    )
    await party.gatherer.puller.sync()
    assert await kinds(party, waiting) == ["ground_lost"]
    party.published.extract = registered(4, ("SUPB", SWITCH, RETURN), ("SUPC", RETURN, None))
    await party.gatherer.puller.sync()
    assert await kinds(party, waiting) == ["ground_lost", "ground_regained"]
    party.published.extract = registered(5, ("SUPB", SWITCH, None))
    answer = await party.command(of_b(estate, CANCEL_DATE, 2).signed)
    # The one that its caller moved too: the broker may hold that one for waiting.
    assert answer["displaces"] == [one.request.header.request_id.text for one in (moved, waiting)]


async def test_what_waits_without_ground_is_listed_until_it_has_ground_again_or_is_gone(
    party: Party, estate: Estate
) -> None:
    """For operators, on the lab port: no alert of the field says it, and no answer is about it."""

    async def listed() -> list[str]:
        app = FastAPI()
        app.include_router(lab_routes(party.base, party.gatherer, party.counter))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://lab"
        ) as lab:
            told = (await lab.get("/lab/grounds")).json()["without_ground"]
        return [one["request_id"] for one in told]

    waiting = of_c(estate, RETURN)
    name = waiting.request.header.request_id.text
    await party.command(waiting.signed)
    assert await listed() == []
    party.published.extract = registered(2, ("SUPB", SWITCH, None))
    await party.gatherer.puller.sync()
    assert await listed() == [name]
    party.published.extract = registered(3, ("SUPB", SWITCH, RETURN), ("SUPC", RETURN, None))
    await party.gatherer.puller.sync()
    assert await listed() == []
    party.published.extract = registered(4, ("SUPB", SWITCH, None))
    await party.gatherer.puller.sync()
    assert await listed() == [name]
    await party.command(of_b(estate, CANCEL_DATE).signed)  # whoever has the home withdraws it
    assert await listed() == []
