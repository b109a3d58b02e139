"""Security alerts of devices: judged by name, passed on to the responsible user, or dropped."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from acb.model import DeviceRecord
from acb.rules.device_alert import DEVICE_ALERT_CHECKS, MOST_AN_HOUR, SECTION, read_device_alert
from duis.model import DeviceAlert, Response
from duis.request_id import RequestId
from gbcs.codes import AlertCode, Cra
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.alerts import GenericAlert, encode_generic_alert
from gbcs.protect import add_mac, sign
from keys.certificate import Certificate
from services.chassis.checks import CheckBook, Refused
from tests.unit.acb.estate import (
    ACB,
    DEVICE,
    ECOS,
    OTHER_DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Estate,
)
from tests.unit.acb.meters import Meters
from tests.unit.acb.world import World

CRITICAL = 0x1000
SUPPLIER_CELL = "supplier/digitalSignature/management"


def alert(
    estate: Estate,
    code: int = AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE,
    counter: int = 7,
    *,
    signer: str = DEVICE,
    payload: bytes | None = None,
    mac: bool = False,
    **header: Any,
) -> bytes:
    plain = GroupingHeader(Cra.ALERT, counter, DEVICE, SUPPLIER_A, OtherInformation(CRITICAL))
    told = payload
    if told is None:
        told = encode_generic_alert(GenericAlert.at(code, estate.now, counter))
    message = Message(replace(plain, **header), told, signature=None)
    signed = sign(message, estate.device_keys.signer(signer).sign)
    return encode(add_mac(signed, bytes(32)) if mac else signed)


async def inventory(world: World, **changes: Any) -> None:
    """Provision the device as the ceremony has it, but for these."""
    device = world.estate.devices[DEVICE]
    plain = {name: device[name] for name in ("eui", "device_type", "certificates", "cells")}
    answer = await world.lab.post(
        "/lab/devices", json={**plain, "mpxns": [device["mpxn"]], **changes}
    )
    assert answer.status_code == 201, answer.text


async def alerts(world: World, user: str) -> list[Response]:
    found = await world.documents(user)
    return [one for one in found if isinstance(one.body, DeviceAlert)]


def held(estate: Estate, where: str) -> str:
    return base64.b64encode(estate.keys(where).certificate("digital-signing").der).decode()


async def test_an_alert_is_passed_on_signed_to_the_supplier(world: World) -> None:
    await world.lab.put(
        f"/lab/users/{SUPPLIER_A}/callback", json={"callback_url": "http://users/A"}
    )
    before, raw = await world.record(), alert(world.estate)

    answer = await world.hear(raw)
    await world.settle()

    assert answer.status_code == 204
    (told,) = await alerts(world, SUPPLIER_A)
    assert told.body == DeviceAlert(0x8F3D, raw)
    assert (told.request_id, told.code) == (None, "I0")
    assert told.response_id == RequestId(DEVICE, SUPPLIER_A, 7)
    (delivered,) = world.around.delivered
    assert delivered[0] == "A"
    assert world.read(delivered[1]) == told
    assert await world.record() == before
    reference = f"{DEVICE}:{SUPPLIER_A}:7"
    trace = await world.parts.base.traces.read(reference)
    assert [entry["kind"] for entry in trace] == ["received", "checked", "sent"]
    assert {verdict["outcome"] for verdict in trace[1]["verdicts"]} == {"passed"}
    assert (trace[2]["receiver"], trace[2]["name"]) == (SUPPLIER_A, "duis-response 8F3D")


async def test_the_same_octets_again_are_taken_without_effect(world: World) -> None:
    raw = alert(world.estate)
    assert [(await world.hear(raw)).status_code for _ in range(3)] == [204] * 3
    assert len(await alerts(world, SUPPLIER_A)) == 1


async def test_an_alert_that_was_overtaken_by_one_of_another_code_is_heard(world: World) -> None:
    for code, counter in ((0x8F3D, 5), (0x8F60, 9), (0x8F3E, 6), (0x8F3D, 10)):
        assert (await world.hear(alert(world.estate, code, counter))).status_code == 204
    told = await alerts(world, SUPPLIER_A)
    assert [one.response_id.counter for one in told if one.response_id] == [5, 9, 6, 10]


@dataclass(frozen=True)
class Case:
    """An alert that one check refuses, and what refuses it without that check."""

    check: str
    name: str
    raw: Callable[[Estate], bytes]
    status: str = "Commissioned"
    last: int | None = None
    known: bool = True
    then: str | None = None


def unreadable(estate: Estate) -> bytes:
    return alert(estate, payload=b"\x0f\x00\x00")


def dated(estate: Estate) -> bytes:
    return alert(estate, date_time=bytes.fromhex("07df0101ff000000008000ff"))


def of_another_counter(estate: Estate) -> bytes:
    told = GenericAlert.at(AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE, estate.now, 8)
    return alert(estate, counter=7, payload=encode_generic_alert(told))


CASES = [
    Case("decode", "unreadable", unreadable, then="code"),
    Case("decode", "a date-time", dated),
    Case("decode", "an invoke-id of another counter", of_another_counter),
    Case("decode", "called a response", lambda e: alert(e, cra=Cra.RESPONSE)),
    Case(
        "decode",
        "more than its message code",
        lambda e: alert(e, other=OtherInformation(CRITICAL, SUPPLIER_B)),
    ),
    Case("device", "of nobody", alert, known=False, then="signature"),
    Case("device", "decommissioned", alert, "Decommissioned"),
    Case("device", "withdrawn", alert, "Withdrawn"),
    Case("device", "pending", alert, "Pending"),
    Case("signature", "of another device", lambda e: alert(e, signer=OTHER_DEVICE)),
    Case("signature", "with a MAC as well", lambda e: alert(e, mac=True)),
    Case("code", "future-dated", lambda e: alert(e, AlertCode.FUTURE_DATED_SUCCESS)),
    Case("code", "the log's own", lambda e: alert(e, AlertCode.CREDENTIALS_UPDATED)),
    Case("recipient", "to another supplier", lambda e: alert(e, recipient=SUPPLIER_B)),
    Case("counter", "equal", alert, last=7),
    Case("counter", "lower", alert, last=8),
]


def record(estate: Estate, status: str = "Commissioned") -> DeviceRecord:
    device = estate.devices[DEVICE]
    certificates, cells = (
        {name: Certificate.from_der(base64.b64decode(der)) for name, der in device[what].items()}
        for what in ("certificates", "cells")
    )
    return DeviceRecord(DEVICE, "ESME", status, (device["mpxn"],), certificates, cells)


def judge(checks: CheckBook, estate: Estate, case: Case) -> str | None:
    """The check that refused; None if the whole list said yes."""
    evidence = replace(
        read_device_alert(decode(case.raw(estate))),
        device=record(estate, case.status) if case.known else None,
        last_counter=case.last,
    )
    run = checks.start("test", SECTION)
    try:
        for check in DEVICE_ALERT_CHECKS:
            run.apply(check, evidence)
    except Refused as refused:
        return refused.check
    run.approve()
    return None


def test_a_true_alert_passes(checks: CheckBook, estate: Estate) -> None:
    for status in ("Commissioned", "InstalledNotCommissioned", "Suspended", "Recovery"):
        assert judge(checks, estate, Case("", "", alert, status, last=6)) is None


@pytest.mark.parametrize("case", CASES, ids=[f"{case.check}: {case.name}" for case in CASES])
def test_refused_by_that_check_and_its_twin(checks: CheckBook, estate: Estate, case: Case) -> None:
    refused = f"acb.device_alert.{case.check}"
    assert judge(checks, estate, case) == refused
    checks.turn_off(refused)
    then = None if case.then is None else f"acb.device_alert.{case.then}"
    assert judge(checks, estate, case) == then


def test_every_check_has_a_case() -> None:
    known = {check.id for check in DEVICE_ALERT_CHECKS}
    flood = "acb.device_alert.rate"  # no refusal: test_a_flood_of_one_device_is_dropped_and_counted
    assert known == {f"acb.device_alert.{case.check}" for case in CASES} | {flood}


async def test_what_is_refused_changes_nothing_and_its_twin(world: World) -> None:
    """Of one case, through the interface: who refused, in the answer and in the trace."""
    before, raw = await world.record(), alert(world.estate, signer=OTHER_DEVICE)

    for _ in range(2):  # and it is not remembered as heard
        answer = await world.hear(raw)
        assert answer.status_code == 403
        assert answer.json()["check"] == "acb.device_alert.signature"

    assert await alerts(world, SUPPLIER_A) == []
    assert await world.record() == before
    trace = await world.parts.base.traces.read(decode(raw).reference)
    assert [(one["kind"], one["name"]) for one in trace] == [
        ("refused", "acb.device_alert.signature")
    ] * 2
    assert (await world.hear(alert(world.estate))).status_code == 204, "the true one may follow"
    assert len(await alerts(world, SUPPLIER_A)) == 1

    path = "/lab/checks/acb.device_alert.signature"
    await world.lab.put(path, json={"enabled": False})
    forged = alert(world.estate, counter=8, signer=OTHER_DEVICE)
    assert (await world.hear(forged)).status_code == 204
    assert len(await alerts(world, SUPPLIER_A)) == 2


def other_key(message: bytes) -> tuple[int, int]:
    signature = decode(message).signature or b""
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


async def test_the_other_half_of_a_signature_is_no_new_alert(world: World) -> None:
    """Whoever records an alert can write its signature in a second way: that is a replay."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    raw = alert(world.estate)
    r, s = other_key(raw)
    again = encode(
        replace(decode(raw), signature=r.to_bytes(32, "big") + (order - s).to_bytes(32, "big"))
    )
    assert (await world.hear(raw)).status_code == 204
    assert (await world.hear(again)).json()["check"] == "acb.device_alert.counter"
    assert len(await alerts(world, SUPPLIER_A)) == 1


