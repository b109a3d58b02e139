"""6.17, 6.15.2 and 6.24.2: a device's own keys, commanded by its supplier, with real meters."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from duis.model import (
    CredentialType,
    Header,
    IssueSecurityCredentials,
    PreCommand,
    ResponseMessage,
    RetrieveDeviceSecurityCredentialsDevice,
    ServiceRequest,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
)
from duis.request_id import RequestId
from gbcs.codes import CertificateUpdateResult, CertificationRequestFailure, Cra
from gbcs.message import GroupingHeader, Message, decode, encode
from gbcs.payloads.device_certificates import (
    IssueResponse,
    decode_certificate_read_response,
    decode_certificate_update_response,
    decode_issue_response,
    encode_issue_response,
)
from gbcs.protect import sign
from keys.issuing.authorities import DEVICE_ISSUING, Authorities
from keys.issuing.issue import certify_request
from keys.issuing.odd_forms import OddForm, in_odd_form
from tests.unit.acb.estate import DEVICE, OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B
from tests.unit.acb.meters import Meters
from tests.unit.acb.world import World

KEY_AGREEMENT = CredentialType.KEY_AGREEMENT
SIGNING = CredentialType.DIGITAL_SIGNATURE
ISSUE = ("6.17", IssueSecurityCredentials(KEY_AGREEMENT))


def request(
    service: str, variant: int, body: Any, counter: int, user: str = SUPPLIER_A
) -> ServiceRequest:
    reference = ".".join(service.split(".")[:2])
    header = Header(RequestId(user, DEVICE, counter), variant, reference, service)
    return ServiceRequest(header, body)


async def written(world: World, asked: ServiceRequest) -> Message:
    """The Pre-Command, as the broker writes it at once."""
    answer = await world.submit(world.estate.signed(asked))
    assert "cos-check" not in answer.headers, answer.headers
    response = world.read(answer.content)
    assert isinstance(response.body, ResponseMessage)
    assert isinstance(response.body.content, PreCommand)
    return decode(response.body.content.gbcs_payload)


def signed(
    world: World, service: str, message: Message, counter: int, signer: str = SUPPLIER_A
) -> ServiceRequest:
    key = world.estate.suppliers[signer].signer("digital-signing")
    octets = encode(sign(message, key.sign))
    return request(service, 5, SignedPreCommand(octets), counter)


async def done(world: World, service: str, body: Any, counter: int) -> bytes:
    """Variant 4, signature, variant 5; the payload of the device's answer."""
    message = await written(world, request(service, 4, body, counter))
    told = await world.run(signed(world, service, message, counter + 1))
    assert (told["state"], told["response_code"]) == ("completed", "I0"), told
    answer = (await world.documents(SUPPLIER_A))[-1].body
    assert isinstance(answer, ResponseMessage)
    return decode(answer.gbcs_payload or b"").payload


@pytest.mark.parametrize(
    ("kind", "name"), [(KEY_AGREEMENT, "key-agreement"), (SIGNING, "digital-signing")]
)
async def test_a_device_renews_a_key_and_goes_on_being_understood(
    world: World, meters: Meters, kind: CredentialType, name: str
) -> None:
    asked = decode_issue_response(await done(world, ISSUE[0], IssueSecurityCredentials(kind), 1))
    assert isinstance(asked.answer, bytes)
    new = certify_request(world.estate.data, asked.answer, world.estate.now)
    before = (await world.record())["certificates"][name]

    given = await done(world, "6.15.2", UpdateSecurityCredentialsDevice(new.der), 3)

    assert decode_certificate_update_response(given).result == CertificateUpdateResult.SUCCESS
    after = (await world.record())["certificates"][name]
    assert after["fingerprint"] == new.fingerprint != before["fingerprint"]
    # The MAC and the signature of what follows are by the new key, and both sides know it.
    body = RetrieveDeviceSecurityCredentialsDevice(kind)
    shown = decode_certificate_read_response(await done(world, "6.24.2", body, 5))
    assert shown.answer == new.der


def odd(world: World, form: OddForm) -> bytes:
    """The device's own certificate, written in another form and signed so by its authority."""
    honest = base64.b64decode(world.estate.devices[DEVICE]["certificates"]["digital-signing"])
    authority = Authorities.open(world.estate.data).issuer(DEVICE_ISSUING)
    return in_odd_form(honest, form, authority.sign)


ODD_KEYS = [form for form in OddForm if form.value.startswith(("compressed", "explicit"))]

