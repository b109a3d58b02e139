"""A crash anywhere loses nothing and does nothing twice; nobody's silence settles anything."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import httpx
import pytest

from acb.store import requests as store
from duis.model import CANCEL_DATE, FutureDatedAlert, ResponseMessage
from gbcs.codes import StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import decode_update
from services.link.opened import Opened
from tests.unit.acb.estate import (
    CELLS,
    DEVICE,
    OTHER_DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    alert_message,
    outcome_for,
    response_message,
    signed_octets,
)
from tests.unit.acb.world import Answer, World

LATER = datetime(2031, 1, 2, tzinfo=UTC)


class Crash(BaseException):
    """The process dies here."""


async def test_a_crash_after_the_cos_party_answered_repeats_the_question(world: World) -> None:
    """The second question has the same message identifier, so the answer is the first one's."""
    request = world.estate.request()
    await world.accept(request)
    party, asked = world.parties["tcos_party"], world.peers["tcos_party"].heard
    kept: dict[str, Answer] = {}

    async def once(opened: Opened, body: Answer) -> Answer:
        return kept.setdefault(opened.message_id, await party.command(opened, body))

    world.peers["tcos_party"].handlers["cos-command"] = once
    finish = store.change

    async def dies(*args: object, **values: object) -> object:
        if values.get("state") == "signed":
            raise Crash
        return await finish(*args, **values)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "change", dies)
        with pytest.raises(BaseException):  # noqa: B017 - whatever a dying process raises
            await world.parts.base.outbox.run_due()
    assert world.meter.heard == []

    again = await world.restarted()
    await again.parts.base.outbox.start()
    await again.settle()

    assert (await again.told(request))["state"] == "completed"
    assert len({message_id for purpose, message_id, _ in asked if purpose == "cos-command"}) == 1
    assert [decode(octets).header.counter for octets in world.meter.heard] == [101]
    await again.stop()


async def test_a_command_once_finished_is_sent_again_as_it_is(world: World) -> None:
    request = world.estate.request()
    world.around.wire.down.add("meter_sim")
    await world.accept(request)
    outbox = world.parts.base.outbox
    sent: list[bytes] = []
    meter = world.meter

    async def loses_the_answer(eui: str, octets: bytes) -> bytes | None:
        sent.append(octets)
        if len(sent) < 3:
            raise httpx.ReadTimeout("lost")
        return await type(meter).hear(meter, eui, octets)

    meter.hear = loses_the_answer  # type: ignore[method-assign]
    world.around.wire.down.clear()
    await outbox.idle(deferred=True)

    assert (await world.told(request))["state"] == "completed"
    assert len(sent) == 3
    assert len(set(sent)) == 1


async def test_a_device_that_cannot_be_reached_ends_the_request_in_the_open(world: World) -> None:
    request = world.estate.request()
    world.around.wire.down.add("meter_sim")
    before = await world.record()

    await world.accept(request)
    await world.parts.base.outbox.idle(deferred=True)

    told = await world.told(request)
    assert (told["state"], told["response_code"]) == ("failed", "E20")
    assert told["refused"]["check"] == "acb.device.unreachable"
    assert await world.record() == before
    (answer,) = await world.documents(SUPPLIER_B)
    assert answer.code == "E20"


async def test_an_unreachable_cos_party_is_asked_again_with_the_same_identifier(
    world: World,
) -> None:
    request = world.estate.request()
    world.around.wire.down.add("tcos_party")
    await world.accept(request)
    await world.parts.base.outbox.idle(deferred=True)

    told = await world.told(request)

    assert told["state"] == "failed"
    assert told["refused"]["check"] == "acb.cos_party.unavailable"
    assert world.meter.heard == []


async def silent(_: str, __: bytes) -> None:
    return None


