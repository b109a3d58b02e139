"""An acceptance of a dated command that comes late: what was taken away since stays away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from duis.model import CANCEL_DATE, ServiceRequest, UpdateSecurityCredentialsCoS
from gbcs.codes import MessageCode
from gbcs.message import OtherInformation, decode, encode
from gbcs.payloads.credentials import CANCEL_EXECUTION, decode_update
from gbcs.protect import sign
from tests.unit.acb.estate import DEVICE, OTHER_DEVICE, SUPPLIER_A, response_message
from tests.unit.acb.meters import Meters
from tests.unit.acb.services.test_credentials import asking, pre_command, signing
from tests.unit.acb.world import World

DAY = timedelta(days=10)
CODES = {"6.23": MessageCode.SUPPLIER_BY_TRANS_COS, "6.15.1": MessageCode.SUPPLIER_BY_SUPPLIER}


class Slow:
    """A WAN over which the device's acceptances come when a test lets them.

    Args:
        world: with a stand-in, or with real meters, in the device's place.
        lost: how many commands are met with silence; those after are answered in their time.
    """

    def __init__(self, world: World, lost: int) -> None:
        self._world = world
        self._silent = lost
        self.heard: list[bytes] = []
        world.meter.hear = self.hear  # type: ignore[method-assign]

    async def hear(self, _: str, octets: bytes) -> bytes | None:
        command = decode(octets)
        fresh = octets not in self.heard
        if fresh:
            self.heard.append(octets)
        if self.heard.index(octets) < self._silent:
            return None
        return self.accepts(octets) if fresh and command.signature else None

    def accepts(self, octets: bytes, signer: str = DEVICE) -> bytes:
        """The device's acceptance of a command that is dated, or cancels."""
        asked = decode(octets).header
        said = response_message(
            None, counter=asked.counter, recipient=asked.originator, other=asked.other
        )
        return encode(sign(said, self._world.estate.device_keys.signer(signer).sign))


async def ask(world: World, service: str, counter: int, at: Any) -> ServiceRequest:
    """A dated request, or its withdrawal, seen through."""
    if service == "6.23":
        request = world.estate.request(counter=counter, execution_date_time=at)
    else:
        written = await pre_command(
            world, asking(world.estate, counter=counter, execution_date_time=at)
        )
        request = signing(world.estate, written, counter + 1)
    await world.run(request)
    return request


@pytest.mark.parametrize("service", ["6.23", pytest.param("6.15.1", marks=pytest.mark.check)])
async def test_what_was_withdrawn_since_stays_withdrawn(world: World, service: str) -> None:
    """And who is told why; and only by the device's own word, as every check has it."""
    device = Slow(world, lost=1)
    request = await ask(world, service, 1, world.estate.now + DAY)
    assert (await world.told(request))["state"] == "failed"
    withdrawal = await ask(world, service, 3, CANCEL_DATE)
    assert (await world.told(withdrawal))["state"] == "completed"
    dated, cancelling = device.heard
    assert decode_update(decode(cancelling).payload).execution_date_time == CANCEL_EXECUTION
    before = await world.told(request)
    assert (await world.hear(device.accepts(dated, OTHER_DEVICE))).status_code == 403
    assert await world.told(request) == before

    assert (await world.hear(device.accepts(dated))).status_code == 204

    told = await world.told(request)
    why = f"it was withdrawn by {withdrawal.header.request_id.text}"
    assert told["state"] == "failed"
    assert told["refused"] == {"party": "acb", "check": "acb.schedule", "detail": why}
    (ended,) = [e for e in await world.trace(request) if e["kind"] == "superseded"]
    assert ended["summary"] == why
    assert (await world.told(withdrawal))["state"] == "completed"


