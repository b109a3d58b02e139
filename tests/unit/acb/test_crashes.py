"""The broker's process dies at each of its commits, just before it or just after; nothing is lost.

With real meters, because a crash after a device has acted takes the device's only answer with it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gbcs.message import decode
from services.chassis.data.store import Database
from tests.unit.acb.estate import CELLS, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.world import Answer, World

COMMITS = 24
"""More than one change of supplier needs after it was accepted."""

INTAKE_COMMITS = 12
"""More than it takes to take a request in."""

SAMPLE = (2, 5, 8, 11)
"""Some of them, for every run; the rest are run by `make check`."""


class Died(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "commit",
    [
        number if number in SAMPLE else pytest.param(number, marks=pytest.mark.check)
        for number in range(1, COMMITS + 1)
    ],
)
async def test_a_crash_at_any_commit_loses_nothing_and_does_nothing_twice(
    world: World, meters: Meters, monkeypatch: pytest.MonkeyPatch, commit: int, moment: str
) -> None:
    request = world.estate.request()
    remember_answers(world)
    await world.accept(request)
    dying(world.parts.base.database, monkeypatch, commit, moment)

    died = False
    try:
        await world.parts.base.outbox.run_due()
    except BaseException as error:  # noqa: BLE001 - whatever the dying tasks leave behind
        died = "Died" in repr(error)
    monkeypatch.undo()
    again = await world.restarted()
    try:
        await again.parts.base.outbox.start()
        await again.parts.base.outbox.idle(deferred=True)

        told = await again.told(request)
        assert (told["state"], told["response_code"]) == ("completed", "I0"), (died, told)
        assert await recorded(again) == await meters.cells()
        assert (await again.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B
        assert [item.body.alert_code for item in await again.documents(SUPPLIER_A)] == ["N27"]
        assert [item.code for item in await again.documents(SUPPLIER_B)] == ["I0"]
        commands = {octets for octets in meters.heard if decode(octets).message_code == 0x0107}
        assert len(commands) == 1
        assert world.parties["tcos_party"].counter == 101
        dead = (await again.lab.get("/lab/outbox", params={"state": "dead"})).json()["entries"]
        assert dead == []
    finally:
        await again.stop()


def remember_answers(world: World) -> None:
    """The stand-in CoS Party answers a message identifier it has seen as it did before.

    The real one does so by the link's own memory; the stand-in's link has it too, but a broker
    that died before it heard the answer must get the very same one.
    """
    party, kept = world.parties["tcos_party"], {}

    async def once(opened: Any, body: Answer) -> Answer:
        if opened.message_id not in kept:
            kept[opened.message_id] = await party.command(opened, body)
        return kept[opened.message_id]

    world.peers["tcos_party"].handlers["cos-command"] = once


def dying(database: Database, monkeypatch: pytest.MonkeyPatch, commit: int, moment: str) -> None:
    """From now on, the database's n-th write transaction is the last thing that happens."""
    begin, count, dead = database.begin, itertools.count(1), []

    @asynccontextmanager
    async def counted() -> AsyncIterator[Any]:
        if dead:
            raise Died
        number = next(count)
        async with begin() as conn:
            yield conn
            if number == commit and moment == "before":
                dead.append(number)
                raise Died
        if number == commit:
            dead.append(number)
            raise Died

    monkeypatch.setattr(database, "begin", counted)


async def test_a_whole_change_takes_fewer_commits_than_are_tried(
    world: World, meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the sweep above really covers the last commit of a change."""
    await world.accept(world.estate.request())
    dying(world.parts.base.database, monkeypatch, COMMITS + 1, "before")

    await world.parts.base.outbox.run_due()

    assert (await world.told(world.estate.request()))["state"] == "completed"


async def test_taking_a_request_takes_fewer_commits_than_are_tried(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = world.estate.signed(world.estate.request())
    dying(world.parts.base.database, monkeypatch, INTAKE_COMMITS + 1, "before")

    answer = await world.submit(document)

    assert answer.status_code == 200


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "commit",
    [
        number if number in SAMPLE else pytest.param(number, marks=pytest.mark.check)
        for number in range(1, INTAKE_COMMITS + 1)
    ],
)
async def test_a_crash_while_a_request_is_taken_takes_it_whole_or_not_at_all(
    world: World, meters: Meters, monkeypatch: pytest.MonkeyPatch, commit: int, moment: str
) -> None:
    """The user heard nothing and sends it again: it is taken now, or refused as taken before."""
    request = world.estate.request()
    document = world.estate.signed(request)
    remember_answers(world)
    dying(world.parts.base.database, monkeypatch, commit, moment)
    with contextlib.suppress(BaseException):
        await world.submit(document)
    monkeypatch.undo()
    again = await world.restarted()
    try:
        await again.parts.base.outbox.start()

        answer = await again.submit(document)
        await again.parts.base.outbox.idle(deferred=True)

        assert answer.headers.get("cos-check") in {None, "acb.request.duplicate"}
        assert (await again.told(request))["state"] == "completed"
        assert await recorded(again) == await meters.cells()
        assert world.parties["tcos_party"].counter == 101
    finally:
        await again.stop()
