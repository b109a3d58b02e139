"""The service over its two interfaces: octets on the WAN, explanations on the lab port."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from gbcs.codes import AlertCode
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import decode
from meter_sim.checks import REQUEST
from meter_sim.device.security_log import CODE_OF_CHECK
from tests.unit.meter_sim.device.test_message_checks import CASES, Case, ids
from tests.unit.meter_sim.estate import (
    DEVICE,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Estate,
)
from tests.unit.meter_sim.running import OCTETS, Running

SUPPLIER = "supplier/digitalSignature/management"


async def test_a_change_of_supplier_over_the_wan(meters: Running, estate: Estate):
    assert (await meters.install()).status_code == 201
    assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_A

    answer = await meters.send(estate.command().data)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == OCTETS["content-type"]
    assert decode(answer.content).header.recipient == TCOS
    device = await meters.device()
    assert device["cells"][SUPPLIER]["subject"] == SUPPLIER_B
    assert device["counters"]["credentials"] == {"transitionalCoS": 6001}
    assert [entry["code"] for entry in device["log"]] == ["0x8F70"]
    trace = await meters.get(f"/lab/trace/{TCOS}:{DEVICE}:6001")
    assert [entry["kind"] for entry in trace["entries"]] == ["received", "sent"]
    verdicts = {v["check"]: v["outcome"] for v in trace["entries"][0]["verdicts"]}
    assert set(verdicts) == {check.id for check in REQUEST}
    assert set(verdicts.values()) == {"passed"}
    messages = (await meters.get("/lab/messages"))["messages"]
    assert [m["gbcs_ref"] for m in messages] == [f"{TCOS}:{DEVICE}:6001", f"{DEVICE}:{TCOS}:6001"]
    assert (await meters.get("/lab/audit/verify"))["intact"] is True


async def test_the_same_message_after_a_lost_answer_is_met_with_silence(
    meters: Running, estate: Estate
):
    await meters.install()
    data = estate.command().data
    await meters.send(data)
    before = await meters.device()
    again = await meters.send(data)
    assert (again.status_code, again.content) == (204, b"")
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert [r["refused"]["check"] for r in refusals] == ["meter.counter"]
    assert unchanged(before, await meters.device())


async def test_a_lost_answer_and_a_lost_message_look_alike_to_the_sender(
    meters: Running, estate: Estate
):
    await meters.install()
    first, second = estate.command().data, estate.command(counter=6002).data
    path = f"/lab/devices/{DEVICE}/wan"
    ordered = await meters.lab.put(path, json={"lose_messages": 1, "lose_answers": 1})
    assert ordered.json()["loses"] == {"messages": 1, "answers": 1}
    before = await meters.device()

    never_arrived = await meters.send(first)
    assert unchanged(before, await meters.device())
    no_answer = await meters.send(first)
    assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_B

    alike = {(a.status_code, a.content, tuple(a.headers.raw)) for a in (never_arrived, no_answer)}
    assert len(alike) == 1
    assert never_arrived.status_code == 204
    assert (await meters.send(first)).status_code == 204, "anti-replay, as on a real device"
    trace = await meters.get(f"/lab/trace/{TCOS}:{DEVICE}:6001")
    kinds = [entry["kind"] for entry in trace["entries"]]
    assert kinds == ["fault", "received", "sent", "fault", "refused"]
    assert (await meters.send(second)).status_code == 200
    await meters.lab.put(path, json={"lose_answers": 9})
    await meters.lab.post("/lab/reset")
    assert (await meters.get(path))["loses"] == {"messages": 0, "answers": 0}


@pytest.mark.parametrize("body", [{"lose_answers": -1}, {"lose": 1}, {"lose_answers": "1"}])
async def test_losses_that_cannot_be_ordered(meters: Running, body: dict[str, object]):
    await meters.install()
    answer = await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=body)
    assert answer.status_code == 422
    missing = await meters.lab.put("/lab/devices/0253494dd00000ff/wan", json={})
    assert missing.status_code == 404


async def test_of_two_at_the_same_moment_one_is_heard(meters: Running, estate: Estate):
    await meters.install()
    data = estate.command().data
    answers = await asyncio.gather(*(meters.send(data) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] + [204] * 7


def unchanged(before: dict[str, object], after: dict[str, object]) -> bool:
    kept = ("cells", "counters", "pending", "alert_counter")
    return all(before[name] == after[name] for name in kept)


# Those on an ESME fresh from the factory; the rest is shown on the pure rules.
RAISE_NO_ALERT = {c for c, code in CODE_OF_CHECK.items() if code is AlertCode.UNUSUAL_COMMANDS}
"""What is not unusual the first time."""

ON_ESME = [case for case in CASES if case.device_type == "ESME" and case.check != "meter.counter"]


@pytest.mark.parametrize("case", ON_ESME, ids=ids)
async def test_refused_in_silence_and_explained_on_the_lab_port(
    meters: Running, estate: Estate, case: Case
):
    await meters.install()
    before, data = await meters.device(), case.data(estate)
    raises = case.check not in RAISE_NO_ALERT

    answer = await meters.send(data)
    await meters.settled()

    assert (answer.status_code, answer.content) == (204, b"")
    assert "content-type" not in answer.headers
    device = await meters.device()
    assert device["alert_counter"] == before["alert_counter"] + raises == len(meters.alerts)
    assert unchanged({**before, "alert_counter": int(raises)}, device)
    refusals = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    assert [r["refused"]["check"] for r in refusals] == [case.check]
    assert refusals[0]["heard"] == base64.b64encode(data).decode()
    assert refusals[0]["said"] is None
    assert [entry["check"] for entry in device["log"]] == [case.check]
    audit = (await meters.get("/lab/audit"))["rows"]
    assert audit[-1]["kind"] == "device.refused"
    assert audit[-1]["record"]["check"] == case.check

    await meters.switch(case.check, enabled=False)
    accepted = await meters.send(data)
    assert accepted.status_code == 200, "with that one check off the act succeeds"
    shown = await meters.lab.get(f"/lab/devices/{DEVICE}/trace")
    assert shown.headers["lab-weakened"] == case.check
    assert shown.json()["entries"][-1]["kind"] == "answered"


async def test_every_refusal_looks_the_same_on_the_wire(meters: Running, estate: Estate):
    await meters.install()
    answers = [await meters.send(case.data(estate)) for case in ON_ESME]
    answers.append(await meters.send(b""))
    assert len({(a.status_code, a.content, tuple(a.headers.raw)) for a in answers}) == 1


async def test_security_log_codes(meters: Running, estate: Estate):
    await meters.install()
    for name in ("one bit of it", "another party's key", "a stranger", "a trailing octet"):
        await meters.send(next(case for case in CASES if case.name == name).data(estate))
    await meters.send(estate.command().with_fields(mode=Mode.ROOT_BY_SUPPLIER).data)
    log = (await meters.get(f"/lab/devices/{DEVICE}/security-log"))["entries"]
    assert [entry["code"] for entry in log] == ["0x8F3D", "0x8F3D", "0x8F3E", "0x8F60", "0x8F53"]


async def test_the_wan_names_what_is_not_for_any_device(meters: Running, estate: Estate):
    data = estate.command().data
    unknown = await meters.send(data)
    assert unknown.status_code == 404
    assert unknown.headers["content-type"] == "application/problem+json"
    assert unknown.json()["check"] == "meter.device.known"

    await meters.switch("meter.device.known", enabled=False)
    assert (await meters.send(data)).status_code == 204, "there is nobody who could say anything"
    await meters.switch("meter.device.known", enabled=True)

    await meters.install()
    path = f"/devices/{DEVICE}/messages"
    for headers in ({"content-type": "application/json"}, {}):
        wrong = await meters.wan.post(path, content=data, headers=headers)
        assert wrong.status_code == 415
        assert wrong.json()["check"] == "meter.request.content_type"
    assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_A
    await meters.switch("meter.request.content_type", enabled=False)
    assert (await meters.wan.post(path, content=data)).status_code == 200


async def test_nothing_of_the_lab_is_on_the_wan(meters: Running):
    for path in (f"/lab/devices/{DEVICE}", "/lab/checks", "/devices"):
        assert (await meters.wan.get(path)).status_code == 404
    meters.lab.headers.pop("authorization")
    assert (await meters.lab.get("/lab/devices")).status_code == 401


async def test_reset_turns_checks_on_again(meters: Running, estate: Estate):
    await meters.install()
    await meters.switch("meter.mac", enabled=False)
    assert (await meters.lab.post("/lab/reset")).status_code == 200
    bad = next(case for case in CASES if case.name == "one bit of it").data(estate)
    assert (await meters.send(bad)).status_code == 204


async def test_devices_outlive_a_restart(estate: Estate, tmp_path: Path):
    first = await Running.start(estate, tmp_path)
    await first.install()
    data = estate.command().data
    await first.send(data)
    before = await first.device()
    await first.stop()

    second = await Running.start(estate, tmp_path)
    try:
        assert await second.device() == before
        assert (await second.send(data)).status_code == 204
        assert (await second.send(estate.command(counter=6002).data)).status_code == 200
    finally:
        await second.stop()
    assert before["counters"]["credentials"]["transitionalCoS"] == 6001
