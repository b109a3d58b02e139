"""The other services when a device's answer is lost, or comes late."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from duis.model import (
    CANCEL_DATE,
    CredentialType,
    ServiceRequest,
    UpdateSecurityCredentialsDevice,
)
from gbcs.codes import CertificateUpdateResult, Cra, MessageCode, RemotePartyRole, StatusCode
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import decode_update
from gbcs.payloads.details import CredentialDetails, RoleDetails
from gbcs.payloads.device_certificates import (
    CertificateUpdateResponse,
    decode_issue_response,
    encode_certificate_update_response,
)
from gbcs.protect import sign
from keys.certificate import Certificate
from keys.issuing.issue import certify_request
from tests.unit.acb.estate import (
    ACB,
    CELLS,
    DEVICE,
    OTHER_DEVICE,
    SUPPLIER_A,
    outcome_for,
    response_message,
)
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.services import test_device_credentials as own
from tests.unit.acb.services.test_credentials import (
    KA,
    alerts,
    asking,
    dcc_controlled,
    handover,
    pre_command,
    signing,
)
from tests.unit.acb.services.test_details import retrieve
from tests.unit.acb.world import World

KRP = OtherInformation(MessageCode.SUPPLIER_BY_SUPPLIER)


async def losing(meters: Meters, **losses: int) -> None:
    assert (await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=losses)).is_success


def codes(meters: Meters) -> list[int]:
    return [decode(octets).message_code for octets in meters.heard]


@pytest.mark.parametrize(
    ("losses", "heard"),
    [
        pytest.param({"lose_messages": 1}, [0x0102, 0x0102], marks=pytest.mark.check),
        ({"lose_answers": 1}, [0x0102, 0x0102, 0x0008]),
        pytest.param(
            {"lose_answers": 2}, [0x0102, 0x0102, 0x0008, 0x0008], marks=pytest.mark.check
        ),
    ],
)
async def test_a_renewal_is_settled_by_what_the_cells_hold(
    world: World, meters: Meters, losses: dict[str, int], heard: list[int]
) -> None:
    written = await pre_command(world, asking(world.estate))
    await losing(meters, **losses)

    told = await world.run(signing(world.estate, written))

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    assert codes(meters) == heard
    assert await recorded(world) == await meters.cells()
    assert len(await alerts(world, SUPPLIER_A)) == 1


@pytest.mark.check
async def test_a_handover_is_settled_by_what_the_cells_hold(world: World, meters: Meters) -> None:
    await dcc_controlled(world, meters)
    await losing(meters, lose_answers=1)

    told = await world.run(handover(world.estate))

    assert told["state"] == "completed"
    assert codes(meters) == [0x0102, 0x0102, 0x0008]
    assert await recorded(world) == await meters.cells()
    cells = (await world.record())["cells"]
    assert {cells[name]["subject"] for name in CELLS} == {SUPPLIER_A}


async def test_a_question_is_asked_again_and_not_sent_again(world: World, meters: Meters) -> None:
    await losing(meters, lose_answers=1)

    told = await world.run(retrieve())

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    asked = [decode(octets).header for octets in meters.heard]
    assert [item.counter for item in asked] == [1, 2]
    assert {item.originator for item in asked} == {ACB}


class Silent:
    """A device that hears everything and says nothing, on which a test can then speak for it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.heard: list[bytes] = []
        world.meter.hear = self.hear  # type: ignore[method-assign]

    async def hear(self, eui: str, octets: bytes) -> bytes | None:
        del eui
        self.heard.append(octets)
        return None

    def says(self, message: Message, signer: str = DEVICE) -> bytes:
        key = self.world.estate.device_keys.signer(signer)
        return encode(sign(message, key.sign))

    def done(self, command: Message, signer: str = DEVICE) -> bytes:
        """The response to a renewal, that it did what was commanded."""
        outcome = outcome_for(decode_update(command.payload), self.world.meter.cells[DEVICE])
        answer = response_message(
            outcome, counter=command.header.counter, recipient=SUPPLIER_A, other=KRP
        )
        return self.says(answer, signer)


