"""Mode 3, network operator by network operator: 6.15.1 and 6.21 of a user that supplies nobody."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from duis.model import (
    Header,
    PreCommand,
    RemotePartyRole,
    RequestHandoverOfDCCControlledDevice,
    ResponseMessage,
    ServiceRequest,
    SignedPreCommand,
    UpdateSecurityCredentialsKRP,
)
from duis.request_id import RequestId
from duis.signature import sign_document
from duis.xml import request_to_xml
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import decode_update
from gbcs.protect import sign
from keys.certificate import Certificate
from keys.issuing.authorities import Authorities, years_from
from keys.roles import OrganisationRole, Usage
from keys.stores.private import HeldSigner
from tests.unit.acb.estate import DEVICE, Estate
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.world import World

EUI = "0253494d40000000"
SIGNING = "networkOperator/digitalSignature/management"
AGREEMENT = "networkOperator/keyAgreement/management"
ROLE = RemotePartyRole.NETWORK_OPERATOR


@dataclass
class Operator:
    """The network operator of the estate, as a user of the broker's interface."""

    world: World
    certificate: Certificate
    key: HeldSigner

    @property
    def estate(self) -> Estate:
        return self.world.estate

    def signed(self, request: ServiceRequest) -> bytes:
        issuer, serial = self.certificate.issuer, self.certificate.serial
        return sign_document(request_to_xml(request), issuer, serial, self.key.sign)

    def issued(self, role: OrganisationRole, usage: Usage, key: Any = None) -> Certificate:
        return Authorities.open(self.estate.data).organisation(
            EUI,
            role,
            usage,
            (key or ec.generate_private_key(ec.SECP256R1())).public_key(),
            validity=years_from(self.estate.made_at, 1),
        )

    def renewed(self) -> bytes:
        """Its next key agreement certificate."""
        return self.issued(OrganisationRole.NETWORK_OPERATOR, Usage.KEY_AGREEMENT).der

    def asking(self, counter: int = 1, **body: Any) -> ServiceRequest:
        plain = UpdateSecurityCredentialsKRP(
            ROLE, (self.estate.issuing.der,), key_agreement=self.renewed()
        )
        return ServiceRequest(self.header(4, counter), replace(plain, **body))

    def header(self, variant: int, counter: int) -> Header:
        return Header(RequestId(EUI, DEVICE, counter), variant, "6.15", "6.15.1")

    def sending(self, written: Message) -> ServiceRequest:
        key = self.estate.keys("organisations", "network-operator").signer("digital-signing")
        body = SignedPreCommand(encode(sign(written, key.sign)))
        return ServiceRequest(self.header(5, 2), body)

    def handover(self, counter: int = 1, **body: Any) -> ServiceRequest:
        keys = self.estate.keys("organisations", "network-operator")
        header = Header(RequestId(EUI, DEVICE, counter), 1, "6.21", "6.21")
        plain = RequestHandoverOfDCCControlledDevice(
            ROLE,
            keys.certificate("digital-signing").der,
            (self.estate.issuing.der,),
            key_agreement=keys.certificate("key-agreement").der,
        )
        return ServiceRequest(header, replace(plain, **body))

    async def is_user(self, *roles: str) -> None:
        told = {"name": "NO", "participant": "NETO", "eui": EUI, "roles": list(roles)}
        assert (await self.world.lab.post("/lab/users", json=told)).is_success

    async def refused(self, request: ServiceRequest) -> str | None:
        answer = await self.world.submit(self.signed(request))
        return answer.headers.get("cos-check")

    async def written(self, request: ServiceRequest) -> Message:
        answer = await self.world.submit(self.signed(request))
        assert "cos-check" not in answer.headers, answer.headers
        body = self.world.read(answer.content).body
        assert isinstance(body, ResponseMessage)
        assert isinstance(body.content, PreCommand)
        return decode(body.content.gbcs_payload)

    async def run(self, request: ServiceRequest) -> dict[str, Any]:
        assert await self.refused(request) is None
        await self.world.settle()
        return await self.world.told(request)


