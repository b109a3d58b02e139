"""6.15.1 and 6.21: a party's own credentials into its own cells, with real meters."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from acb.store import requests as store
from duis.alerts import DccAlert, SecurityCredentialsUpdated
from duis.model import (
    CANCEL_DATE,
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
from gbcs.codes import CredentialsReplacementMode, KeyUsage
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import CellId, Replacement, decode_update, encode_update
from gbcs.protect import sign
from keys.certificate import Certificate
from keys.issuing import profiles
from keys.issuing.authorities import ORGANISATION_ISSUING, Authorities, years_from
from keys.roles import OrganisationRole, Usage
from keys.simulated import ORGANISATION_POLICY
from tests.unit.acb.estate import (
    ACB,
    CELLS,
    DEVICE,
    OTHER_DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    Estate,
    outcome_for,
    response_message,
)
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.world import World

KA = "supplier/keyAgreement/management"


def renewed(estate: Estate, eui: str = SUPPLIER_A, usage: Usage = Usage.KEY_AGREEMENT) -> bytes:
    """A supplier's next certificate, of a new key, honestly issued."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = Authorities.open(estate.data).issuer(ORGANISATION_ISSUING)
    return profiles.organisation(
        issuer,
        eui,
        OrganisationRole.SUPPLIER,
        usage,
        key.public_key(),
        policy=ORGANISATION_POLICY,
        validity=years_from(estate.made_at, 1),
    )


def asking(estate: Estate, user: str = SUPPLIER_A, counter: int = 1, **body: Any) -> ServiceRequest:
    header = Header(RequestId(user, DEVICE, counter), 4, "6.15", "6.15.1")
    plain = UpdateSecurityCredentialsKRP(
        remote_party_role=RemotePartyRole.SUPPLIER,
        path_certificates=(estate.issuing.der,),
        floor=counter,
        key_agreement=renewed(estate, user),
    )
    return ServiceRequest(header, replace(plain, **body))


async def pre_command(world: World, request: ServiceRequest) -> Message:
    """What the broker writes for the user, at once."""
    answer = await world.submit(world.estate.signed(request))
    assert "cos-check" not in answer.headers, answer.headers
    response = world.read(answer.content)
    assert isinstance(response.body, ResponseMessage)
    assert isinstance(response.body.content, PreCommand)
    return decode(response.body.content.gbcs_payload)


def signing(
    estate: Estate, message: Message, counter: int = 10, signer: str = SUPPLIER_A
) -> ServiceRequest:
    key = estate.suppliers[signer].signer("digital-signing")
    return sending(encode(sign(message, key.sign)), counter)


def sending(octets: bytes, counter: int = 10, user: str = SUPPLIER_A) -> ServiceRequest:
    header = Header(RequestId(user, DEVICE, counter), 5, "6.15", "6.15.1")
    return ServiceRequest(header, SignedPreCommand(octets))


async def alerts(world: World, user: str) -> list[SecurityCredentialsUpdated]:
    return [
        item.body.content
        for item in await world.documents(user)
        if isinstance(item.body, DccAlert)
        and isinstance(item.body.content, SecurityCredentialsUpdated)
    ]


async def test_a_supplier_renews_its_key_agreement_certificate(
    world: World, meters: Meters
) -> None:
    before = await meters.cells()
    request = asking(world.estate)

    written = await pre_command(world, request)

    assert written.is_pre_command
    assert written.header.originator == SUPPLIER_A
    assert (await world.told(request))["state"] == "completed"
    assert meters.heard == []
    told = await world.run(signing(world.estate, written))
    assert (told["state"], told["response_code"]) == ("completed", "I0")
    sent = decode(meters.heard[0])
    assert (sent.payload, sent.mac is not None) == (written.payload, True)
    after = await meters.cells()
    assert {name for name in after if after[name] != before[name]} == {KA}
    assert await recorded(world) == after
    (alert,) = await alerts(world, SUPPLIER_A)
    assert (alert.device, alert.remote_party_role, alert.floor) == (DEVICE, "Supplier", 1)
    assert [item.certificate_type for item in alert.certificates] == ["KeyAgreement"]
    assert await alerts(world, SUPPLIER_B) == []


async def test_the_new_signing_certificate_is_the_one_the_next_command_is_judged_by(
    world: World, meters: Meters
) -> None:
    new = renewed(world.estate, usage=Usage.DIGITAL_SIGNATURE)
    written = await pre_command(world, asking(world.estate, digital_signing=new, floor=2))
    assert (await world.run(signing(world.estate, written)))["state"] == "completed"

    late = await pre_command(world, asking(world.estate, counter=11))
    answer = await world.submit(world.estate.signed(signing(world.estate, late, 12)))

    assert answer.headers["cos-check"] == "acb.signed_pre_command.signature"