async def test_a_silent_device_changes_nothing_on_record(world: World) -> None:
    request = world.estate.request()
    world.meter.hear = silent  # type: ignore[method-assign]
    before = await world.record()

    told = await world.run(request)

    assert (told["state"], told["response_code"]) == ("failed", "E11")
    assert told["refused"]["check"] == "acb.response.received"
    assert await world.record() == before
    assert await world.documents(SUPPLIER_A) == []
    heard = [purpose for purpose, _, _ in world.peers["tcos_party"].heard]
    assert heard == ["cos-command"]


async def answered_late(world: World) -> bytes:
    """Run a request whose device stays silent; its true response, which comes afterwards."""
    command: list[bytes] = []

    async def keeps(_: str, octets: bytes) -> None:
        command.append(octets)

    world.meter.hear = keeps  # type: ignore[method-assign]
    await world.run(world.estate.request())
    message = decode(command[0])
    update = decode_update(message.payload)
    outcome = outcome_for(update, world.meter.cells[DEVICE])
    return world.meter.said(DEVICE, outcome, message.header.counter, message.header.originator)


async def test_a_late_response_is_heard(world: World) -> None:
    late = await answered_late(world)

    answer = await world.hear(late)
    await world.settle()

    assert answer.status_code == 204
    told = await world.told(world.estate.request())
    assert (told["state"], told["response_code"], told["refused"]) == ("completed", "I0", None)
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B
    assert [answer.code for answer in await world.documents(SUPPLIER_B)] == ["E11", "I0"]


async def test_the_same_message_twice_has_one_effect(world: World) -> None:
    late = await answered_late(world)

    assert (await world.hear(late)).status_code == 204
    assert (await world.hear(late)).status_code == 204
    await world.settle()

    assert len(await world.documents(SUPPLIER_A)) == 1


async def test_a_forged_response_ends_nothing_and_the_true_one_still_counts(world: World) -> None:
    late = await answered_late(world)
    message = decode(late)
    other = world.estate.device_keys.signer(OTHER_DEVICE)
    forged = signed_octets(message, other.sign)
    before = await world.record()

    refused = await world.hear(forged)

    assert refused.status_code == 403
    assert refused.json()["check"] == "acb.response.signature"
    assert await world.record() == before
    assert (await world.hear(late)).status_code == 204


async def test_with_that_check_off_a_forged_response_changes_the_record(world: World) -> None:
    late = await answered_late(world)
    other = world.estate.device_keys.signer(OTHER_DEVICE)
    await world.lab.put("/lab/checks/acb.response.signature", json={"enabled": False})

    answer = await world.hear(signed_octets(decode(late), other.sign))

    assert answer.status_code == 204
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B


async def test_an_unacceptable_answer_fails_the_request_and_changes_nothing(world: World) -> None:
    request = world.estate.request()
    other = world.estate.device_keys.signer(OTHER_DEVICE)
    honest = world.meter.hear

    async def forged(eui: str, octets: bytes) -> bytes | None:
        answer = await honest(eui, octets)
        return None if answer is None else signed_octets(decode(answer), other.sign)

    world.meter.hear = forged  # type: ignore[method-assign]
    before = await world.record()

    told = await world.run(request)

    assert (told["state"], told["response_code"]) == ("failed", "E30")
    assert told["refused"]["check"] == "acb.response.signature"
    assert await world.record() == before


async def scheduled(world: World, counter: int = 1) -> bytes:
    """A change dated for the future that the device has accepted; the command it holds."""
    told = await world.run(world.estate.request(counter=counter, execution_date_time=LATER))
    assert told["state"] == "scheduled", told
    return world.meter.heard[-1]


def alert_of(world: World, command: bytes, counter: int = 1, **more: object) -> bytes:
    message = decode(command)
    update = decode_update(message.payload)
    failed = more.pop("failed", None)
    outcome = outcome_for(update, world.meter.cells[DEVICE], failed)  # type: ignore[arg-type]
    alert = alert_message(
        outcome,
        at=update.execution_date_time or "",
        counter=counter,
        **more,  # type: ignore[arg-type]
    )
    return signed_octets(alert, world.estate.device_keys.signer(DEVICE).sign)


