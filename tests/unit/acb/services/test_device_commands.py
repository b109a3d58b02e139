"""6.17, 6.15.2 and 6.24.2, variant 5: the checks for which the device or its record must change."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from duis.model import ServiceRequest, SignedPreCommand, UpdateSecurityCredentialsDevice
from gbcs.codes import CertificateUpdateResult
from gbcs.message import Message, decode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    decode_certificate_update_response,
    encode_certificate_update,
)
from keys.issuing.odd_forms import OddForm
from tests.unit.acb.estate import DEVICE, OTHER_DEVICE, SUPPLIER_A
from tests.unit.acb.meters import Meters
from tests.unit.acb.services.test_device_credentials import (
    ISSUE,
    ODD_KEYS,
    odd,
    request,
    signed,
    written,
)
from tests.unit.acb.world import World

SECTION = "acb.device_signed_pre_command"


async def issuing(world: World, counter: int = 1) -> Message:
    """A command of 6.17, as the broker writes it for supplier A."""
    return await written(world, request(ISSUE[0], 4, ISSUE[1], counter))


async def refused(world: World, asked: ServiceRequest) -> str | None:
    return (await world.submit(world.estate.signed(asked))).headers.get("cos-check")


async def test_a_command_that_was_sent_is_not_sent_again(world: World, meters: Meters) -> None:
    """Without the check the meter says nothing to it."""
    message = await issuing(world)
    assert (await world.run(signed(world, "6.17", message, 2)))["state"] == "completed"
    again = signed(world, "6.17", message, 3)

    assert await refused(world, again) == f"{SECTION}.counter"
    assert len(meters.heard) == 1

    world.book.turn_off(f"{SECTION}.counter")
    told = await world.run(again)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.device_answer.received")


async def test_no_date_is_kept_for_a_devices_own_keys(world: World, meters: Meters) -> None:
    """No such command can carry one. Without the check it would be done at once."""
    asked = signed(world, "6.17", await issuing(world), 2)
    assert isinstance(asked.body, SignedPreCommand)
    later = world.estate.now + timedelta(days=1)
    dated = replace(asked, body=replace(asked.body, execution_date_time=later))

    assert await refused(world, dated) == f"{SECTION}.immediate"
    assert meters.heard == []

    world.book.turn_off(f"{SECTION}.immediate")
    assert (await world.run(dated))["state"] == "completed"


async def test_who_is_no_longer_the_holder_gets_no_mac(world: World, meters: Meters) -> None:
    """Written while the device was A's; B takes over before A signs. Then the signature is not."""
    message = await issuing(world)
    assert (await world.run(world.estate.request()))["state"] == "completed"
    asked = signed(world, "6.17", message, 2)

    assert await refused(world, asked) == f"{SECTION}.holder"

    world.book.turn_off(f"{SECTION}.holder")
    assert await refused(world, asked) == f"{SECTION}.signature"


def own(world: World, device: str) -> bytes:
    """A certificate of a device, as the ceremony issued it."""
    return base64.b64decode(world.estate.devices[device]["certificates"]["key-agreement"])


async def test_a_certificate_of_another_device_is_not_sent(world: World, meters: Meters) -> None:
    """Without the check the meter itself says whose it is not, and the record stays."""
    body = UpdateSecurityCredentialsDevice(own(world, DEVICE))
    message = await written(world, request("6.15.2", 4, body, 1))
    wrong = encode_certificate_update(CertificateUpdate(own(world, OTHER_DEVICE)))
    asked = signed(world, "6.15.2", replace(message, payload=wrong), 2)
    before = await world.record()

    assert await refused(world, asked) == f"{SECTION}.certificate"
    assert meters.heard == []

    world.book.turn_off(f"{SECTION}.certificate")
    assert (await world.run(asked))["state"] == "completed"
    said: Any = (await world.documents(SUPPLIER_A))[-1].body
    answer = decode_certificate_update_response(decode(said.gbcs_payload).payload)
    assert answer.result == CertificateUpdateResult.WRONG_DEVICE_IDENTITY
    assert await world.record() == before


@pytest.mark.parametrize("form", ODD_KEYS)
async def test_a_key_that_is_written_otherwise_is_not_sent(
    world: World, meters: Meters, form: OddForm
) -> None:
    """Without the check it is for the meter to refuse it, and the record stays."""
    body = UpdateSecurityCredentialsDevice(own(world, DEVICE))
    message = await written(world, request("6.15.2", 4, body, 1))
    otherwise = encode_certificate_update(CertificateUpdate(odd(world, form)))
    asked = signed(world, "6.15.2", replace(message, payload=otherwise), 2)
    before = await world.record()

    assert await refused(world, asked) == f"{SECTION}.public_key"
    assert meters.heard == []
    assert await world.record() == before

    world.book.turn_off(f"{SECTION}.public_key")
    assert (await world.run(asked))["state"] == "completed"
    said: Any = (await world.documents(SUPPLIER_A))[-1].body
    answer = decode_certificate_update_response(decode(said.gbcs_payload).payload)
    assert answer.result != CertificateUpdateResult.SUCCESS
    assert await world.record() == before


async def test_a_revoked_signing_certificate_gets_no_mac(world: World, meters: Meters) -> None:
    """Devices do not look at revocation: if a supplier's key is withdrawn, it ends here."""
    asked = signed(world, "6.17", await issuing(world), 2)
    serial = world.estate.suppliers[SUPPLIER_A].certificate("digital-signing").serial
    newer = base64.b64encode(world.estate.revoking(serial)).decode()

    async def answer(_: object, __: dict[str, Any]) -> dict[str, Any]:
        return {"version": 1, "lists": {"organisation": newer}}

    world.peers["smki_repository"].handlers["smki-revocation"] = answer

    assert await refused(world, asked) == f"{SECTION}.signer"
    assert meters.heard == []

    world.book.turn_off(f"{SECTION}.signer")
    assert (await world.run(asked))["state"] == "completed"