@pytest.fixture
async def operator(world: World) -> Operator:
    """With a key to sign documents by, which the ceremony gives to suppliers alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    operator = Operator(world, world.estate.issuing, HeldSigner(key))
    made = operator.issued(OrganisationRole.XML_SIGNING, Usage.DIGITAL_SIGNATURE, key)
    operator.certificate = made
    handlers = world.peers["smki_repository"].handlers
    others = handlers["smki-certificates"]

    async def with_it(opened: Any, body: dict[str, Any]) -> dict[str, Any]:
        if (body.get("issuer"), body.get("serial")) == (made.issuer, str(made.serial)):
            return {"version": 1, "certificates": [base64.b64encode(made.der).decode()]}
        return await others(opened, body)

    handlers["smki-certificates"] = with_it
    await operator.is_user("ED")
    return operator


async def test_a_network_operator_renews_its_own_certificate(
    operator: Operator, meters: Meters
) -> None:
    world, before = operator.world, await meters.cells()

    told = await operator.run(operator.sending(await operator.written(operator.asking())))

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    sent = decode(meters.heard[0])
    assert (sent.message_code, sent.header.originator) == (0x0103, EUI)
    after = await meters.cells()
    assert {name for name in after if after[name] != before[name]} == {AGREEMENT}
    assert await recorded(world) == after


@pytest.mark.check
async def test_its_cells_are_what_is_read_back(operator: Operator, meters: Meters) -> None:
    """Its answer was lost: the device is asked for the network operator's cells, not others'."""
    written = await operator.written(operator.asking())
    assert (await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json={"lose_answers": 1})).is_success

    told = await operator.run(operator.sending(written))

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    codes = [decode(octets).message_code for octets in meters.heard]
    assert codes == [0x0103, 0x0103, 0x0008]
    assert await recorded(operator.world) == await meters.cells()


async def test_who_is_no_network_operator_replaces_no_network_operator(
    operator: Operator, meters: Meters
) -> None:
    """Its own device and its own key, but registered as a supplier only: the role is not its own.

    With the check off the meter does it: no meter knows who is registered as what.
    """
    request = operator.sending(await operator.written(operator.asking()))
    await operator.is_user("IS")

    assert await operator.refused(operator.asking(2)) == "acb.pre_command.role"
    assert await operator.refused(request) == "acb.signed_pre_command.role"
    assert meters.heard == []

    operator.world.book.turn_off("acb.pre_command.role")
    await operator.written(operator.asking(3))
    operator.world.book.turn_off("acb.signed_pre_command.role")
    assert (await operator.run(replace(request, header=operator.header(5, 4))))[
        "state"
    ] == "completed"


@pytest.fixture
async def dcc_controlled(operator: Operator, meters: Meters) -> None:
    """The device as it leaves the factory: the broker's certificates in the operator's cells."""
    world, keys = operator.world, operator.estate.keys("acb")
    device = world.estate.devices[DEVICE]
    held = {
        cell: base64.b64encode(keys.certificate(name).der).decode()
        for cell, name in ((SIGNING, "digital-signing"), (AGREEMENT, "key-agreement"))
    }
    made = {name: device[name] for name in ("eui", "device_type", "certificates")}
    made["cells"] = device["cells"] | held
    assert (await meters.lab.delete(f"/lab/devices/{DEVICE}")).is_success
    assert (await meters.lab.post("/lab/devices", json=made)).is_success
    told = await world.lab.post("/lab/devices", json=made | {"mpxns": [device["mpxn"]]})
    assert told.is_success, told.text


@pytest.mark.check
async def test_the_broker_hands_a_network_operators_cells_over(
    operator: Operator, meters: Meters, dcc_controlled: None
) -> None:
    told = await operator.run(operator.handover())

    assert told["state"] == "completed"
    assert decode(meters.heard[0]).message_code == 0x0103
    assert await recorded(operator.world) == await meters.cells()
    cells = (await operator.world.record())["cells"]
    assert {cells[name]["subject"] for name in (SIGNING, AGREEMENT)} == {EUI}


@pytest.mark.check
async def test_a_role_the_user_has_not_is_not_handed_over(
    operator: Operator, meters: Meters, dcc_controlled: None
) -> None:
    """Nor is the role of somebody whose credentials this service does not replace."""
    await operator.is_user("IS")
    other = operator.handover(remote_party_role=RemotePartyRole.TRANS_COS)
    assert await operator.refused(other) == "acb.handover.role"
    assert await operator.refused(operator.handover()) == "acb.handover.role"
    assert meters.heard == []

    operator.world.book.turn_off("acb.handover.role")
    assert (await operator.run(operator.handover()))["state"] == "completed"


@pytest.mark.check
async def test_a_handover_the_standard_does_not_have(
    operator: Operator, meters: Meters, dcc_controlled: None
) -> None:
    """A network operator has no counter for top-ups. Without the check the meter is told one.

    And refuses it too: both checks must be off for it to be done.
    """
    request = operator.handover(floor=1, prepayment_top_up_floor=1)

    assert await operator.refused(request) == "acb.handover.form"
    assert meters.heard == []

    operator.world.book.turn_off("acb.handover.form")
    told = await operator.run(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.answer.received")
    update = decode_update(decode(meters.heard[0]).payload)
    assert update.new_specialist_floors is not None
    off = await meters.lab.put("/lab/checks/meter.floors", json={"enabled": False})
    assert off.is_success, off.text
    again = operator.handover(counter=2, floor=1, prepayment_top_up_floor=1)
    assert (await operator.run(again))["state"] == "completed"
