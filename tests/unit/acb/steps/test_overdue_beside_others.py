"""A device asked for want of an alert: what else happens to it, and who is told once."""

from __future__ import annotations

from typing import Any

import pytest

from gbcs.payloads.credentials import decode_update
from gbcs.payloads.details import decode_read
from keys.certificate import Certificate
from keys.roles import Usage
from tests.unit.acb.estate import CELLS, DEVICE, OTHER_DEVICE, SUPPLIER_A
from tests.unit.acb.keeping import (
    DAY,
    GRACE,
    WAIT,
    Home,
    change,
    noted,
    overdue,
    seen,
    subjects,
)
from tests.unit.acb.services.test_credentials import (
    KA,
    alerts,
    asking,
    pre_command,
    renewed,
    signing,
)
from tests.unit.acb.steps.test_waiting import ended

pytestmark = pytest.mark.check


async def test_cells_that_were_set_again_tell_nothing(home: Home) -> None:
    """A takes the home back between the date and the question."""
    world = home.world
    request = await change(world)
    await noted(world, request)
    home.acts(home.command())
    back = world.estate.request(SUPPLIER_A)
    assert (await world.run(back))["state"] == "completed"
    record = await world.record()

    world.parts.base.clock.step(GRACE)

    told = await ended(world, request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.outcome.unknown")
    assert "set again since" in told["refused"]["detail"]
    assert await world.record() == record


async def test_an_alert_after_all_does_not_undo_what_came_since(home: Home) -> None:
    """B by the reading, A again by its own request; the alert about B is of the past."""
    world = home.world
    request = await change(world)
    alert = home.alert(home.command())
    home.acts(home.command())
    assert (await overdue(world, request))["state"] == "completed"
    assert (await world.run(world.estate.request(SUPPLIER_A)))["state"] == "completed"
    record = await world.record()

    assert (await world.hear(alert)).status_code == 204

    assert (await world.told(request))["state"] == "completed"
    assert await world.record() == record
    assert await subjects(world) == {SUPPLIER_A}


async def test_a_device_that_is_busy_is_asked_after_that(home: Home) -> None:
    """Its answer must not be older than what is recorded when it comes."""
    world = home.world
    request = await change(world)
    home.acts(home.command())
    free = world.estate.request(device=OTHER_DEVICE, execution_date_time=world.estate.now + DAY)
    assert (await world.run(free))["state"] == "scheduled"
    await noted(world, request)
    await seen(world, free)
    other = world.estate.request(counter=2)
    await world.accept(other)  # its turn next, and not begun
    del home.asked[:]
    world.parts.base.clock.step(GRACE)
    name = free.header.request_id.text
    await world.parts.base.changes.wait(
        name, lambda: world.told(free), lambda told: told["state"] != "scheduled", WAIT
    )  # looked for after ours, in the same transaction
    assert (await world.told(request))["state"] == "scheduled"
    await world.settle()

    told = await ended(world, request)

    assert [code for device, code in home.asked if device == DEVICE] == [0x0107, 0x0008]
    assert (await world.told(other))["state"] == "completed"
    assert told["state"] == "completed"  # the same certificates, by either


async def test_an_alert_in_time_leaves_nothing_to_ask(home: Home) -> None:
    world = home.world
    request = await change(world)
    await noted(world, request)
    alert = home.alert(home.command())
    home.acts(home.command())

    assert (await world.hear(alert)).status_code == 204

    world.parts.base.clock.step(2 * GRACE)
    other = await change(world, counter=2, at=3 * DAY)
    world.parts.base.clock.step(3 * DAY)
    await seen(world, other)
    assert (await world.told(request))["state"] == "completed"
    assert 0x0008 not in home.heard


async def test_a_suppliers_own_renewal_and_who_is_told_of_it(home: Home) -> None:
    """6.15.1: its own role is asked about, and the users are told of the new cell once."""
    world = home.world
    written = await pre_command(
        world, asking(world.estate, execution_date_time=world.estate.now + DAY)
    )
    request = signing(world.estate, written)
    assert (await world.run(request))["state"] == "scheduled"
    update = decode_update(written.payload)
    alert = home.alert(update, recipient=SUPPLIER_A)
    home.acts(update)
    asked: list[bytes] = []
    before = world.meter.tell

    def tell(eui: str, command: Any) -> bytes:
        asked.append(command.payload)
        return before(eui, command)

    world.meter.tell = tell  # type: ignore[method-assign]

    assert (await overdue(world, request))["state"] == "completed"

    assert [role.label for role in decode_read(asked[0]).roles] == ["supplier"]
    new = Certificate.from_der(update.replacements[0].certificate)
    assert (await world.record())["cells"][KA]["fingerprint"] == new.fingerprint
    assert len(await alerts(world, SUPPLIER_A)) == 1
    assert (await world.hear(alert)).status_code == 204
    assert (await world.told(request))["state"] == "completed"
    assert len(await alerts(world, SUPPLIER_A)) == 1


async def test_of_a_renewal_in_part_users_are_told_of_each_cell_once(home: Home) -> None:
    """One of two cells by the reading; the alert names that one again, and the other."""
    world = home.world
    both = renewed(world.estate, usage=Usage.DIGITAL_SIGNATURE)
    written = await pre_command(
        world,
        asking(
            world.estate,
            execution_date_time=world.estate.now + DAY,
            digital_signing=both,
            floor=9,
        ),
    )
    request = signing(world.estate, written)
    assert (await world.run(request))["state"] == "scheduled"
    update = decode_update(written.payload)
    alert = home.alert(update, recipient=SUPPLIER_A)
    home.acts(update, CELLS[0])
    assert (await overdue(world, request))["refused"]["check"] == "acb.alert.missing"

    assert (await world.hear(alert)).status_code == 204

    told = [
        [one.certificate_type for one in item.certificates]
        for item in await alerts(world, SUPPLIER_A)
    ]
    assert told == [["KeyAgreement"], ["DigitalSigning"]]