PRE_COMMAND: list[tuple[str, Callable[[Estate], ServiceRequest], bool]] = [
    ("role", lambda e: asking(e, remote_party_role=RemotePartyRole.NETWORK_OPERATOR), False),
    ("role", lambda e: asking(e, remote_party_role=RemotePartyRole.TRANS_COS), False),
    ("form", lambda e: asking(e, key_agreement=None), True),
    ("holder", lambda e: asking(e, SUPPLIER_B), True),
    ("certificates", lambda e: asking(e, key_agreement=renewed(e, SUPPLIER_B)), True),
    ("certificates", lambda e: asking(e, key_agreement=e.issuing.der), True),
]


@pytest.mark.parametrize(("name", "make", "succeeds"), PRE_COMMAND)
async def test_a_pre_command_that_is_not_written(
    world: World,
    name: str,
    make: Callable[[Estate], ServiceRequest],
    succeeds: bool,
) -> None:
    check = f"acb.pre_command.{name}"
    request = make(world.estate)

    answer = await world.submit(world.estate.signed(request))
    assert answer.headers["cos-check"] == check

    world.book.turn_off(check)
    again = await world.submit(world.estate.signed(request))
    if succeeds:
        assert "cos-check" not in again.headers
    else:  # the next check that needs what is not there
        assert again.headers["cos-check"] != check


@dataclass(frozen=True)
class Forgery:
    """A Signed Pre-Command that must not be protected, and what becomes of it without the check."""

    check: str
    make: Callable[[World, Message], ServiceRequest]
    then: str  # the state it ends in, or the next check


def changed(world: World, message: Message, **header: Any) -> ServiceRequest:
    return signing(world.estate, replace(message, header=replace(message.header, **header)))


def with_update(world: World, message: Message, **fields: Any) -> ServiceRequest:
    update = replace(decode_update(message.payload), **fields)
    return signing(world.estate, replace(message, payload=encode_update(update)))


def naming(world: World, message: Message, at: datetime) -> ServiceRequest:
    """The signed command as it is, in a request that names another date than it has."""
    request = signing(world.estate, message)
    assert isinstance(request.body, SignedPreCommand)
    return replace(request, body=replace(request.body, execution_date_time=at))


def of_role(world: World, message: Message, role: Role) -> ServiceRequest:
    """A command for another party's cells, signed and sent by the supplier as its own."""
    theirs = [c for c in world.meter.cells[DEVICE] if c.startswith(f"{role.label}/")]
    held = world.meter.cells[DEVICE]
    update = replace(
        decode_update(message.payload),
        mode=CredentialsReplacementMode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR,
        authorising_cell=CellId(role, KeyUsage.DIGITAL_SIGNATURE),
        replacements=tuple(Replacement(held[c].der, CellId.from_name(c)) for c in theirs),
    )
    header = replace(message.header, other=OtherInformation(0x0103))
    return signing(world.estate, Message(header, encode_update(update), signature=None))


def for_b(world: World, message: Message) -> tuple[Replacement, ...]:
    replacements = decode_update(message.payload).replacements
    return tuple(
        replace(item, certificate=renewed(world.estate, SUPPLIER_B)) for item in replacements
    )


FORGERIES = [
    Forgery("decode", lambda _, m: sending(encode(m)[:-1]), "acb.signed_pre_command.protection"),
    Forgery("protection", lambda _, m: sending(encode(m)), "acb.signed_pre_command.signature"),
    Forgery("originator", lambda w, m: changed(w, m, originator=SUPPLIER_B), "failed"),
    Forgery("recipient", lambda w, m: changed(w, m, recipient=OTHER_DEVICE), "failed"),
    Forgery(
        "message_code",
        lambda w, m: changed(w, m, other=OtherInformation(0x0106)),
        "acb.signed_pre_command.form",
    ),
    Forgery("form", lambda w, m: changed(w, m, counter=2), "failed"),
    Forgery(
        "execution_date",
        lambda w, m: with_update(w, m, execution_date_time="20200101000000Z"),
        "acb.signed_pre_command.certificates",
    ),
    Forgery("execution_date", lambda w, m: naming(w, m, CANCEL_DATE), "completed"),
    Forgery(
        "role",
        lambda w, m: of_role(w, m, Role.NETWORK_OPERATOR),
        "acb.signed_pre_command.holder",
    ),
    Forgery("certificates", lambda w, m: with_update(w, m, replacements=for_b(w, m)), "completed"),
    Forgery("signature", lambda w, m: signing(w.estate, m, signer=SUPPLIER_B), "failed"),
]


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda item: item.check)
async def test_a_signed_command_that_gets_no_mac(
    world: World, meters: Meters, forgery: Forgery
) -> None:
    """Who refuses, that nothing changed; and what happens with that one check off."""
    check = f"acb.signed_pre_command.{forgery.check}"
    written = await pre_command(world, asking(world.estate))
    before = (await meters.cells(), await recorded(world))
    request = forgery.make(world, written)

    answer = await world.submit(world.estate.signed(request))

    assert answer.headers["cos-check"] == check
    assert meters.heard == []
    assert (await meters.cells(), await recorded(world)) == before
    world.book.turn_off(check)
    again = await world.submit(world.estate.signed(request))
    if forgery.then.startswith("acb."):
        assert again.headers["cos-check"] == forgery.then
        return
    await world.settle()
    assert (await world.told(request))["state"] == forgery.then