REFUSED: list[tuple[str, Callable[[World], ServiceRequest]]] = [
    ("holder", lambda _: request("6.17", 4, ISSUE[1], 1, SUPPLIER_B)),
    (
        "certificate",
        lambda w: request(
            "6.15.2",
            4,
            UpdateSecurityCredentialsDevice(
                base64.b64decode(w.estate.devices[OTHER_DEVICE]["certificates"]["digital-signing"])
            ),
            1,
        ),
    ),
    *(
        (
            "public_key",
            partial(
                lambda form, w: request(
                    "6.15.2", 4, UpdateSecurityCredentialsDevice(odd(w, form)), 1
                ),
                form,
            ),
        )
        for form in ODD_KEYS
    ),
]


@pytest.mark.parametrize(("name", "make"), REFUSED)
async def test_a_pre_command_that_is_not_written(
    world: World, name: str, make: Callable[[World], ServiceRequest]
) -> None:
    check = f"acb.device_pre_command.{name}"
    asked = make(world)
    assert (await world.submit(world.estate.signed(asked))).headers["cos-check"] == check

    world.book.turn_off(check)
    await written(world, asked)


def header_of(message: Message, **changes: Any) -> Message:
    return replace(message, header=replace(message.header, **changes))


FORGED: list[tuple[str, Callable[[World, Message], ServiceRequest], str]] = [
    (
        "decode",
        lambda w, m: signed(w, "6.17", replace(m, payload=b"\x05\x00"), 9),
        "",
    ),
    (
        "protection",
        lambda _, m: request("6.17", 5, SignedPreCommand(encode(m)), 9),
        "acb.device_signed_pre_command.signature",
    ),
    ("originator", lambda w, m: signed(w, "6.17", header_of(m, originator=SUPPLIER_B), 9), ""),
    ("recipient", lambda w, m: signed(w, "6.17", header_of(m, recipient=OTHER_DEVICE), 9), ""),
    ("message_code", lambda w, m: signed(w, "6.24.2", m, 9), "completed"),
    ("signature", lambda w, m: signed(w, "6.17", m, 9, SUPPLIER_B), ""),
]


@pytest.mark.parametrize(("name", "make", "then"), FORGED, ids=[item[0] for item in FORGED])
async def test_a_signed_command_that_gets_no_mac(
    world: World,
    meters: Meters,
    name: str,
    make: Callable[[World, Message], ServiceRequest],
    then: str,
) -> None:
    check = f"acb.device_signed_pre_command.{name}"
    message = await written(world, request("6.17", 4, ISSUE[1], 1))
    forged = make(world, message)

    assert (await world.submit(world.estate.signed(forged))).headers["cos-check"] == check
    assert meters.heard == []

    world.book.turn_off(check)
    again = await world.submit(world.estate.signed(forged))
    if then.startswith("acb.device"):
        assert again.headers["cos-check"] == then
        return
    await world.settle()
    told = await world.told(forged)
    if then == "completed":
        assert told["state"] == then
    else:  # the meter says nothing to it
        assert told["refused"]["check"] == "acb.device_answer.received"


@pytest.mark.parametrize("fault", ["received", "decode", "header", "signature"])
async def test_an_answer_that_is_not_the_devices_is_not_passed_on(world: World, fault: str) -> None:
    """And with that one check off it is (where there is anything to pass on)."""
    meter = world.meter

    async def lies(eui: str, octets: bytes) -> bytes | None:
        asked = decode(octets).header
        counter = asked.counter + (fault == "header")
        header = GroupingHeader(Cra.RESPONSE, counter, eui, asked.originator, asked.other)
        payload = encode_issue_response(IssueResponse(CertificationRequestFailure(2)))
        answer = Message(header, b"\x05\x00" if fault == "decode" else payload, signature=None)
        signer = OTHER_DEVICE if fault == "signature" else eui
        octets = encode(sign(answer, meter.estate.device_keys.signer(signer).sign))
        return None if fault == "received" else octets

    meter.hear = lies  # type: ignore[method-assign]
    message = await written(world, request("6.17", 4, ISSUE[1], 1))
    told = await world.run(signed(world, "6.17", message, 2))
    assert (told["state"], told["refused"]["check"]) == ("failed", f"acb.device_answer.{fault}")

    world.book.turn_off(f"acb.device_answer.{fault}")
    message = await written(world, request("6.17", 4, ISSUE[1], 3))
    told = await world.run(signed(world, "6.17", message, 4))
    if fault in ("header", "signature"):
        assert told["state"] == "completed"
    elif fault == "received":
        assert told["refused"]["check"] == "acb.device_answer.decode"
