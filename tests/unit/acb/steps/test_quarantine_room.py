"""What one user may have in quarantine: so much; its own oldest gives way, nobody else's."""

from __future__ import annotations

from typing import Any

from acb.steps.quarantine import GAVE_WAY, RECORDS
from duis.model import ServiceRequest
from services.chassis.data.quota import RECORD, UnauthenticatedQuota
from tests.unit.acb.estate import OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.world import World
from tests.unit.services.link.estate import HeldClock

PLACES = 3


def places(world: World, requests: int, octets: int = 1 << 30) -> None:
    room = {"quarantine_requests": requests, "quarantine_octets": octets}
    object.__setattr__(world.parts, "settings", world.parts.settings.model_copy(update=room))


async def hold(world: World, number: int, supplier: str = SUPPLIER_B) -> ServiceRequest:
    """A request above the threshold."""
    await world.lab.put(f"/lab/thresholds/{supplier}", json={"most": 0})
    device = {} if supplier == SUPPLIER_B else {"device": OTHER_DEVICE}
    request = world.estate.request(supplier=supplier, counter=number, **device)
    answer = await world.submit(world.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.anomaly.threshold"
    return request


async def waiting(world: World) -> list[str]:
    listed = (await world.lab.get("/lab/quarantine")).json()["quarantined"]
    return [item["request_id"] for item in listed]


def names(requests: list[ServiceRequest]) -> list[str]:
    return [request.header.request_id.text for request in requests]


async def copies_kept(world: World, request: ServiceRequest) -> int:
    """How many copies of the document of a request the broker's store holds."""
    name = request.header.request_id.text
    async with world.parts.base.database.connect() as conn:
        rows = conn.driver.execute(
            "SELECT body FROM acb_request WHERE request_id = ? "
            "UNION ALL SELECT message FROM trace WHERE subject = ? AND kind = 'received'",
            (name, name),
        )
        return sum(1 for row in rows if row[0])


async def test_its_oldest_gives_way_and_nothing_of_its_octets_is_kept(world: World) -> None:
    places(world, PLACES)
    other = await hold(world, 1, SUPPLIER_A)
    before = await world.record()
    asked = [await hold(world, number) for number in range(1, PLACES + 3)]
    await world.settle()

    assert await waiting(world) == names([other, *asked[2:]])
    for gone in asked[:2]:
        told = await world.told(gone)
        assert (told["state"], told["refused"]["check"]) == ("refused", "acb.anomaly.threshold")
        assert told["refused"]["detail"].startswith("it gave way in quarantine to ")
        assert await copies_kept(world, gone) == 0
        kinds = [(entry["kind"], entry["name"]) for entry in await world.trace(gone)]
        assert ("quarantined", "acb.anomaly.threshold") in kinds
        assert ("refused", "acb.anomaly.threshold") in kinds
    assert await copies_kept(world, asked[-1]) == 2  # the request and its trace
    codes = [item.code for item in await world.documents(SUPPLIER_B)]
    assert codes.count("E31") == 2  # each user is told of what is over
    assert await world.record() == before
    assert world.meter.heard == []


async def test_who_was_held_back_by_which_check_stays_in_the_audit_log(world: World) -> None:
    places(world, 1)
    first, second = await hold(world, 1), await hold(world, 2)
    rows = (await world.lab.get("/lab/audit")).json()["rows"]
    (row,) = [row for row in rows if row["kind"] == GAVE_WAY]
    told: dict[str, Any] = row["record"]
    assert row["subject"] == first.header.request_id.text
    assert row["body"] is None
    assert told["user"] == SUPPLIER_B
    assert told["check"] == "acb.anomaly.threshold"
    assert told["to"] == second.header.request_id.text
    assert len(told["digest"]) == 64


async def test_octets_are_bounded_as_well(world: World) -> None:
    one = len(world.estate.signed(world.estate.request(counter=1)))
    places(world, 1000, 2 * one + one // 2)
    asked = [await hold(world, number) for number in range(1, 6)]
    assert await waiting(world) == names(asked[-2:])


async def test_the_newest_is_held_however_long_it_is(world: World) -> None:
    places(world, 1000, 1)
    asked = [await hold(world, number) for number in range(1, 4)]
    assert await waiting(world) == names(asked[-1:])


async def test_what_gave_way_cannot_be_released(world: World) -> None:
    places(world, 1)
    first = await hold(world, 1)
    (listed,) = (await world.lab.get("/lab/quarantine")).json()["quarantined"]
    await hold(world, 2)
    answer = await world.lab.post(f"/lab/quarantine/{listed['quarantine_ref']}/release")
    assert answer.status_code == 404
    assert (await world.told(first))["state"] == "refused"


async def test_with_a_used_up_quota_it_is_refused_by_name_and_not_held(world: World) -> None:
    size = len(world.estate.signed(world.estate.request(counter=1)))
    quota = 2 * (2 * size + RECORDS * RECORD) + RECORD
    world.parts.base.audit.unauthenticated = UnauthenticatedQuota(
        HeldClock(), sender_quota=quota, per_second=0
    )
    asked = [await hold(world, number) for number in range(1, 9)]
    assert await waiting(world) == names(asked[:2])
    answer = await world.submit(world.estate.signed(world.estate.request(counter=9)))
    refusal = world.read(answer.content)
    assert refusal.code == "E31"
    other = await hold(world, 1, SUPPLIER_A)  # and nobody else pays for it
    assert await waiting(world) == names([*asked[:2], other])


async def test_with_the_check_off_nothing_is_held_and_nothing_gives_way(world: World) -> None:
    places(world, 1)
    await world.lab.put(f"/lab/thresholds/{SUPPLIER_B}", json={"most": 0})
    world.book.turn_off("acb.anomaly.threshold")
    for counter in (1, 2):
        assert (await world.run(world.estate.request(counter=counter)))["state"] == "completed"
