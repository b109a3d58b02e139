"""One change of supplier through the broker, and what each party gets to see of it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from duis.model import Acknowledgement, ResponseMessage
from duis.signature import sign_document
from duis.xml import request_to_xml
from gbcs.codes import StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import decode_update
from gbcs.protect import verify_mac, verify_signature
from keys.certificate import Certificate
from services.chassis.web.problems import Problem
from services.link.opened import Opened
from tests.unit.acb.estate import (
    CELLS,
    DEVICE,
    OTHER_DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    outcome_for,
    sign_xml,
)
from tests.unit.acb.world import Answer, World


async def test_a_change_of_supplier_runs_through(world: World) -> None:
    request = world.estate.request()
    before = await world.record()

    told = await world.run(request)

    assert told["state"] == "completed"
    assert told["response_code"] == "I0"
    assert told["refused"] is None
    after = await world.record()
    assert {name for name in after["cells"] if after["cells"][name] != before["cells"][name]} == {
        *CELLS
    }
    assert all(after["cells"][name]["subject"] == SUPPLIER_B for name in CELLS)


async def test_the_acknowledgement_and_the_answer_are_signed(world: World) -> None:
    request = world.estate.request()

    told = await world.run(request)

    acknowledged = world.read(base64.b64decode(told["acknowledgement"]))
    assert (acknowledged.code, acknowledged.request_id) == ("I99", request.header.request_id)
    assert isinstance(acknowledged.body, Acknowledgement | ResponseMessage)
    answer = world.read(base64.b64decode(told["response"]))
    assert answer.request_id == request.header.request_id
    assert answer.response_id == request.header.request_id.response_id
    assert isinstance(answer.body, ResponseMessage)
    payload = decode(answer.body.gbcs_payload or b"")
    assert payload.header.originator == DEVICE


async def test_the_device_gets_the_signed_command_with_the_brokers_mac(world: World) -> None:
    await world.run(world.estate.request())

    (heard,) = world.meter.heard
    message = decode(heard)
    device = Certificate.from_der(
        base64.b64decode(world.estate.devices[DEVICE]["certificates"]["key-agreement"])
    )
    secret = world.parts.mac_key.shared_secret(device)
    own = world.estate.device_keys.key_agreement(DEVICE)
    assert own.shared_secret(world.parts.mac_key.certificate) == secret
    verify_mac(message, secret)
    verify_signature(message, world.estate.cos_certificate(TCOS).public_key)
    assert (message.header.originator, message.header.recipient) == (TCOS, DEVICE)


async def test_the_cos_party_gets_the_suppliers_own_octets_and_the_devices(world: World) -> None:
    request = world.estate.request()
    document = world.estate.signed(request)

    await world.submit(document)
    await world.settle()

    (first, second) = world.peers["tcos_party"].heard
    assert first[0] == "cos-command"
    assert base64.b64decode(first[2]["service_request"]) == document
    assert second[0] == "device-response"
    assert second[2]["transaction"] == first[2]["transaction"]
    assert decode(base64.b64decode(second[2]["message"])).header.recipient == TCOS
    assert world.peers["ecos_party"].heard == []


async def test_the_device_record_chooses_the_cos_party(world: World) -> None:
    """The second home still trusts another CoS Party than the first, if the ceremony says so."""
    record = dict(world.estate.devices[DEVICE])
    ecos = world.estate.party_keys["0253494d00000005"].certificate("digital-signing")
    cell = "transitionalCoS/digitalSignature/management"
    cells = record["cells"] | {cell: base64.b64encode(ecos.der).decode()}
    await world.lab.post(
        "/lab/devices",
        json={
            "eui": DEVICE,
            "device_type": "ESME",
            "mpxns": [record["mpxn"]],
            "certificates": record["certificates"],
            "cells": cells,
        },
    )

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    assert [purpose for purpose, _, _ in world.peers["ecos_party"].heard] == [
        "cos-command",
        "device-response",
    ]
    assert world.peers["tcos_party"].heard == []


async def test_the_old_supplier_is_told_and_the_new_one_answered(world: World) -> None:
    await world.run(world.estate.request())

    (alert,) = await world.documents(SUPPLIER_A)
    assert alert.body.alert_code == "N27"
    assert alert.body.content.device.device == DEVICE
    assert alert.body.content.device.import_mpxn == world.estate.devices[DEVICE]["mpxn"]
    (answer,) = await world.documents(SUPPLIER_B)
    assert answer.code == "I0"
    assert sorted(path for path, _ in world.around.delivered) == [SUPPLIER_A, SUPPLIER_B]


async def test_nobody_is_told_when_a_supplier_renews_its_own_certificates(world: World) -> None:
    await world.run(world.estate.request(counter=1))
    await world.run(world.estate.request(counter=2))

    assert len(await world.documents(SUPPLIER_A)) == 1
    assert [answer.code for answer in await world.documents(SUPPLIER_B)] == ["I0", "I0"]


async def test_the_trace_tells_the_whole_story(world: World) -> None:
    request = world.estate.request()

    await world.run(request)

    story = [
        (entry["kind"], entry["sender"], entry["receiver"], entry["name"])
        for entry in await world.trace(request)
    ]
    assert [line for line in story if line[0] in {"received", "sent"}][:5] == [
        ("received", SUPPLIER_B, "acb", "service-request"),
        ("sent", "acb", "tcos_party", "cos-command"),
        ("received", "tcos_party", "acb", "cos-command-signed"),
        ("sent", "acb", DEVICE, "cos-command"),
        ("received", DEVICE, "acb", "cos-response"),
    ]
    messages = (await world.lab.get("/lab/messages")).json()["messages"]
    assert [item["name"] for item in messages] == [
        "cos-command-signed",
        "cos-command",
        "cos-response",
    ]
    judged = [entry for entry in await world.trace(request) if entry["verdicts"]]
    assert [len(entry["verdicts"]) for entry in judged] == [
        len(world.book.section(name)) for name in ("request", "return", "response")
    ]
    assert {v["outcome"] for entry in judged for v in entry["verdicts"]} == {"passed"}


async def test_a_refusal_of_the_cos_party_ends_the_request(world: World) -> None:
    async def refuse(_: Opened, __: Answer) -> Answer:
        raise Problem(
            403,
            "The supplier is not registered",
            "another participant supplies this meter point",
            party="tcos_party",
            check="tcos.registration.incoming_supplier",
            extra={"code": "R03"},
        )

    world.peers["tcos_party"].handlers["cos-command"] = refuse
    request = world.estate.request()
    before = await world.record()

    told = await world.run(request)

    assert told["state"] == "refused"
    assert told["refused"]["party"] == "tcos_party"
    assert told["refused"]["check"] == "tcos.registration.incoming_supplier"
    assert world.meter.heard == []
    assert await world.record() == before
    answer, alert = await world.documents(SUPPLIER_B)
    assert answer.code == told["response_code"] == "E4"
    assert alert.body.alert_code == "N26"
    assert alert.body.content.ecos_error_code == "R03"
    assert alert.body.content.request_id == request.header.request_id
    assert await world.documents(SUPPLIER_A) == []


async def test_a_wrong_command_from_the_cos_party_gets_no_mac(world: World) -> None:
    party = world.parties["tcos_party"]

    async def for_another(_: Opened, body: Answer) -> Answer:
        wrong = world.estate.request(device=OTHER_DEVICE)
        return party.answer(body["transaction"], party.signed(wrong, 101), 101)

    world.peers["tcos_party"].handlers["cos-command"] = for_another
    before = await world.record(), await world.record(OTHER_DEVICE)

    told = await world.run(world.estate.request())

    assert told["state"] == "refused"
    assert (told["refused"]["party"], told["refused"]["check"]) == ("acb", "acb.return.recipient")
    assert world.meter.heard == []
    assert (await world.record(), await world.record(OTHER_DEVICE)) == before
    requests = (await world.lab.get("/lab/requests")).json()["requests"]
    assert requests[0]["command_counter"] is None


async def test_with_that_check_off_the_wrong_command_reaches_a_device(world: World) -> None:
    party = world.parties["tcos_party"]

    async def with_other_supplier(_: Opened, body: Answer) -> Answer:
        wrong = world.estate.request(supplier=SUPPLIER_A)
        return party.answer(body["transaction"], party.signed(wrong, 101), 101)

    world.peers["tcos_party"].handlers["cos-command"] = with_other_supplier
    for check in ("acb.return.certificates", "acb.return.nothing_else"):
        await world.lab.put(f"/lab/checks/{check}", json={"enabled": False})

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    record = await world.record()
    assert all(record["cells"][name]["subject"] == SUPPLIER_A for name in CELLS)
    off = [
        verdict["check"]
        for entry in await world.trace(world.estate.request())
        for verdict in entry["verdicts"] or []
        if verdict["outcome"] == "off"
    ]
    assert off == ["acb.return.certificates", "acb.return.nothing_else"]


async def test_an_answer_about_another_transaction_is_refused(world: World) -> None:
    party = world.parties["tcos_party"]

    async def other(_: Opened, body: Answer) -> Answer:
        answer = await party.command(_, body)
        return answer | {"transaction": "another"}

    world.peers["tcos_party"].handlers["cos-command"] = other

    told = await world.run(world.estate.request())

    assert told["refused"]["check"] == "acb.return.decode"
    assert world.meter.heard == []


async def test_only_cells_that_the_device_says_succeeded_are_recorded(world: World) -> None:
    meter = world.meter
    before = await world.record()

    async def partly(eui: str, octets: bytes) -> bytes:
        message = decode(octets)
        update = decode_update(message.payload)
        outcome = outcome_for(update, meter.cells[eui], {CELLS[1]: StatusCode.NO_TRUST_ANCHOR})
        return meter.said(eui, outcome, message.header.counter, message.header.originator)

    meter.hear = partly  # type: ignore[method-assign]

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    after = await world.record()
    assert after["cells"][CELLS[0]]["subject"] == SUPPLIER_B
    assert after["cells"][CELLS[1]] == before["cells"][CELLS[1]]
    assert after["cells"][CELLS[2]]["subject"] == SUPPLIER_B


async def test_commands_for_one_device_go_one_after_the_other(world: World) -> None:
    """The second waits until the first has its answer, so that counters arrive in order."""
    first = world.estate.request(counter=1)
    second = world.estate.request(supplier=SUPPLIER_A, counter=1)
    honest = world.meter.hear
    meanwhile: list[str] = []

    async def watched(eui: str, octets: bytes) -> bytes | None:
        meanwhile.append((await world.told(second))["state"])
        return await honest(eui, octets)

    world.meter.hear = watched  # type: ignore[method-assign]
    await world.accept(first)
    await world.accept(second)

    await world.settle()

    assert meanwhile == ["accepted", "sent_to_device"]
    assert (await world.told(first))["state"] == "completed"
    assert (await world.told(second))["state"] == "completed"
    counters = [decode(octets).header.counter for octets in world.meter.heard]
    assert counters == sorted(counters)
    record = await world.record()
    assert record["cells"][CELLS[0]]["subject"] == SUPPLIER_A


async def test_a_waiting_caller_is_answered_when_the_request_settles(world: World) -> None:
    request = world.estate.request()
    await world.accept(request)
    name = request.header.request_id.text
    waiting = asyncio.create_task(
        world.interface.get(f"/service-requests/{name}", params={"wait": 30})
    )

    await world.settle()

    assert (await waiting).json()["state"] == "completed"


async def test_a_request_is_found_by_the_spelling_that_its_sender_used(world: World) -> None:
    request = world.estate.request()
    known = request.header.request_id.text
    document = request_to_xml(request).replace(known.encode(), known.lower().encode())
    answer = await world.submit(sign_xml(document, world.estate.suppliers[SUPPLIER_B]))
    assert answer.status_code == 200
    assert "cos-check" not in answer.headers
    await world.settle()
    for name in (known, known.lower()):
        told = (await world.interface.get(f"/service-requests/{name}")).json()
        assert (told["request_id"], told["state"]) == (known, "completed")


@pytest.mark.parametrize(
    "spell",
    [lambda name: name.replace(",", ", "), lambda name: ",".join(reversed(name.split(",")))],
    ids=["blank", "order"],
)
async def test_another_spelling_of_an_issuer_is_said_to_be_the_trouble(
    world: World, spell: Callable[[str], str]
) -> None:
    signer = world.estate.suppliers[SUPPLIER_B].signer("xml-signing")
    issuer = spell(signer.certificate.issuer)
    assert issuer != signer.certificate.issuer
    document = sign_document(
        request_to_xml(world.estate.request()), issuer, signer.certificate.serial, signer.sign
    )
    answer = await world.submit(document)
    assert answer.json()["check"] == "acb.request.certificate_known"
    assert "no blanks between parts" in answer.json()["detail"]


async def test_a_request_nobody_sent_is_not_found(world: World) -> None:
    answer = await world.interface.get("/service-requests/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_request_is_judged_by_the_body_that_was_signed(world: World) -> None:
    """Two requests alike but for their floors lead to two different commands."""
    low = world.estate.request(counter=1, supplier_floor=7)
    high = replace(world.estate.request(counter=2), body=world.estate.body(supplier_floor=8))

    await world.run(low)
    await world.run(high)

    assert decode(world.meter.heard[0]).payload != decode(world.meter.heard[1]).payload


async def test_an_answer_changed_on_the_way_is_not_believed_and_asked_for_again(
    world: World,
) -> None:
    """Whoever sits on the wire can delay a request, and be seen to; nothing more."""
    request = world.estate.request()
    honest = world.around.wire.hosts["tcos_party"]
    spoilt: list[str] = []

    async def spoil(incoming: httpx.Request) -> httpx.Response:
        answer = await honest.handle_async_request(incoming)
        body = await answer.aread()
        if not spoilt and incoming.url.path == "/link/cos-command":
            spoilt.append(incoming.headers["cos-message-id"])
            body = body.replace(b'"counter":101', b'"counter":102')
        stream = httpx.ByteStream(body)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)

    world.around.wire.hosts["tcos_party"] = httpx.MockTransport(spoil)
    await world.accept(request)
    await world.parts.base.outbox.idle(deferred=True)

    told = await world.told(request)
    assert told["state"] == "completed"
    refused = [entry["name"] for entry in await world.trace(request) if entry["kind"] == "refused"]
    assert refused == ["link.response.content_digest"]
    commands = [item for item in world.peers["tcos_party"].heard if item[0] == "cos-command"]
    assert {message_id for _, message_id, _ in commands} == set(spoilt)
    assert len(world.meter.heard) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda body: {},
        lambda body: body | {"version": 2},
        lambda body: body | {"more": 1},
        lambda body: body | {"signed_command": "not base64"},
        lambda body: body | {"signed_command": 7},
    ],
)
async def test_an_authentic_answer_of_another_form_is_refused(
    world: World, change: Callable[[Answer], Answer]
) -> None:
    party = world.parties["tcos_party"]

    async def other(opened: Opened, body: Answer) -> Answer:
        return change(await party.command(opened, body))

    world.peers["tcos_party"].handlers["cos-command"] = other

    told = await world.run(world.estate.request())

    assert (told["state"], told["refused"]["check"]) == ("refused", "acb.return.decode")
    assert world.meter.heard == []


async def test_a_caller_does_not_wait_for_what_nobody_sent(world: World) -> None:
    answer = await world.interface.get("/service-requests/nothing", params={"wait": 60})

    assert answer.status_code == 404
