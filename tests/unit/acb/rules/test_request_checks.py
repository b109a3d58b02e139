"""What a service request is refused for: by which check, in which way, and that nothing changed."""

from __future__ import annotations

import asyncio
import base64
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from respelling import oddly

from acb.model import RequestEvidence
from acb.rules.request import FORM_CHECKS, IDENTITY_CHECKS, REQUEST_CHECKS
from acb.rules.standing import STANDING_CHECKS
from acb.services.table import RULES
from acb.store import records
from duis.model import ServiceRequest
from duis.signature import sign_document
from duis.xml import request_to_xml
from services.chassis.checks import CheckBook, Refused
from services.link.opened import Opened
from services.link.wire.profile import ORDER
from tests.unit.acb.estate import DEVICE, SUPPLIER_A, SUPPLIER_B, TCOS, Estate, sign_xml
from tests.unit.acb.world import Answer, World, text


async def untouched(world: World) -> tuple[Any, ...]:
    """Everything that a refusal must leave as it was."""
    requests = (await world.lab.get("/lab/requests")).json()
    notices = (await world.lab.get("/lab/notices")).json()
    heard = [purpose for purpose, _, _ in world.peers["tcos_party"].heard]
    return requests, notices, heard, list(world.meter.heard), await world.record()


@dataclass(frozen=True)
class Case:
    """One refusal: the check, how the world is prepared, what is sent; and the twin.

    `also`: further checks that would refuse it. `succeeds`: with all of those off it goes through
    to the device; if not, there is nothing to act on, and no single check makes it so.
    """

    check: str
    send: Callable[[World], Awaitable[httpx.Response]]
    status: int = 200
    code: str | None = None
    also: tuple[str, ...] = ()
    succeeds: bool = True


async def as_json(world: World) -> httpx.Response:
    return await world.submit(world.estate.signed(world.estate.request()), "application/json")


async def not_xml(world: World) -> httpx.Response:
    return await world.submit(b"<sr:Request")


async def with_comment(world: World) -> httpx.Response:
    document = world.estate.signed(world.estate.request())
    return await world.submit(document.replace(b"<ds:Signature", b"<!-- --><ds:Signature", 1))


async def older_schema(world: World) -> httpx.Response:
    document = request_to_xml(world.estate.request())
    return await world.submit(document.replace(b'"5.4"', b'"5.1"'))


async def not_of_the_schema(world: World) -> httpx.Response:
    document = request_to_xml(world.estate.request())
    return await world.submit(document.replace(b"ImportMPxN", b"ExportMPxN"))


async def another_service(world: World) -> httpx.Response:
    document = request_to_xml(world.estate.request()).replace(b">6.23<", b">6.13<")
    return await world.submit(sign_xml(document, world.estate.suppliers[SUPPLIER_B]))


async def unsigned(world: World) -> httpx.Response:
    return await world.submit(request_to_xml(world.estate.request()))


async def by_an_unknown_certificate(world: World) -> httpx.Response:
    signer = world.estate.suppliers[SUPPLIER_B].signer("xml-signing")
    document = sign_document(
        request_to_xml(world.estate.request()), signer.certificate.issuer, 12345, signer.sign
    )
    return await world.submit(document)


async def long_expired(world: World) -> httpx.Response:
    world.parts.base.clock.step(timedelta(days=365 * 30))
    return await world.submit(world.estate.signed(world.estate.request()))


async def revoked(world: World) -> httpx.Response:
    newer = world.estate.revoking(
        world.estate.suppliers[SUPPLIER_B].certificate("xml-signing").serial
    )

    async def answer(_: Opened, __: Answer) -> Answer:
        return {"version": 1, "lists": {"organisation": text(newer)}}

    world.peers["smki_repository"].handlers["smki-revocation"] = answer
    return await world.submit(world.estate.signed(world.estate.request()))


async def by_the_gbcs_key(world: World) -> httpx.Response:
    keys = world.estate.suppliers[SUPPLIER_B]
    document = sign_xml(request_to_xml(world.estate.request()), keys, "digital-signing")
    return await world.submit(document)


async def in_anothers_name(world: World) -> httpx.Response:
    return await world.submit(world.estate.signed(world.estate.request(), signer=SUPPLIER_A))


