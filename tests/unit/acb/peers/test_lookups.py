"""Certificates that nobody has: asked for once in a while, and no newcomer waits for ever."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from acb.peers import lookups
from acb.peers.lookups import RECORDS, Absent, Lookups
from services.chassis.data.quota import RECORD, UnauthenticatedQuota
from services.link.opened import Opened
from tests.unit.acb.estate import SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.world import Answer, World
from tests.unit.services.link.estate import HeldClock

NOBODY = "0253494ddddddddd"
LIFETIME = 10
"""Seconds."""
UNKNOWN = (403, "acb.request.certificate_known")
TOO_MANY = (503, "acb.smki_repository.lookups")


@pytest.fixture
def clock(world: World) -> HeldClock:
    """The clock by which look-ups are remembered and paid for."""
    held = HeldClock()
    world_lookups = Lookups(
        world.parts.smki, world.parts.base.database, held, timedelta(seconds=LIFETIME)
    )
    object.__setattr__(world.parts, "lookups", world_lookups)
    return held


def spent(world: World, clock: HeldClock) -> None:
    """Strangers have asked for as many as they may, for as long as this test lasts."""
    world.parts.lookups.quota = UnauthenticatedQuota(clock, quota=0, per_second=0)


def named(document: bytes, serial: int) -> bytes:
    return re.sub(rb"(?<=SerialNumber>)[0-9]+", b"%d" % serial, document)


async def ask(world: World, document: bytes) -> tuple[int, str | None]:
    answer = await world.submit(document)
    if answer.status_code == 200:
        return 200, answer.headers.get("cos-check")
    if answer.status_code == 503:
        assert answer.headers["retry-after"] == str(LIFETIME)
    return answer.status_code, answer.json()["check"]


def questions(world: World) -> list[str]:
    heard = world.peers["smki_repository"].heard
    return [body["by"] for purpose, _, body in heard if purpose == "smki-certificates"]


async def test_what_the_repository_has_not_is_asked_for_once_in_a_while(
    world: World, clock: HeldClock
) -> None:
    document = named(world.estate.signed(world.estate.request()), 10**20)
    for _ in range(5):
        assert await ask(world, document) == UNKNOWN
        clock.step(LIFETIME / 5 - 0.1)
    assert questions(world) == ["issuer_serial"]
    clock.step(LIFETIME)
    assert await ask(world, document) == UNKNOWN
    assert questions(world) == ["issuer_serial"] * 2


async def test_one_that_is_issued_since_is_found_within_the_lifetime(
    world: World, clock: HeldClock
) -> None:
    peer = world.peers["smki_repository"]
    honest = peer.handlers["smki-certificates"]

    async def nothing(_: Opened, body: Answer) -> Answer:
        return {"version": 1, "certificates": []}

    peer.handlers["smki-certificates"] = nothing
    document = world.estate.signed(world.estate.request())
    assert await ask(world, document) == UNKNOWN
    peer.handlers["smki-certificates"] = honest
    assert await ask(world, document) == UNKNOWN
    clock.step(LIFETIME)
    assert await ask(world, document) == (200, None)


async def test_another_serial_of_the_same_issuer_is_another_name(
    world: World, clock: HeldClock
) -> None:
    document = world.estate.signed(world.estate.request())
    assert await ask(world, named(document, 10**20)) == UNKNOWN
    assert await ask(world, document) == (200, None)


async def test_a_repository_that_cannot_be_asked_has_said_nothing(
    world: World, clock: HeldClock
) -> None:
    document = world.estate.signed(world.estate.request())
    world.around.wire.down.add("smki_repository")
    answer = await world.submit(document)
    assert answer.json()["check"] == "acb.smki_repository.unavailable"
    world.around.wire.down.clear()
    assert await ask(world, document) == (200, None)


async def test_a_newcomer_is_served_while_strangers_ask_without_end(
    world: World, clock: HeldClock
) -> None:
    """Each second a stranger names another certificate that nobody has, and takes what there is."""
    spent(world, clock)
    asked = world.estate.request()
    name = replace(asked.header.request_id, originator=NOBODY)
    stranger = replace(asked, header=replace(asked.header, request_id=name))
    noise = world.estate.signed(stranger, signer=SUPPLIER_A)
    for second in range(3):
        assert await ask(world, named(noise, 10**20 + second)) == TOO_MANY
        clock.step(1)
    assert questions(world) == []  # nobody's certificates were asked for
    assert await ask(world, world.estate.signed(world.estate.request())) == (200, None)
    assert questions(world) == ["eui"]


async def test_quota_in_a_newcomers_name_delay_it_by_the_lifetime_at_most(
    world: World, clock: HeldClock
) -> None:
    """Its certificate is issued just after the broker was made to ask for it."""
    spent(world, clock)
    peer = world.peers["smki_repository"]
    honest = peer.handlers["smki-certificates"]

    async def nothing(_: Opened, body: Answer) -> Answer:
        return {"version": 1, "certificates": []}

    peer.handlers["smki-certificates"] = nothing
    document = world.estate.signed(world.estate.request())
    assert await ask(world, named(document, 10**20)) == TOO_MANY
    peer.handlers["smki-certificates"] = honest  # issued
    served = []
    for second in range(LIFETIME + 1):
        assert await ask(world, named(document, 10**20 + second)) == TOO_MANY
        served.append(await ask(world, document))
        if served[-1] != TOO_MANY:
            break
        clock.step(1)
    assert served == [TOO_MANY] * LIFETIME + [(200, None)]
    assert questions(world) == ["eui"] * 2  # what the noise cost


async def test_who_is_no_user_is_not_asked_for_at_all(world: World, clock: HeldClock) -> None:
    spent(world, clock)
    async with world.parts.base.database.begin() as conn:
        conn.driver.execute("DELETE FROM acb_user WHERE eui = ?", (SUPPLIER_B,))
    assert await ask(world, world.estate.signed(world.estate.request())) == TOO_MANY
    assert questions(world) == []


async def test_only_what_leads_to_the_anchor_is_paid_back(world: World, clock: HeldClock) -> None:
    """A certificate that the repository has, and that is no organisation's, costs as any other."""
    world.parts.lookups.quota = UnauthenticatedQuota(
        clock, quota=2 * RECORDS * RECORD, per_second=0
    )
    world.parts.smki._leads_to_anchor = lambda _: False  # type: ignore[method-assign]
    world.book.turn_off("acb.request.certificate_path")
    document = world.estate.signed(world.estate.request(device=NOBODY))
    seen = [await ask(world, document) for _ in range(3)]
    assert seen == [(200, "acb.device.known")] * 2 + [TOO_MANY]


def test_only_so_many_absences_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "REMEMBERED", 2)
    clock = HeldClock()
    absent = Absent(clock, timedelta(seconds=LIFETIME))
    for name in ("a", "b", "c", "x" * (lookups.LONGEST_NAME + 1)):
        absent.note(name)
    assert [absent.holds(name) for name in ("a", "b", "c")] == [False, True, True]
    assert not absent.holds("x" * (lookups.LONGEST_NAME + 1))
    clock.step(-3600)  # put right
    assert not absent.holds("c")


def test_a_lifetime_of_nothing_remembers_nothing() -> None:
    absent = Absent(HeldClock(), timedelta(0))
    absent.note("a")
    assert not absent.holds("a")