@pytest.mark.parametrize(
    ("whose", "recipient"),
    [
        ("a hub's WAN provider", ECOS),
        ("the broker's own", ACB),
        ("a CoS Party's", TCOS),
    ],
)
async def test_what_is_for_no_user_is_dropped_with_a_trace(
    world: World, whose: str, recipient: str
) -> None:
    del whose
    estate, cells = world.estate, dict(world.estate.devices[DEVICE]["cells"])
    if recipient == ECOS:
        cell = "wanProvider/digitalSignature/management"
        cells = {**cells, cell: held(estate, "ecos_party")}
        await inventory(world, device_type="CHF", cells=cells)
    else:
        where = "acb" if recipient == ACB else "tcos_party"
        await inventory(world, cells={**cells, SUPPLIER_CELL: held(estate, where)})

    answer = await world.hear(alert(estate, recipient=recipient))

    assert answer.status_code == 204
    assert await alerts(world, recipient) == []
    trace = await world.parts.base.traces.read(f"{DEVICE}:{recipient}:7")
    assert [entry["kind"] for entry in trace] == ["received", "checked", "dropped"]
    assert trace[-1]["summary"] == "its recipient is no user here"


async def test_an_alert_is_never_taken_for_the_answer_to_a_command(world: World) -> None:
    """Its counter is the device's own, and may be that of a command under way."""
    await world.run(world.estate.request())
    counter = world.parties["tcos_party"].counter
    told = await world.told(world.estate.request())
    raw = alert(world.estate, counter=counter, recipient=SUPPLIER_B)
    assert (await world.hear(raw)).status_code == 204
    assert await world.told(world.estate.request()) == told
    assert len(await alerts(world, SUPPLIER_B)) == 1


