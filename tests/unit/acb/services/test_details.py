"""6.24.1 Retrieve Device Security Credentials (KRP): asked under a MAC, answered under a MAC."""

from __future__ import annotations

from dataclasses import replace

import pytest

from duis.model import Header, RemotePartyRole, ResponseMessage, ServiceRequest
from duis.model import RetrieveDeviceSecurityCredentialsKRP as Retrieve
from duis.request_id import RequestId
from gbcs.codes import RemotePartyRole as Role
from gbcs.codes import StatusCode
from gbcs.message import decode, encode
from gbcs.payloads.details import CredentialDetails, RoleDetails, decode_details
from tests.unit.acb.estate import ACB, DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.meters import Meters
from tests.unit.acb.world import World

SUPPLIER = (RemotePartyRole.SUPPLIER,)


def retrieve(
    roles: tuple[RemotePartyRole, ...] = SUPPLIER, user: str = SUPPLIER_A, counter: int = 1
) -> ServiceRequest:
    header = Header(RequestId(user, DEVICE, counter), 1, "6.24", "6.24.1")
    return ServiceRequest(header, Retrieve(roles))


async def test_a_real_meter_tells_what_its_cells_hold(world: World, meters: Meters) -> None:
    roles = (RemotePartyRole.SUPPLIER, RemotePartyRole.TRANS_COS, RemotePartyRole.ROOT)

    told = await world.run(retrieve(roles))

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    asked = decode(meters.heard[0])
    assert (asked.message_code, asked.header.originator, asked.signature) == (0x0008, ACB, b"")
    (answer,) = await world.documents(SUPPLIER_A)
    assert isinstance(answer.body, ResponseMessage)
    details = decode_details(decode(answer.body.gbcs_payload or b"").payload)
    assert [item.role for item in details.roles] == [
        Role.SUPPLIER,
        Role.TRANSITIONAL_COS,
        Role.ROOT,
    ]
    cells = (await world.record())["cells"]
    held = {item.key_id.hex() for role in details.roles for item in role.held or ()}
    assert held >= {cells["supplier/digitalSignature/management"]["key_identifier"]}


async def test_the_load_controller_is_asked_for_by_its_own_use_case(
    world: World, meters: Meters
) -> None:
    told = await world.run(retrieve((RemotePartyRole.LOAD_CONTROLLER,)))

    assert told["state"] == "completed"
    assert decode(meters.heard[0]).message_code == 0x011B


REFUSED = [
    ("acb.details.roles", retrieve(SUPPLIER + SUPPLIER), True),
    ("acb.details.visible", retrieve(user=SUPPLIER_B), True),
]


@pytest.mark.parametrize(("check", "request_", "succeeds"), REFUSED)
async def test_who_is_refused_and_what_the_check_is_for(
    world: World, meters: Meters, check: str, request_: ServiceRequest, *, succeeds: bool
) -> None:
    answer = await world.submit(world.estate.signed(request_))
    assert answer.headers["cos-check"] == check
    assert meters.heard == []

    world.book.turn_off(check)
    assert ((await world.run(request_))["state"] == "completed") == succeeds


async def test_a_type_without_load_controller_is_not_asked_for_one(world: World) -> None:
    device = world.estate.devices[DEVICE]
    told = {name: device[name] for name in ("eui", "certificates", "cells")}
    await world.lab.post(
        "/lab/devices", json=told | {"device_type": "GSME", "mpxns": [device["mpxn"]]}
    )
    request = retrieve((RemotePartyRole.LOAD_CONTROLLER,))

    answer = await world.submit(world.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.details.load_controller"

    world.book.turn_off("acb.details.load_controller")
    await world.accept(request)


@pytest.mark.parametrize("fault", ["received", "decode", "header", "mac", "roles"])
async def test_an_answer_that_is_not_the_devices_is_not_passed_on(world: World, fault: str) -> None:
    """Each fault is refused by its own check; with that check off the answer goes through."""
    meter = world.meter

    async def lies(eui: str, octets: bytes) -> bytes | None:
        command = decode(octets)
        details = CredentialDetails(
            (RoleDetails(Role.SUPPLIER, StatusCode.TRUST_ANCHOR_NOT_FOUND),)
        )
        if fault == "received":
            return None
        if fault == "roles":
            details = CredentialDetails(
                (RoleDetails(Role.ROOT, StatusCode.TRUST_ANCHOR_NOT_FOUND),)
            )
        changes = {"counter": command.header.counter + 1} if fault == "header" else {}
        answer = meter.told(eui, command, details, **changes)
        if fault == "mac":
            message = decode(answer)
            answer = encode(replace(message, mac=bytes(12)))
        return answer + b"\x00" if fault == "decode" else answer

    meter.hear = lies  # type: ignore[method-assign]
    told = await world.run(retrieve())
    assert told["state"] == "failed"
    assert told["refused"]["check"] == f"acb.details_answer.{fault}"

    if fault in ("received", "decode"):  # nothing can be read: whatever is off, no answer is made
        return
    world.book.turn_off(f"acb.details_answer.{fault}")
    assert (await world.run(retrieve(counter=2)))["state"] == "completed"
