"""6.15.1 with a date to come: the device keeps the command, and its alert ends the request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from duis.model import CANCEL_DATE, FutureDatedAlert, ResponseMessage, ServiceRequest
from gbcs.codes import Cra, StatusCode
from gbcs.message import Message, decode
from gbcs.payloads.credentials import CredentialsOutcome, UpdateCredentials, decode_update
from keys.certificate import Certificate
from keys.roles import Usage
from tests.unit.acb.estate import (
    DEVICE,
    OTHER_DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    alert_message,
    outcome_for,
    signed_octets,
)
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.services.test_credentials import (
    KA,
    alerts,
    asking,
    pre_command,
    renewed,
    signing,
)
from tests.unit.acb.world import World

DAY = timedelta(days=10)


async def sent(world: World, counter: int = 1, **body: Any) -> tuple[ServiceRequest, Message]:
    """A dated command of supplier A, seen through until the device has answered (or not)."""
    at = body.pop("execution_date_time", world.estate.now + DAY)
    written = await pre_command(
        world, asking(world.estate, counter=counter, execution_date_time=at, **body)
    )
    request = signing(world.estate, written, counter + 1)
    await world.run(request)
    return request, written


async def pending(meters: Meters) -> list[dict[str, str]]:
    told = (await meters.lab.get(f"/lab/devices/{DEVICE}/pending")).json()
    return list(told["pending"])


def executed(
    world: World,
    command: Message,
    counter: int = 1,
    *,
    failed: StatusCode | None = None,
    told: Callable[[CredentialsOutcome], CredentialsOutcome] = lambda outcome: outcome,
    signer: str = DEVICE,
    **header: Any,
) -> bytes:
    """What the device says when the day has come."""
    update: UpdateCredentials = decode_update(command.payload)
    statuses = {} if failed is None else {KA: failed}
    outcome = told(outcome_for(update, world.meter.cells[DEVICE], statuses))
    at = header.pop("at", update.execution_date_time)
    header.setdefault("alert_code", 0x8F66 if failed is None else 0x8F67)
    header.setdefault("recipient", SUPPLIER_A)
    message = alert_message(outcome, at=at, counter=counter, **header)
    return signed_octets(message, world.estate.device_keys.signer(signer).sign)


async def test_the_date_goes_into_the_command_and_the_device_keeps_it(
    world: World, meters: Meters
) -> None:
    before = (await meters.cells(), await recorded(world))

    request, written = await sent(world)

    told = await world.told(request)
    assert (told["state"], told["response_code"]) == ("scheduled", "I0")
    at = world.estate.now + DAY
    assert decode_update(written.payload).execution_date_time == f"{at:%Y%m%d%H%M%S}Z"
    (kept,) = await pending(meters)
    assert kept["role"] == "supplier"
    assert (await meters.cells(), await recorded(world)) == before
    assert await alerts(world, SUPPLIER_A) == []


async def test_the_devices_alert_ends_it(world: World, meters: Meters) -> None:
    request, written = await sent(world)
    alert = executed(world, written)

    assert (await world.hear(alert)).status_code == 204
    await world.settle()

    assert (await world.told(request))["state"] == "completed"
    new = Certificate.from_der(decode_update(written.payload).replacements[0].certificate)
    assert (await world.record())["cells"][KA]["fingerprint"] == new.fingerprint
    documents = await world.documents(SUPPLIER_A)
    answer = next(
        item.body.content
        for item in documents
        if isinstance(item.body, ResponseMessage)
        and isinstance(item.body.content, FutureDatedAlert)
    )
    assert (answer.alert_code, answer.gbcs_payload) == (0x8F66, alert)
    (notice,) = await alerts(world, SUPPLIER_A)
    assert [item.certificate_type for item in notice.certificates] == ["KeyAgreement"]
    assert world.peers["tcos_party"].heard == []  # it is nobody else's business


@pytest.mark.check
async def test_what_failed_on_the_day_is_not_recorded(world: World, meters: Meters) -> None:
    request, written = await sent(world)
    before = await world.record()

    assert (
        await world.hear(executed(world, written, failed=StatusCode.BAD_CERTIFICATE))
    ).is_success

    assert (await world.told(request))["state"] == "completed"
    assert await world.record() == before
    assert await alerts(world, SUPPLIER_A) == []


SLOW = pytest.mark.check
LIES = [
    pytest.param("header", {"cra": Cra.RESPONSE}, marks=SLOW),
    pytest.param("counter", {"counter": 1}, marks=SLOW),
    pytest.param("signature", {"signer": OTHER_DEVICE}),
    pytest.param("outcome", {"at": "20990101000000Z"}, marks=SLOW),
    pytest.param("outcome", {"alert_code": 0x8F67}, marks=SLOW),
]


@pytest.mark.parametrize(("name", "lie"), LIES)
async def test_an_alert_is_believed_only_if_it_is_one(
    world: World, meters: Meters, name: str, lie: dict[str, Any]
) -> None:
    """Who refuses, that nothing changed; and that with that one check off it is taken."""
    first, command = await sent(world)
    assert (await world.hear(executed(world, command, counter=5))).is_success
    request, command = await sent(world, counter=3)
    before = (await world.record(), await world.told(request))
    forged = executed(world, command, **({"counter": 6} | lie))

    answer = await world.hear(forged)

    check = f"acb.credentials_alert.{name}"
    assert (answer.status_code, answer.json()["check"]) == (403, check)
    assert (await world.record(), await world.told(request)) == before
    world.book.turn_off(check)
    assert (await world.hear(forged)).status_code == 204
    assert (await world.told(request))["state"] == "completed"
    assert (await world.told(first))["state"] == "completed"
    assert await world.record() != before[0]


@pytest.mark.check
async def test_an_alert_about_a_command_at_once_or_another_use_case_is_refused(
    world: World,
) -> None:
    """The device was silent; then it says that it executed, what was never dated."""

    async def silent(_: str, __: bytes) -> None:
        return None

    world.meter.hear = silent  # type: ignore[method-assign,assignment]
    request, written = await sent(world, execution_date_time=None)
    assert (await world.told(request))["state"] == "failed"
    before = await world.record()

    answer = await world.hear(executed(world, written, at="20990101000000Z"))

    assert answer.json()["check"] == "acb.credentials_alert.outcome"
    assert await world.record() == before


async def test_what_was_withdrawn_is_over(world: World, meters: Meters) -> None:
    first, _ = await sent(world)
    assert await pending(meters)

    withdrawn, written = await sent(world, counter=3, execution_date_time=CANCEL_DATE)

    assert decode_update(written.payload).execution_date_time == "99991231235959Z"
    assert (await world.told(withdrawn))["state"] == "completed"
    assert await pending(meters) == []
    told = await world.told(first)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.schedule")


@pytest.mark.check
async def test_the_newest_takes_the_place_of_the_older(world: World, meters: Meters) -> None:
    first, _ = await sent(world)
    second, written = await sent(world, counter=3, execution_date_time=world.estate.now + 2 * DAY)

    (kept,) = await pending(meters)
    assert kept["reference"] == written.reference
    assert (await world.told(first))["refused"]["check"] == "acb.schedule"
    assert (await world.told(second))["state"] == "scheduled"


@pytest.mark.check
async def test_what_an_outgoing_supplier_left_is_gone_with_it(world: World, meters: Meters) -> None:
    """B takes over before the day: the device forgets what A had it keep, so does the record."""
    first, _ = await sent(world)

    assert (await world.run(world.estate.request()))["state"] == "completed"

    assert await pending(meters) == []
    told = await world.told(first)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.schedule")
    assert SUPPLIER_B in (await world.record())["cells"][KA]["subject"]


async def test_an_answer_that_was_lost_is_told_by_the_alert(world: World, meters: Meters) -> None:
    """A dated command is not read back: no cell tells of it yet."""
    assert (await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json={"lose_answers": 1})).is_success
    request, written = await sent(world)
    told = await world.told(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.answer.received")
    assert [decode(octets).message_code for octets in meters.heard] == [0x0102, 0x0102]
    assert await pending(meters)

    assert (await world.hear(executed(world, written))).is_success

    told = await world.told(request)
    assert (told["state"], told["response_code"], told["refused"]) == ("completed", "I0", None)
    assert len(await alerts(world, SUPPLIER_A)) == 1


@pytest.mark.check
async def test_a_certificate_must_hold_on_the_day(world: World, meters: Meters) -> None:
    """It ends in a year: too early for a command of the year after. Then the twin."""
    late = world.estate.now + timedelta(days=700)
    asked = asking(world.estate, execution_date_time=late)

    answer = await world.submit(world.estate.signed(asked))

    assert answer.headers["cos-check"] == "acb.pre_command.certificates"
    world.book.turn_off("acb.pre_command.certificates")
    world.book.turn_off("acb.signed_pre_command.certificates")
    request, _ = await sent(world, execution_date_time=late)
    assert (await world.told(request))["state"] == "scheduled"


@pytest.mark.check
async def test_the_signing_certificate_may_be_dated_too(world: World, meters: Meters) -> None:
    """Until then the old one signs; from then on what waits by its authority is its own."""
    new = renewed(world.estate, usage=Usage.DIGITAL_SIGNATURE)
    request, written = await sent(world, digital_signing=new, key_agreement=None, floor=9)
    now = await pre_command(world, asking(world.estate, counter=11))
    assert (await world.run(signing(world.estate, now, 12)))["state"] == "completed"
    assert (await world.told(request))["state"] == "scheduled"

    assert (await world.hear(executed(world, written))).is_success

    assert (await world.told(request))["state"] == "completed"
    held = (await world.record())["cells"]["supplier/digitalSignature/management"]
    assert held["fingerprint"] == Certificate.from_der(new).fingerprint