async def test_a_command_that_was_sent_is_not_sent_again(world: World, meters: Meters) -> None:
    written = await pre_command(world, asking(world.estate))
    assert (await world.run(signing(world.estate, written)))["state"] == "completed"
    again = signing(world.estate, written, 11)

    answer = await world.submit(world.estate.signed(again))
    assert answer.headers["cos-check"] == "acb.signed_pre_command.counter"

    world.book.turn_off("acb.signed_pre_command.counter")
    # The meter says nothing to it; asked, it says that its cells hold what was commanded.
    assert (await world.run(again))["state"] == "completed"
    codes = [decode(octets).message_code for octets in meters.heard]
    assert codes == [0x0102, 0x0102, 0x0102, 0x0008]


async def test_who_is_no_longer_the_holder_gets_no_mac(world: World, meters: Meters) -> None:
    """Written while the device was A's; B takes over before A signs."""
    written = await pre_command(world, asking(world.estate))
    assert (await world.run(world.estate.request()))["state"] == "completed"
    request = signing(world.estate, written)

    answer = await world.submit(world.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.signed_pre_command.holder"

    world.book.turn_off("acb.signed_pre_command.holder")
    again = await world.submit(world.estate.signed(request))
    assert again.headers["cos-check"] == "acb.signed_pre_command.signature"


async def dcc_controlled(world: World, meters: Meters) -> None:
    """The device as it leaves the factory: the broker's certificates in the supplier's cells."""
    keys = world.estate.keys("acb")
    device = world.estate.devices[DEVICE]
    names = ("digital-signing", "key-agreement", "key-agreement")
    held = {
        cell: base64.b64encode(keys.certificate(name).der).decode()
        for cell, name in zip(CELLS, names, strict=True)
    }
    made = {name: device[name] for name in ("eui", "device_type", "certificates")}
    made["cells"] = device["cells"] | held
    assert (await meters.lab.delete(f"/lab/devices/{DEVICE}")).is_success
    assert (await meters.lab.post("/lab/devices", json=made)).is_success
    told = await world.lab.post("/lab/devices", json=made | {"mpxns": [device["mpxn"]]})
    assert told.is_success, told.text


def handover(estate: Estate, user: str = SUPPLIER_A, **body: Any) -> ServiceRequest:
    keys = estate.suppliers[user]
    header = Header(RequestId(user, DEVICE, 1), 1, "6.21", "6.21")
    plain = RequestHandoverOfDCCControlledDevice(
        remote_party_role=RemotePartyRole.SUPPLIER,
        digital_signing=keys.certificate("digital-signing").der,
        key_agreement=keys.certificate("key-agreement").der,
        key_agreement_top_up=keys.certificate("prepayment-key-agreement").der,
        path_certificates=(estate.issuing.der,),
        floor=1000,
        prepayment_top_up_floor=2000,
    )
    return ServiceRequest(header, replace(plain, **body))


async def test_the_broker_hands_its_own_device_over(world: World, meters: Meters) -> None:
    await dcc_controlled(world, meters)

    told = await world.run(handover(world.estate))

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    sent = decode(meters.heard[0])
    assert (sent.message_code, sent.header.originator) == (0x0102, ACB)
    assert await recorded(world) == await meters.cells()
    cells = (await world.record())["cells"]
    assert {cells[name]["subject"] for name in CELLS} == {SUPPLIER_A}
    (alert,) = await alerts(world, SUPPLIER_A)
    assert [item.certificate_type for item in alert.certificates] == [
        "DigitalSigning",
        "KeyAgreement",
        "KeyAgreementTopUp",
    ]


async def test_only_what_is_the_brokers_is_handed_over(world: World, meters: Meters) -> None:
    """A's device to B: the broker refuses; without that check its signature is not the meter's."""
    before = await meters.cells()
    request = handover(world.estate, SUPPLIER_B)

    answer = await world.submit(world.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.handover.holder"

    world.book.turn_off("acb.handover.holder")
    told = await world.run(request)
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.answer.received")
    assert await meters.cells() == before == await recorded(world)


async def test_a_device_is_handed_to_the_asker_and_nobody_else(
    world: World, meters: Meters
) -> None:
    await dcc_controlled(world, meters)
    of_another = world.estate.suppliers[SUPPLIER_B].certificate("digital-signing").der
    request = handover(world.estate, digital_signing=of_another)

    answer = await world.submit(world.estate.signed(request))
    assert answer.headers["cos-check"] == "acb.handover.certificates"

    world.book.turn_off("acb.handover.certificates")
    assert (await world.run(request))["state"] == "completed"
    assert (await world.record())["cells"][CELLS[0]]["subject"] == SUPPLIER_B


def test_a_renewed_certificate_is_the_suppliers(estate: Estate) -> None:
    assert Certificate.from_der(renewed(estate)).subject_eui == SUPPLIER_A


async def test_a_revoked_signing_certificate_gets_no_mac(world: World, meters: Meters) -> None:
    """Devices do not look at revocation: if a supplier's key is withdrawn, it ends here."""
    written = await pre_command(world, asking(world.estate))
    serial = world.estate.suppliers[SUPPLIER_A].certificate("digital-signing").serial
    newer = base64.b64encode(world.estate.revoking(serial)).decode()

    async def answer(_: object, __: dict[str, Any]) -> dict[str, Any]:
        return {"version": 1, "lists": {"organisation": newer}}

    world.peers["smki_repository"].handlers["smki-revocation"] = answer
    request = signing(world.estate, written)

    refused = await world.submit(world.estate.signed(request))
    assert refused.headers["cos-check"] == "acb.signed_pre_command.signer"
    assert meters.heard == []

    world.book.turn_off("acb.signed_pre_command.signer")
    assert (await world.run(request))["state"] == "completed"


LIES = ["received", "decode", "header", "signature", "outcome"]


@pytest.mark.parametrize("fault", LIES)
async def test_a_devices_answer_is_believed_only_if_it_is_one(world: World, fault: str) -> None:
    """What is refused changes no record; with that one check off it does (if it can be read)."""
    meter = world.meter
    other = OtherInformation(0x0102)

    async def lies(eui: str, octets: bytes) -> bytes | None:
        command = decode(octets)
        told = outcome_for(decode_update(command.payload), meter.cells[eui])
        if fault == "outcome":
            told = replace(told, authorising_counter=told.authorising_counter + 1)
        counter = command.header.counter + (fault == "header")
        answer = response_message(
            told,
            counter=counter,
            originator=eui,
            recipient=command.header.originator,
            other=other,
        )
        if fault == "decode":
            answer = replace(answer, payload=b"\x05\x00")
        signer = OTHER_DEVICE if fault == "signature" else eui
        said = encode(sign(answer, meter.estate.device_keys.signer(signer).sign))
        return None if fault == "received" else said

    meter.hear = lies  # type: ignore[method-assign]
    before = await world.record()
    # Silence alone to a command that acts at once would have it asked what it holds.
    later = world.estate.now + timedelta(days=1) if fault == "received" else None
    written = await pre_command(world, asking(world.estate, execution_date_time=later))
    told = await world.run(signing(world.estate, written, 2))
    assert (told["state"], told["refused"]["check"]) == ("failed", f"acb.answer.{fault}")
    assert await world.record() == before

    world.book.turn_off(f"acb.answer.{fault}")
    written = await pre_command(world, asking(world.estate, counter=3, execution_date_time=later))
    told = await world.run(signing(world.estate, written, 4))
    if fault in ("signature", "outcome"):
        assert told["state"] == "completed"
        assert await world.record() != before
    else:  # another check needs what is not there, or says the same
        assert told["refused"]["check"] in (
            "acb.answer.decode",
            "acb.answer.header",
            "acb.answer.outcome",
        )
        assert await world.record() == before


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("state", ["signed", "sent_to_device"])
async def test_a_broker_that_dies_before_it_sends_goes_on(
    world: World, meters: Meters, state: str
) -> None:
    written = await pre_command(world, asking(world.estate))
    request = signing(world.estate, written)
    await world.accept(request)
    change = store.change

    async def dies(*args: Any, **values: Any) -> Any:
        if values.get("state") == state:
            raise Crash
        return await change(*args, **values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "change", dies)
        with pytest.raises(BaseException):  # noqa: B017 - whatever a dying process raises
            await world.parts.base.outbox.run_due()
    assert meters.heard == []

    again = await world.restarted()
    await again.service.base.outbox.start()
    await again.settle()

    assert (await again.told(request))["state"] == "completed"
    assert len(meters.heard) == 1
    assert await recorded(again) == await meters.cells()
    await again.stop()