async def test_after_a_crash_the_alert_is_still_owed(world: World) -> None:
    await world.lab.put(
        f"/lab/users/{SUPPLIER_A}/callback", json={"callback_url": "http://users/A"}
    )
    world.around.wire.down.add("users")
    await world.hear(alert(world.estate))
    again = await world.restarted()
    try:
        again.around.wire.down.clear()
        await again.parts.base.outbox.idle(deferred=True)
        assert [name for name, _ in again.around.delivered] == ["A"]
    finally:
        await again.stop()


async def test_a_real_meters_alert_reaches_its_supplier(world: World, meters: Meters) -> None:
    """What the meters send is what the broker takes."""
    world.around.wire.hosts["acb"] = httpx.ASGITransport(world.service.interface)
    without_mac = world.parties["tcos_party"].signed(world.estate.request(), 101)
    answer = await world.parts.wan.deliver(DEVICE, without_mac)
    await meters.service.base.outbox.idle()

    assert answer is None
    (told,) = await alerts(world, SUPPLIER_A)
    assert isinstance(told.body, DeviceAlert)
    assert told.body.alert_code == 0x8F3D
    assert told.response_id == RequestId(DEVICE, SUPPLIER_A, 1)


async def flood(world: World, first: int, count: int) -> None:
    for counter in range(first, first + count):
        assert (await world.hear(alert(world.estate, counter=counter))).status_code == 204


async def test_a_flood_of_one_device_is_dropped_and_counted(world: World) -> None:
    """Taken, so that nobody carries it again, and passed on to nobody."""
    await flood(world, 1, MOST_AN_HOUR + 3)
    assert len(await alerts(world, SUPPLIER_A)) == MOST_AN_HOUR
    entries = await world.parts.base.traces.read(f"{DEVICE}:{SUPPLIER_A}:{MOST_AN_HOUR + 3}")
    (dropped,) = [entry for entry in entries if entry["kind"] == "dropped"]
    assert dropped["summary"].startswith("acb.device_alert.rate: ")
    assert dropped["summary"].endswith("; 3 dropped since then")
    # An hour later it is heard again.
    world.parts.base.clock.step(timedelta(hours=1))
    await flood(world, 1000, 1)
    assert len(await alerts(world, SUPPLIER_A)) == MOST_AN_HOUR + 1


async def test_with_that_check_off_all_of_it_is_passed_on(world: World) -> None:
    world.book.turn_off("acb.device_alert.rate")
    await flood(world, 1, MOST_AN_HOUR + 3)
    assert len(await alerts(world, SUPPLIER_A)) == MOST_AN_HOUR + 3