async def test_a_late_response_still_counts(world: World) -> None:
    """And only if it is the device's: the check, and what it is for."""
    device = Silent(world)
    written = await pre_command(world, asking(world.estate))
    request = signing(world.estate, written)
    told = await world.run(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.answer.received")
    before = await world.record()
    forged = device.done(written, OTHER_DEVICE)

    answer = await world.hear(forged)
    assert answer.json()["check"] == "acb.answer.signature"
    assert await world.record() == before
    assert (await world.told(request)) == told

    assert (await world.hear(device.done(written))).status_code == 204
    told = await world.told(request)
    assert (told["state"], told["response_code"], told["refused"]) == ("completed", "I0", None)
    new = Certificate.from_der(decode_update(written.payload).replacements[0].certificate)
    assert (await world.record())["cells"][KA]["fingerprint"] == new.fingerprint
    assert len(await alerts(world, SUPPLIER_A)) == 1


@pytest.mark.check
async def test_without_the_check_a_forged_late_response_counts_too(world: World) -> None:
    device = Silent(world)
    written = await pre_command(world, asking(world.estate))
    request = signing(world.estate, written)
    await world.run(request)
    world.book.turn_off("acb.answer.signature")

    assert (await world.hear(device.done(written, OTHER_DEVICE))).status_code == 204

    assert (await world.told(request))["state"] == "completed"


@pytest.mark.check
async def test_a_late_response_does_not_undo_what_came_after(world: World) -> None:
    """The device did both, in order; the record must say what the second one put there."""
    device = Silent(world)
    first = await pre_command(world, asking(world.estate))
    await world.run(signing(world.estate, first))
    second = await pre_command(world, asking(world.estate, counter=20))
    assert (await world.run(signing(world.estate, second, 21)))["state"] == "failed"
    assert (await world.hear(device.done(second))).is_success
    held = await world.record()

    assert (await world.hear(device.done(first))).is_success

    assert await world.record() == held
    assert (await world.told(signing(world.estate, first)))["state"] == "completed"


@pytest.mark.check
async def test_a_response_that_was_heard_in_time_is_not_heard_again(world: World) -> None:
    """Nor an answer to what nobody asked: as before, there is no such command."""
    device = Silent(world)
    written = await pre_command(world, asking(world.estate))
    await world.run(signing(world.estate, written))
    said = device.done(written)
    assert (await world.hear(said)).status_code == 204
    assert (await world.hear(said)).status_code == 204  # the same octets: taken, without effect
    assert len(await alerts(world, SUPPLIER_A)) == 1

    again = await world.hear(device.done(written))  # signed anew: other octets

    assert again.json()["party"] == "acb"
    assert again.status_code == 403
    assert len(await alerts(world, SUPPLIER_A)) == 1


@pytest.mark.check
async def test_a_late_answer_to_a_question(world: World) -> None:
    """Of the questions that were asked, the last one counts: MAC, counter and all."""
    device = Silent(world)
    assert (await world.run(retrieve()))["refused"]["check"] == "acb.details_answer.received"
    details = CredentialDetails(
        (RoleDetails(RemotePartyRole.SUPPLIER, StatusCode.TRUST_ANCHOR_NOT_FOUND),)
    )
    first, last = (decode(octets) for octets in device.heard)

    assert not (await world.hear(world.meter.told(DEVICE, first, details))).is_success
    assert (await world.hear(world.meter.told(DEVICE, last, details))).status_code == 204

    assert (await world.told(retrieve()))["state"] == "completed"


async def test_a_late_word_about_its_own_certificate_puts_the_record_right(
    world: World, meters: Meters
) -> None:
    """6.15.2, answer lost: the request fails, and the device already uses its new key."""
    asked = decode_issue_response(await own.done(world, *own.ISSUE, 1))
    assert isinstance(asked.answer, bytes)
    new = certify_request(world.estate.data, asked.answer, world.estate.now)
    body = UpdateSecurityCredentialsDevice(new.der)
    message = await own.written(world, own.request("6.15.2", 4, body, 3))
    await losing(meters, lose_answers=2)
    request = own.signed(world, "6.15.2", message, 4)
    told = await world.run(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.device_answer.received")
    assert codes(meters)[-2:] == [0x000B, 0x000B]

    assert (await world.hear(word(world, message))).status_code == 204

    assert (await world.told(request))["state"] == "completed"
    held = (await world.record())["certificates"]["key-agreement"]
    assert held["fingerprint"] == new.fingerprint
    assert (await world.run(retrieve(counter=9)))["state"] == "completed"  # by the new key


def word(world: World, command: Message) -> bytes:
    """That it uses the new certificate, in the device's own words."""
    asked = command.header
    header = GroupingHeader(
        Cra.RESPONSE,
        asked.counter,
        DEVICE,
        asked.originator,
        asked.other,
    )
    payload = encode_certificate_update_response(
        CertificateUpdateResponse(CertificateUpdateResult.SUCCESS)
    )
    answer = Message(header, payload, signature=None)
    return encode(sign(answer, world.estate.device_keys.signer(DEVICE).sign))


@pytest.mark.check
@pytest.mark.parametrize("service", ["6.17", "6.24.2"])
async def test_what_only_the_supplier_could_ask_again_fails(
    world: World, meters: Meters, service: str
) -> None:
    """Asked anew by the supplier it is done."""
    body: Any = own.ISSUE[1]
    if service == "6.24.2":
        body = own.RetrieveDeviceSecurityCredentialsDevice(CredentialType.KEY_AGREEMENT)
    message = await own.written(world, own.request(service, 4, body, 1))
    await losing(meters, lose_answers=1)

    told = await world.run(own.signed(world, service, message, 2))

    assert (told["state"], told["response_code"]) == ("failed", "E11")
    assert len(meters.heard) == 2
    assert await own.done(world, service, body, 3)


async def test_an_acceptance_said_again_does_not_bring_back_what_was_withdrawn(
    world: World,
) -> None:
    """A change of supplier for a day to come, withdrawn; then its acceptance comes once more."""
    hear, said = world.meter.hear, list[bytes]()

    async def noted(eui: str, octets: bytes) -> bytes | None:
        answer = await hear(eui, octets)
        said.append(answer or b"")
        return answer

    world.meter.hear = noted  # type: ignore[method-assign]
    later = world.estate.now + timedelta(days=10)
    request = world.estate.request(execution_date_time=later)
    assert (await world.run(request))["state"] == "scheduled"
    withdrawal = world.estate.request(counter=2, execution_date_time=CANCEL_DATE)
    assert (await world.run(withdrawal))["state"] == "completed"
    told = await world.told(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.schedule")

    assert (await world.hear(said[0])).status_code == 403

    assert await world.told(request) == told


@pytest.mark.check
async def test_giving_up_does_not_undo_what_came_meanwhile(world: World) -> None:
    """The WAN answers nothing, time after time; as the broker gives up, the acceptance arrives."""
    later = world.estate.now + timedelta(days=10)
    written = await pre_command(world, asking(world.estate, execution_date_time=later))
    request, attempts = signing(world.estate, written), list[bytes]()
    key = world.estate.device_keys.signer(DEVICE)
    accepted = response_message(
        None, counter=written.header.counter, recipient=SUPPLIER_A, other=KRP
    )

    async def unreachable(_: str, octets: bytes) -> bytes | None:
        attempts.append(octets)
        if len(attempts) == world.parts.settings.delivery_attempts:
            assert (await world.hear(encode(sign(accepted, key.sign)))).status_code == 204
        raise httpx.ReadTimeout("no answer")

    world.meter.hear = unreachable  # type: ignore[method-assign]
    await world.accept(request)
    await world.parts.base.outbox.idle(deferred=True)

    assert len(attempts) == world.parts.settings.delivery_attempts
    assert (await world.told(request))["state"] == "scheduled"


@pytest.mark.check
async def test_a_late_acceptance_does_not_take_the_place_of_a_newer_command(world: World) -> None:
    """The device keeps the command it heard last, whichever acceptance arrives last."""
    device, key = Silent(world), world.estate.device_keys.signer(DEVICE)
    later = world.estate.now + timedelta(days=10)

    async def accepted(counter: int) -> tuple[ServiceRequest, bytes]:
        asked = asking(world.estate, counter=counter, execution_date_time=later)
        written = await pre_command(world, asked)
        request = signing(world.estate, written, counter + 1)
        assert (await world.run(request))["state"] == "failed"
        said = response_message(None, counter=counter, recipient=SUPPLIER_A, other=KRP)
        return request, encode(sign(said, key.sign))

    (old, first), (new, second) = await accepted(1), await accepted(3)
    assert device.heard
    for said in (second, first):
        assert (await world.hear(said)).status_code == 204

    assert (await world.told(new))["state"] == "scheduled"
    told = await world.told(old)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.schedule")