@pytest.mark.check
async def test_an_acceptance_that_is_late_and_nothing_since_counts(world: World) -> None:
    """Both came to nothing by the record; what is told of the first does not end the second."""
    device = Slow(world, lost=2)
    request = await ask(world, "6.23", 1, world.estate.now + DAY)
    withdrawal = await ask(world, "6.23", 3, CANCEL_DATE)
    assert (await world.told(withdrawal))["state"] == "failed"
    dated, cancelling = device.heard

    assert (await world.hear(device.accepts(dated))).status_code == 204
    assert (await world.told(request))["state"] == "scheduled"

    assert (await world.hear(device.accepts(cancelling))).status_code == 204
    assert (await world.told(withdrawal))["state"] == "completed"
    told = await world.told(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.schedule")


@pytest.mark.check
@pytest.mark.parametrize("service", list(CODES))
async def test_a_withdrawal_told_late_does_not_end_what_came_after_it(
    world: World, service: str
) -> None:
    device = Slow(world, lost=2)
    first = await ask(world, service, 1, world.estate.now + DAY)
    withdrawal = await ask(world, service, 3, CANCEL_DATE)
    newer = await ask(world, service, 5, world.estate.now + 2 * DAY)
    assert (await world.told(newer))["state"] == "scheduled"

    for octets in device.heard[1::-1]:
        assert (await world.hear(device.accepts(octets))).status_code == 204

    assert (await world.told(newer))["state"] == "scheduled"
    assert (await world.told(withdrawal))["state"] == "completed"
    assert (await world.told(first))["refused"]["check"] == "acb.schedule"


@pytest.mark.check
async def test_what_took_its_place_and_was_done_is_not_forgotten(world: World) -> None:
    """The newer one is over, so nothing waits: the older is not back for that."""
    device = Slow(world, lost=1)
    first = await ask(world, "6.23", 1, world.estate.now + DAY)
    newer = await ask(world, "6.23", 3, world.estate.now + 2 * DAY)
    withdrawal = await ask(world, "6.23", 5, CANCEL_DATE)
    assert (await world.told(newer))["refused"]["check"] == "acb.schedule"

    assert (await world.hear(device.accepts(device.heard[0]))).status_code == 204

    told = await world.told(first)
    assert told["refused"]["check"] == "acb.schedule"
    assert newer.header.request_id.text in told["refused"]["detail"]
    assert (await world.told(withdrawal))["state"] == "completed"


@pytest.mark.check
async def test_what_its_author_left_does_not_come_back_after_it_has_gone(
    world: World, meters: Meters
) -> None:
    """A's dated command, its answer lost; B takes over; then A's acceptance arrives."""
    assert (await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json={"lose_answers": 1})).is_success
    request = await ask(world, "6.15.1", 1, world.estate.now + DAY)
    assert (await world.told(request))["state"] == "failed"
    dated = decode(meters.heard[0]).header
    assert (await world.run(world.estate.request()))["state"] == "completed"
    said = response_message(
        None, counter=dated.counter, recipient=SUPPLIER_A, other=OtherInformation(CODES["6.15.1"])
    )

    key = world.estate.device_keys.signer(DEVICE)
    assert (await world.hear(encode(sign(said, key.sign)))).status_code == 204

    told = await world.told(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.schedule")
    assert "replaced" in told["refused"]["detail"]


@pytest.mark.check
async def test_a_request_released_late_is_the_newest_in_the_device(world: World) -> None:
    """Accepted first and sent last: by its counter the device heard it last."""
    Slow(world, lost=0)
    held = world.estate.request(counter=1, execution_date_time=world.estate.now + DAY)
    await world.lab.put("/lab/thresholds/*", json={"most": 0})
    await world.submit(world.estate.signed(held))
    await world.lab.put("/lab/thresholds/*", json={"most": 100})
    assert (await world.told(held))["state"] == "quarantined"
    other = await ask(world, "6.23", 2, world.estate.now + 2 * DAY)
    assert (await world.told(other))["state"] == "scheduled"
    (waiting,) = (await world.lab.get("/lab/quarantine")).json()["quarantined"]

    answer = await world.lab.post(f"/lab/quarantine/{waiting['quarantine_ref']}/release")
    assert answer.is_success, answer.text
    await world.settle()

    assert isinstance(held.body, UpdateSecurityCredentialsCoS)
    assert (await world.told(held))["state"] == "scheduled"
    assert (await world.told(other))["refused"]["check"] == "acb.schedule"