async def changed_after_signing(world: World) -> httpx.Response:
    document = world.estate.signed(world.estate.request(supplier_floor=1000))
    return await world.submit(document.replace(b">1000<", b">1001<"))


async def honest(world: World) -> httpx.Response:
    return await world.submit(world.estate.signed(world.estate.request()))


async def from_nobody(world: World) -> httpx.Response:
    async with world.parts.base.database.begin() as conn:
        table = records.user_table
        await conn.execute(table.delete().where(table.c.eui == SUPPLIER_B))
    return await honest(world)


async def from_another_kind_of_user(world: World) -> httpx.Response:
    await world.lab.post(
        "/lab/users",
        json={"name": "B", "participant": "B", "eui": SUPPLIER_B, "roles": ["ED"]},
    )
    return await honest(world)


async def twice(world: World) -> httpx.Response:
    document = world.estate.signed(world.estate.request())
    await world.submit(document)
    await world.settle()
    return await world.submit(document)


def other_signature(document: bytes) -> bytes:
    """The same document under (r, n - s): the same words, the same key, other octets."""
    start = document.index(b"<ds:SignatureValue>") + len(b"<ds:SignatureValue>")
    end = document.index(b"</ds:SignatureValue>")
    octets = b64decode(document[start:end])
    s = ORDER - int.from_bytes(octets[32:], "big")
    value = b64encode(octets[:32] + s.to_bytes(32, "big"))
    return document[:start] + value + document[end:]


async def twice_in_two_spellings(world: World) -> httpx.Response:
    """The same request with every value written in another way, and signed again."""
    request = world.estate.request()
    await world.submit(world.estate.signed(request))
    await world.settle()
    return await world.submit(written_oddly(world, request))


def written_oddly(world: World, request: ServiceRequest) -> bytes:
    return sign_xml(oddly(request_to_xml(request)), world.estate.suppliers[SUPPLIER_B])


async def without_a_zone(world: World) -> httpx.Response:
    """For a time that may be any of a day's: the schema allows it, and it names no moment."""
    at = world.estate.now + timedelta(days=1)
    document = request_to_xml(world.estate.request(execution_date_time=at))
    assert document.count(b"Z</sr:ExecutionDateTime>") == 1
    document = document.replace(b"Z</sr:ExecutionDateTime>", b"</sr:ExecutionDateTime>")
    return await world.submit(sign_xml(document, world.estate.suppliers[SUPPLIER_B]))


async def with_a_lower_counter(world: World) -> httpx.Response:
    await world.run(world.estate.request(counter=10))
    return await world.submit(world.estate.signed(world.estate.request(counter=9)))


async def for_yesterday(world: World) -> httpx.Response:
    at = (world.estate.now - timedelta(days=1)).replace(microsecond=0)
    return await world.submit(world.estate.signed(world.estate.request(execution_date_time=at)))


async def for_half_a_second(world: World) -> httpx.Response:
    at = (world.estate.now + timedelta(days=1)).replace(microsecond=500_000)
    return await world.submit(world.estate.signed(world.estate.request(execution_date_time=at)))


async def for_no_device(world: World) -> httpx.Response:
    request = world.estate.request(device="0253494dd00000ff")
    return await world.submit(world.estate.signed(request))


def device_as(**changes: Any) -> Callable[[World], Awaitable[httpx.Response]]:
    async def send(world: World) -> httpx.Response:
        device = world.estate.devices[DEVICE]
        body = {
            "eui": DEVICE,
            "device_type": "ESME",
            "status": "Commissioned",
            "mpxns": [device["mpxn"]],
            "certificates": device["certificates"],
            "cells": device["cells"],
        }
        made = {name: make(world) if callable(make) else make for name, make in changes.items()}
        answer = await world.lab.post("/lab/devices", json=body | made)
        assert answer.status_code == 201, answer.text
        return await honest(world)

    return send


def cells_with(make: Callable[[World], bytes | None]) -> Callable[[World], dict[str, str]]:
    cell = "transitionalCoS/digitalSignature/management"

    def cells(world: World) -> dict[str, str]:
        held = dict(world.estate.devices[DEVICE]["cells"])
        der = make(world)
        if der is None:
            del held[cell]
        else:
            held[cell] = base64.b64encode(der).decode()
        return held

    return cells