async def test_a_dated_change_waits_for_the_devices_alert(world: World) -> None:
    before = await world.record()
    command = await scheduled(world)
    assert await world.record() == before

    answer = await world.hear(alert_of(world, command))
    await world.settle()

    assert answer.status_code == 204
    request = world.estate.request()
    told = await world.told(request)
    assert told["state"] == "completed"
    body = world.read(base64.b64decode(told["response"])).body
    assert isinstance(body, ResponseMessage)
    assert isinstance(body.content, FutureDatedAlert)
    assert body.content.alert_code == 0x8F66
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B
    assert [alert.body.alert_code for alert in await world.documents(SUPPLIER_A)] == ["N27"]
    assert [purpose for purpose, _, _ in world.peers["tcos_party"].heard] == [
        "cos-command",
        "device-response",
        "device-alert",
    ]


async def test_an_alert_of_failure_updates_only_what_succeeded(world: World) -> None:
    command = await scheduled(world)
    before = await world.record()
    alert = alert_of(
        world, command, alert_code=0x8F67, failed={CELLS[0]: StatusCode.NO_TRUST_ANCHOR}
    )

    assert (await world.hear(alert)).status_code == 204

    after = await world.record()
    assert after["cells"][CELLS[0]] == before["cells"][CELLS[0]]
    assert after["cells"][CELLS[1]]["subject"] == SUPPLIER_B
    assert await world.documents(SUPPLIER_A) == []


async def test_an_alert_about_no_command_of_ours_is_refused(world: World) -> None:
    command = await scheduled(world)
    message = decode(command)
    update = decode_update(message.payload)
    outcome = outcome_for(update, world.meter.cells[DEVICE])
    foreign = alert_message(
        type(outcome)(999, outcome.mode, outcome.changes, outcome.outcomes),
        at=update.execution_date_time or "",
        counter=1,
    )
    raw = signed_octets(foreign, world.estate.device_keys.signer(DEVICE).sign)

    answer = await world.hear(raw)

    assert answer.json()["check"] == "acb.response.command"
    assert (await world.told(world.estate.request()))["state"] == "scheduled"


async def test_an_alert_with_a_counter_already_seen_is_refused(world: World) -> None:
    first = await scheduled(world, 1)
    assert (await world.hear(alert_of(world, first, counter=7))).status_code == 204
    second = await scheduled(world, 2)

    answer = await world.hear(alert_of(world, second, counter=7))

    assert answer.json()["check"] == "acb.response.counter"


async def test_a_newer_dated_change_takes_the_place_of_the_older(world: World) -> None:
    await scheduled(world, 1)
    await scheduled(world, 2)

    told = await world.told(world.estate.request(counter=1))

    assert told["state"] == "failed"
    assert told["refused"]["check"] == "acb.schedule"


async def test_a_cancellation_is_done_when_the_device_accepts_it(world: World) -> None:
    await scheduled(world, 1)

    told = await world.run(world.estate.request(counter=2, execution_date_time=CANCEL_DATE))

    assert told["state"] == "completed"
    assert (await world.told(world.estate.request(counter=1)))["state"] == "failed"
    assert decode_update(decode(world.meter.heard[-1]).payload).other_changes is None


async def test_a_device_message_must_be_octets(world: World) -> None:
    answer = await world.interface.post("/device-messages", content=b"x")

    assert answer.status_code == 415
    assert answer.json()["check"] == "acb.message.content_type"
    await world.lab.put("/lab/checks/acb.message.content_type", json={"enabled": False})
    late = await answered_late(world)
    assert (await world.interface.post("/device-messages", content=late)).status_code == 204


async def test_noise_from_the_wan_is_refused_by_name(world: World) -> None:
    for noise in (b"", b"\xdf", b"\x00" * 300, response_message(None, counter=1).payload):
        answer = await world.hear(noise)
        assert answer.status_code == 403
        assert answer.json()["check"] in {"acb.response.received", "acb.response.decode"}
    assert TCOS not in (await world.lab.get("/lab/requests")).text
