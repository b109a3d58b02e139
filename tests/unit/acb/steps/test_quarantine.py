"""The broker's own anomaly threshold: what exceeds it is held until somebody decides."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.acb.estate import OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.world import World


async def limit(world: World, scope: str, most: int | None) -> None:
    answer = await world.lab.put(f"/lab/thresholds/{scope}", json={"most": most})
    assert answer.status_code == 200, answer.text


async def held(world: World) -> int:
    """A request above the threshold; the reference it is quarantined under."""
    await limit(world, SUPPLIER_B, 0)
    answer = await world.submit(world.estate.signed(world.estate.request()))
    assert answer.headers["cos-check"] == "acb.anomaly.threshold"
    (waiting,) = (await world.lab.get("/lab/quarantine")).json()["quarantined"]
    return int(waiting["quarantine_ref"])


async def test_what_exceeds_the_users_threshold_is_held(world: World) -> None:
    before = await world.record()
    reference = await held(world)
    await world.settle()

    told = await world.told(world.estate.request())

    assert told["state"] == "quarantined"
    assert world.peers["tcos_party"].heard == []
    assert world.meter.heard == []
    assert await world.record() == before
    (alert,) = await world.documents(SUPPLIER_B)
    assert alert.body.alert_code == "AD1"
    assert alert.body.content.user_threshold.event_reference == reference
    assert alert.body.content.user_threshold.request_id == world.estate.request().header.request_id


async def test_with_the_check_off_nothing_is_held(world: World) -> None:
    await limit(world, SUPPLIER_B, 0)
    await world.lab.put("/lab/checks/acb.anomaly.threshold", json={"enabled": False})

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"


async def test_the_threshold_of_all_users_together(world: World) -> None:
    await limit(world, "*", 0)

    answer = await world.submit(world.estate.signed(world.estate.request()))

    assert answer.headers["cos-check"] == "acb.anomaly.threshold"
    (alert,) = await world.documents(SUPPLIER_B)
    assert alert.body.content.dcc_threshold is not None


async def test_one_user_cannot_spend_what_all_users_together_may_send(world: World) -> None:
    """A spends all of it: what is held back is A's, until B has sent its own even share as well."""
    users = len((await world.lab.get("/lab/users")).json()["users"])
    await limit(world, "*", users)  # an even share is one
    for counter in range(1, users + 1):
        asked = world.estate.request(supplier=SUPPLIER_A, device=OTHER_DEVICE, counter=counter)
        await world.accept(asked)
    more = world.estate.request(supplier=SUPPLIER_A, device=OTHER_DEVICE, counter=users + 1)
    answer = await world.submit(world.estate.signed(more))
    assert answer.headers["cos-check"] == "acb.anomaly.threshold"

    assert (await world.run(world.estate.request(counter=1)))["state"] == "completed"

    answer = await world.submit(world.estate.signed(world.estate.request(counter=2)))
    assert answer.headers["cos-check"] == "acb.anomaly.threshold"


async def test_another_users_requests_do_not_count(world: World) -> None:
    await limit(world, SUPPLIER_B, 1)
    await world.run(world.estate.request(supplier=SUPPLIER_A, device=OTHER_DEVICE))

    assert (await world.run(world.estate.request()))["state"] == "completed"


async def test_the_window_slides(world: World) -> None:
    await limit(world, SUPPLIER_B, 1)
    await world.run(world.estate.request(counter=1))
    document = world.estate.signed(world.estate.request(counter=2))
    world.parts.base.clock.step(timedelta(seconds=world.parts.settings.anomaly.window_seconds))

    answer = await world.submit(document)

    assert "cos-check" not in answer.headers


async def test_released_it_goes_on(world: World) -> None:
    reference = await held(world)

    answer = await world.lab.post(f"/lab/quarantine/{reference}/release")
    await world.settle()

    assert answer.json()["state"] == "accepted"
    assert (await world.told(world.estate.request()))["state"] == "completed"
    assert (await world.lab.get("/lab/quarantine")).json()["quarantined"] == []


async def test_released_it_is_judged_again_by_everything_else(world: World) -> None:
    reference = await held(world)
    await world.lab.post(
        "/lab/users", json={"name": "B", "participant": "B", "eui": SUPPLIER_B, "roles": ["ED"]}
    )

    answer = await world.lab.post(f"/lab/quarantine/{reference}/release")
    await world.settle()

    assert answer.json()["state"] == "refused"
    told = await world.told(world.estate.request())
    assert told["refused"]["check"] == "acb.user.role"
    assert world.meter.heard == []


async def test_deleted_it_is_over(world: World) -> None:
    reference = await held(world)

    answer = await world.lab.delete(f"/lab/quarantine/{reference}")
    await world.settle()

    assert answer.json()["state"] == "refused"
    assert world.meter.heard == []
    assert [item.code for item in await world.documents(SUPPLIER_B)] == ["I0", "E31"]
    again = await world.lab.post(f"/lab/quarantine/{reference}/release")
    assert again.status_code == 404


async def test_a_held_request_is_spent(world: World) -> None:
    await held(world)

    answer = await world.submit(world.estate.signed(world.estate.request()))

    assert answer.headers["cos-check"] == "acb.request.duplicate"


@pytest.mark.parametrize("act", ["release", "delete"])
async def test_nothing_is_found_under_another_reference(world: World, act: str) -> None:
    path = "/lab/quarantine/99"
    answer = await (
        world.lab.delete(path) if act == "delete" else world.lab.post(f"{path}/release")
    )

    assert answer.status_code == 404


async def test_references_are_not_used_again(world: World) -> None:
    first = await held(world)
    await world.lab.delete(f"/lab/quarantine/{first}")
    await world.submit(world.estate.signed(world.estate.request(counter=2)))

    (waiting,) = (await world.lab.get("/lab/quarantine")).json()["quarantined"]

    assert waiting["quarantine_ref"] != first


async def test_a_reset_lets_the_thresholds_of_the_settings_count_again(world: World) -> None:
    await limit(world, SUPPLIER_B, 0)
    await limit(world, "*", 0)

    await world.lab.post("/lab/reset")

    assert (await world.run(world.estate.request()))["state"] == "completed"