def of_the_supplier(world: World) -> bytes:
    return world.estate.suppliers[SUPPLIER_A].certificate("digital-signing").der


CASES = [
    Case("request.content_type", as_json, 415),
    Case("request.wellformed", not_xml, 400, succeeds=False),
    Case("request.wellformed", with_comment, 400, succeeds=False),
    Case("request.schema_version", older_schema, 422, succeeds=False),
    Case("request.schema", not_of_the_schema, 422, succeeds=False),
    Case("request.schema", without_a_zone, 422, succeeds=False),
    Case("request.supported", another_service, 422, succeeds=False),
    Case("request.signature_form", unsigned, 403, succeeds=False),
    Case("request.certificate_known", by_an_unknown_certificate, 403, succeeds=False),
    Case(
        "request.certificate_path",
        long_expired,
        403,
        also=("request.certificate_revoked", "return.signer"),
    ),
    Case("request.certificate_revoked", revoked, 403),
    Case("request.signing_role", by_the_gbcs_key, 403),
    Case("request.originator", in_anothers_name, 403),
    Case("request.signature", changed_after_signing, 403),
    Case("user.known", from_nobody, code="E3", also=("user.role",)),
    Case("user.role", from_another_kind_of_user, code="E2"),
    Case("request.duplicate", twice, code="E13", also=("request.counter",)),
    Case("request.duplicate", twice_in_two_spellings, code="E13", also=("request.counter",)),
    Case("request.counter", with_a_lower_counter, code="E17"),
    Case("request.execution_date", for_yesterday, code="E19"),
    Case("request.execution_date", for_half_a_second, code="E19"),
    Case("device.known", for_no_device, code="E5", succeeds=False),
    Case("device.status", device_as(status="Decommissioned"), code="E5"),
    Case(
        "device.cos_party", device_as(cells=cells_with(lambda _: None)), code="E21", succeeds=False
    ),
    Case(
        "device.cos_party",
        device_as(cells=cells_with(of_the_supplier)),
        code="E21",
        succeeds=False,
    ),
]


def name_of(case: Case) -> str:
    return f"{case.check}-{getattr(case.send, '__name__', '')}"


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_a_request_is_refused_by_its_check_and_nothing_changes(
    world: World, case: Case
) -> None:
    last: list[tuple[Any, ...]] = []
    submit = world.submit

    async def watched(document: bytes, kind: str = "application/xml") -> httpx.Response:
        last.append(await untouched(world))
        return await submit(document, kind)

    world.submit = watched  # type: ignore[method-assign]

    answer = await case.send(world)
    await world.settle()

    assert answer.status_code == case.status
    assert await untouched(world) == last[-1]
    if case.status != 200:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (problem["party"], problem["check"]) == ("acb", f"acb.{case.check}")
    else:
        assert answer.headers["cos-party"] == "acb"
        assert answer.headers["cos-check"] == f"acb.{case.check}"
        assert world.read(answer.content).code == case.code


@pytest.mark.parametrize("case", CASES, ids=name_of)
async def test_with_that_check_off_the_request_goes_on(world: World, case: Case) -> None:
    for name in (case.check, *case.also):
        await world.lab.put(f"/lab/checks/acb.{name}", json={"enabled": False})
    heard = len(world.meter.heard)

    answer = await case.send(world)
    await world.settle()

    if case.succeeds:
        assert answer.status_code == 200
        assert "cos-check" not in answer.headers
        assert len(world.meter.heard) > heard
    else:
        assert answer.status_code < 500
        assert await refused_by(world, answer) not in {None, f"acb.{case.check}"}
        assert len(world.meter.heard) == heard


async def refused_by(world: World, answer: httpx.Response) -> str | None:
    """The check that refused in the end: at once, or after the request was taken."""
    if answer.headers["content-type"] == "application/problem+json":
        return str(answer.json()["check"])
    if "cos-check" in answer.headers:
        return str(answer.headers["cos-check"])
    told = await world.told(world.estate.request())
    return None if told["refused"] is None else str(told["refused"]["check"])


