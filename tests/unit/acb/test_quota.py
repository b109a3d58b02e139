"""What strangers can have the broker write down: not without end, and nobody else pays for it."""

from __future__ import annotations

import re

import pytest

from acb.peers.lookups import RECORDS
from gbcs.block_transfer import split
from services.chassis.data.quota import RECORD, UnauthenticatedQuota
from tests.unit.acb.world import World
from tests.unit.services.link.estate import HeldClock

BODY = 50_000
"""Octets of what a stranger sends."""
NOBODY = "0253494ddddddddd"
ROOM = 3
"""How many such messages a stranger may leave in these tests."""


@pytest.fixture
async def poor(world: World) -> World:
    """A broker whose unauthenticated quota is soon used up, and never comes back."""
    quota = ROOM * (BODY + RECORD)
    world.parts.base.audit.unauthenticated = UnauthenticatedQuota(
        HeldClock(), quota=quota, per_second=1
    )
    return world


async def kept(world: World, name: str) -> int:
    """How many traces of that name there are."""
    traces = world.parts.base.traces
    found = [
        entry
        for subject in await traces.list(1000)
        for entry in await traces.read(subject["subject"])
    ]
    return len([entry for entry in found if entry["name"] == name])


async def test_requests_of_strangers_are_refused_by_name_but_leave_only_so_much(
    poor: World,
) -> None:
    for number in range(5 * ROOM):
        document = b"<a>" + str(number).encode() + b"x" * (BODY - 20) + b"</a>"
        answer = await poor.submit(document)
        assert (answer.status_code, answer.json()["check"]) == (400, "acb.request.wellformed")
    assert await kept(poor, "service-request") == ROOM
    assert await kept(poor, "acb.request.wellformed") == ROOM


async def test_noise_of_the_wan_is_refused_by_name_but_leaves_only_so_much(poor: World) -> None:
    for number in range(5 * ROOM):
        answer = await poor.hear(number.to_bytes(4, "big") + bytes(BODY - 4))
        assert (answer.status_code, answer.json()["check"]) == (403, "acb.response.decode")
    assert await kept(poor, "acb.response.decode") == ROOM


async def test_whoever_is_known_is_served_all_the_same(poor: World) -> None:
    while poor.parts.base.audit.unauthenticated.admit():
        pass
    request = poor.estate.request()
    assert (await poor.run(request))["state"] == "completed"
    kinds = [entry["kind"] for entry in await poor.trace(request)]
    assert kinds[:2] == ["received", "checked"]


async def test_whoever_is_known_pays_nothing(world: World) -> None:
    """The quota is for one request, and no more."""
    quota = len(world.estate.signed(world.estate.request())) + RECORD + 100
    world.parts.base.audit.unauthenticated = UnauthenticatedQuota(
        HeldClock(), quota=quota, per_second=1
    )
    for counter in (1, 2, 3):
        request = world.estate.request(counter=counter)
        await world.accept(request)
        assert (await world.trace(request))[0]["kind"] == "received"


async def test_blocks_of_strangers_leave_only_so_much(poor: World) -> None:
    """Whole ones, held and acknowledged: nobody knows yet who says them."""
    meter, said = poor.meter, []

    async def silent(eui: str, octets: bytes) -> None:
        said.append(await type(meter).hear(meter, eui, octets))

    meter.hear = silent  # type: ignore[method-assign]
    await poor.run(poor.estate.request())
    first = split(said[0] or b"", 100)[0]
    while poor.parts.base.audit.unauthenticated.admit(10 * RECORD):
        pass
    before = await kept(poor, "block-1")
    for _ in range(20 * ROOM):
        assert (await poor.hear(first)).status_code == 200
    assert await kept(poor, "block-1") - before < 20 * ROOM // 2


async def test_whoever_asks_for_certificates_that_nobody_has_is_stopped(world: World) -> None:
    """The two ends of the link keep every question; known senders are served all the same."""
    document = world.estate.signed(world.estate.request())
    await world.accept(world.estate.request())  # the signer is known from now on
    world.parts.lookups.quota = UnauthenticatedQuota(
        HeldClock(), quota=ROOM * RECORDS * RECORD, per_second=1
    )
    asked = world.peers["smki_repository"].heard
    checks = []
    for serial in range(5 * ROOM):
        changed = re.sub(rb"(?<=SerialNumber>)[0-9]+", b"%d" % (10**20 + serial), document)
        answer = await world.submit(changed)
        checks.append((answer.status_code, answer.json()["check"]))
    assert checks[:ROOM] == [(403, "acb.request.certificate_known")] * ROOM
    assert set(checks[ROOM:]) == {(503, "acb.smki_repository.lookups")}
    questions = [body for purpose, _, body in asked if purpose == "smki-certificates"]
    # the signer's, what could be paid for, and once those of the user that it says it is
    assert [body["by"] for body in questions] == ["issuer_serial"] * (ROOM + 1) + ["eui"]
    assert (await world.run(world.estate.request(counter=2)))["state"] == "completed"


async def test_what_a_known_sender_has_refused_is_bounded_and_at_nobody_elses_cost(
    world: World,
) -> None:
    audit = world.parts.base.audit
    size = len(world.estate.signed(world.estate.request(device=NOBODY)))
    audit.unauthenticated = UnauthenticatedQuota(
        HeldClock(), quota=0, sender_quota=ROOM * (2 * size + 3 * RECORD), per_second=1
    )
    for counter in range(1, 5 * ROOM):
        document = world.estate.signed(world.estate.request(device=NOBODY, counter=counter))
        answer = await world.submit(document)
        assert answer.headers["cos-check"] == "acb.device.known"
    assert ROOM <= await kept(world, "acb.device.known") <= ROOM + 1
    assert await kept(world, "service-request") == await kept(world, "acb.device.known")
    assert audit.unauthenticated.admit(sender="another who is known")
    request = world.estate.request(counter=100)  # and its own requests are served as ever
    assert (await world.run(request))["state"] == "completed"