@pytest.mark.parametrize(
    "header",
    [{"command_variant": 4}, {"command_variant": 8}, {"service_reference": "6.21"}],
)
def test_a_variant_the_service_does_not_have(
    checks: CheckBook, estate: Estate, header: dict[str, Any]
) -> None:
    """The reader of documents refuses these already; the broker does not rely on it."""
    request = estate.request(header=header)
    evidence = RequestEvidence(None, b"", RULES, request=request)

    with pytest.raises(Refused) as refused:
        checks.start("test").apply("acb.request.command_variant", evidence)

    assert refused.value.check == "acb.request.command_variant"
    assert refused.value.code == "E12"
    checks.turn_off("acb.request.command_variant")
    checks.start("test").apply("acb.request.command_variant", evidence)


def test_every_check_has_a_case() -> None:
    covered = {f"acb.{case.check}" for case in CASES}
    covered |= {"acb.anomaly.threshold", "acb.user.open_requests", "acb.request.command_variant"}

    assert covered == {check.id for check in REQUEST_CHECKS}


def test_only_checks_made_once_the_sender_is_known_carry_a_response_code() -> None:
    assert all(check.code is None for check in FORM_CHECKS + IDENTITY_CHECKS)
    assert all(check.code is not None for check in STANDING_CHECKS)


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(world: World) -> None:
    limit = world.parts.settings.body_limit

    answer = await world.submit(b"<" * (limit + 1))

    assert answer.status_code == 413
    assert answer.json()["check"] == "acb.request.size"


async def test_a_refused_request_is_not_spent(world: World) -> None:
    """What was refused by the broker's own records may be sent again, octet for octet."""
    request = world.estate.request()
    document = world.estate.signed(request)
    answer = await from_another_kind_of_user(world)
    assert answer.headers["cos-check"] == "acb.user.role"
    refused = await world.told(request)
    await world.lab.post(
        "/lab/users", json={"name": "B", "participant": "B", "eui": SUPPLIER_B, "roles": ["IS"]}
    )

    again = await world.submit(document)
    await world.settle()

    assert refused["state"] == "refused"
    assert refused["refused"]["check"] == "acb.user.role"
    assert "cos-check" not in again.headers
    assert (await world.told(request))["state"] == "completed"


async def test_two_copies_at_the_same_moment_are_one_request(world: World) -> None:
    document = world.estate.signed(world.estate.request())

    answers = await asyncio.gather(*(world.submit(document) for _ in range(5)))
    await world.settle()

    assert sorted(answer.headers.get("cos-check", "") for answer in answers) == [
        "",
        *["acb.request.duplicate"] * 4,
    ]
    assert len(world.meter.heard) == 1
    assert [1 for purpose, _, _ in world.peers["tcos_party"].heard if purpose == "cos-command"]


async def test_a_copy_with_the_other_signature_that_verifies_is_the_same_request(
    world: World,
) -> None:
    """Anybody on the way can write it; whichever comes first, one request is acted on."""
    document = world.estate.signed(world.estate.request())
    copy = other_signature(document)
    assert copy != document

    assert (await world.submit(copy)).status_code == 200
    await world.settle()
    again = await world.submit(document)

    assert again.headers["cos-check"] == "acb.request.duplicate"
    assert len(world.meter.heard) == 1


async def test_a_request_written_in_other_ways_is_acted_on_like_any(world: World) -> None:
    """The CoS Party is handed the supplier's own octets, not the broker's words for them."""
    document = written_oddly(world, world.estate.request())

    assert (await world.submit(document)).status_code == 200
    await world.settle()

    handed = [body for purpose, _, body in world.peers["tcos_party"].heard if "command" in purpose]
    assert [body["service_request"] for body in handed] == [b64encode(document).decode()]
    assert len(world.meter.heard) == 1


async def test_an_unreachable_repository_delays_and_accepts_nothing(world: World) -> None:
    before = await untouched(world)
    world.around.wire.down.add("smki_repository")

    answer = await honest(world)

    assert answer.status_code == 503
    assert answer.json()["check"] == "acb.smki_repository.unavailable"
    assert await untouched(world) == before
    world.around.wire.down.clear()
    assert (await honest(world)).status_code == 200


async def test_what_was_fetched_before_serves_while_the_repository_is_away(world: World) -> None:
    await world.run(world.estate.request(counter=1))
    world.around.wire.down.add("smki_repository")

    told = await world.run(world.estate.request(counter=2))

    assert told["state"] == "completed"
    assert TCOS in world.estate.party_keys
