"""Security alerts: the device's own party is told of what was refused, once in a while, signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gbcs.codes import AlertCode, Cra
from gbcs.message import Message, OtherInformation, decode
from gbcs.payloads.alerts import GenericAlert, ZigBeeAlert, decode_generic_alert
from gbcs.protect import verify_signature
from keys.roles import Usage
from meter_sim.device.alerts import NUMBER, PERIOD, RECIPIENT, Tally, count_refusal, raise_alert
from meter_sim.device.device_types import SUPPLIER_DS, WAN_PROVIDER_DS, DeviceType
from tests.unit.meter_sim.estate import ACB, DEVICE, NOW, SUPPLIER_A, SUPPLIER_B, WAN, Estate
from tests.unit.meter_sim.running import Running

MAC_FAILED = AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE
STRANGER = AlertCode.UNAUTHORISED_COMMUNICATION_ACCESS
OTHERWISE = AlertCode.AUTHENTICATION_FAILURE
UNUSUAL = AlertCode.UNUSUAL_COMMANDS
MOMENT = timedelta(microseconds=1)
ALERTS = f"/lab/devices/{DEVICE}/alerts"


def forged(estate: Estate, device: str = DEVICE) -> bytes:
    octets = bytearray(estate.command(device=device).data)
    octets[-1] ^= 1
    return bytes(octets)


def verified(estate: Estate, alert: bytes, device: str = DEVICE) -> Message:
    message = decode(alert)
    verify_signature(message, estate.fleet.public_key(device, Usage.DIGITAL_SIGNATURE))
    return message


# What is raised


def test_an_alert_is_signed_counted_and_for_the_supplier(estate: Estate):
    device = estate.device(alert_counter=41)
    raised = raise_alert(device, MAC_FAILED, estate.means())
    assert raised is not None
    message = verified(estate, raised.alert)
    header = message.header
    assert (header.cra, header.counter, header.originator) == (Cra.ALERT, 42, DEVICE)
    assert (header.recipient, raised.recipient) == (SUPPLIER_A, SUPPLIER_A)
    assert (header.other, header.date_time) == (OtherInformation(0x1000), None)
    assert message.mac is None
    told = decode_generic_alert(message.payload)
    assert told == GenericAlert.at(0x8F3D, NOW, 42)
    assert raised.state == replace(device, alert_counter=42)


@pytest.mark.parametrize("kind", DeviceType)
def test_who_is_told_by_type_of_device(estate: Estate, kind: DeviceType):
    raised = raise_alert(estate.device(kind), MAC_FAILED, estate.means())
    assert raised is not None
    told = decode_generic_alert(decode(raised.alert).payload)
    zigbee = kind not in (DeviceType.ESME, DeviceType.ADDITIONAL_ESME, DeviceType.SAPC)
    assert isinstance(told, ZigBeeAlert if zigbee else GenericAlert)
    assert told.moment == NOW
    assert raised.recipient == (WAN if kind is DeviceType.CHF else SUPPLIER_A)
    assert RECIPIENT[kind] == (WAN_PROVIDER_DS if kind is DeviceType.CHF else SUPPLIER_DS)


def test_of_a_device_the_broker_still_controls_the_broker_is_told(estate: Estate):
    device = estate.device()
    held = estate.identity(ACB, "04").certificate
    raised = raise_alert(
        replace(device, cells={**device.cells, SUPPLIER_DS: held}), MAC_FAILED, estate.means()
    )
    assert raised is not None
    assert raised.recipient == ACB


def test_a_device_without_the_cell_tells_nobody(estate: Estate):
    device = estate.device()
    cells = {cell: held for cell, held in device.cells.items() if cell != SUPPLIER_DS}
    assert raise_alert(replace(device, cells=cells), MAC_FAILED, estate.means()) is None


# When


def test_one_code_once_in_a_period():
    first = count_refusal(None, MAC_FAILED, NOW)
    assert (first.unsaid, first.tally) == (0, Tally(NOW, 0, alerted=True))
    more = count_refusal(first.tally, MAC_FAILED, NOW + PERIOD - MOMENT)
    assert (more.unsaid, more.tally) == (None, Tally(NOW, 0, alerted=True, unsaid=1))
    again = count_refusal(more.tally, MAC_FAILED, NOW + PERIOD)
    assert (again.unsaid, again.tally) == (1, Tally(NOW + PERIOD, 0, alerted=True))


def test_so_many_are_unusual():
    tally = None
    for number in range(1, NUMBER[UNUSUAL]):
        counted = count_refusal(tally, UNUSUAL, NOW + number * MOMENT)
        assert counted.unsaid is None
        tally = counted.tally
        assert tally == Tally(NOW + MOMENT, number, alerted=False)
    assert count_refusal(tally, UNUSUAL, NOW + PERIOD).unsaid == 0


def test_so_many_over_a_longer_time_are_not_unusual():
    tally, at = None, NOW
    for _ in range(3 * NUMBER[UNUSUAL]):
        counted = count_refusal(tally, UNUSUAL, at)
        assert counted.unsaid is None
        tally, at = counted.tally, at + PERIOD / (NUMBER[UNUSUAL] - 1)


def test_what_was_unsaid_is_not_forgotten_while_counting_anew():
    later = NOW + PERIOD
    tally = Tally(NOW, 0, alerted=True, unsaid=7)
    for _ in range(NUMBER[UNUSUAL] - 1):
        counted = count_refusal(tally, UNUSUAL, later)
        assert counted.unsaid is None
        tally = counted.tally
    assert count_refusal(tally, UNUSUAL, later).unsaid == 7


def test_where_time_went_back_the_period_is_over():
    """Else a device whose clock stood years ahead for a while would be mute for years."""
    ahead = Tally(NOW + timedelta(days=3650), 0, alerted=True, unsaid=2)
    assert count_refusal(ahead, MAC_FAILED, NOW).unsaid == 2


@pytest.mark.parametrize("year", [1, 9999])
def test_at_the_ends_of_time(year: int):
    at = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(year, 12, 31, 23, tzinfo=UTC)
    counted = count_refusal(None, MAC_FAILED, at)
    assert count_refusal(counted.tally, MAC_FAILED, at).unsaid is None


# The service


def codes(meters: Running) -> list[int]:
    return [decode_generic_alert(decode(one).payload).alert_code for one in meters.alerts]


async def test_the_party_is_told_and_the_sender_is_not(meters: Running, estate: Estate):
    await meters.install()
    before = await meters.device()

    answer = await meters.send(forged(estate))
    await meters.settled()

    assert (answer.status_code, answer.content) == (204, b"")
    (alert,) = meters.alerts
    assert verified(estate, alert).reference == f"{DEVICE}:{SUPPLIER_A}:1"
    after = await meters.device()
    assert after["alert_counter"] == before["alert_counter"] + 1
    for kept in ("cells", "counters", "pending", "certificates", "own_keys"):
        assert after[kept] == before[kept]
    (line,) = after["log"]
    assert (line["code"], line["check"]) == ("0x8F3D", "meter.mac")
    assert line["detail"].endswith(f"[alert 1 to {SUPPLIER_A}]")
    (entry,) = (await meters.get(f"/lab/trace/{DEVICE}:{SUPPLIER_A}:1"))["entries"]
    assert (entry["kind"], entry["sender"], entry["receiver"]) == ("sent", DEVICE, SUPPLIER_A)
    assert "meter.mac refused" in entry["summary"]
    assert (await meters.get("/lab/audit/verify"))["intact"] is True
    assert (await meters.send(estate.command().data)).status_code == 200, "and it still obeys"


async def test_a_flood_is_one_alert_of_each_code(meters: Running, estate: Estate):
    await meters.install()
    stranger = estate.command(originator=SUPPLIER_B).data
    for _ in range(3):
        for message in (forged(estate), stranger, b"", b"nonsense"):
            assert (await meters.send(message)).status_code == 204
    await meters.settled()

    assert codes(meters) == [MAC_FAILED, STRANGER, UNUSUAL]
    assert [decode(one).header.counter for one in meters.alerts] == [1, 2, 3]
    told = await meters.get(ALERTS)
    assert told["alert_counter"] == 3
    assert {one["code"]: one["unsaid"] for one in told["codes"]} == {
        "0x8F3D": 2,
        "0x8F3E": 2,
        "0x8F60": 6 - NUMBER[UNUSUAL],
    }
    meters.alerts.clear()
    await meters.lab.put("/lab/clock", json={"step": 3599})
    await meters.send(forged(estate))
    await meters.settled()
    assert codes(meters) == []
    await meters.lab.put("/lab/clock", json={"step": 1})
    await meters.send(forged(estate))
    await meters.settled()
    assert codes(meters) == [MAC_FAILED]
    log = (await meters.device())["log"]
    assert log[-1]["detail"].endswith(
        f"[alert 4 to {SUPPLIER_A}, after 3 refusals that raised none]"
    )


async def test_what_each_kind_of_refusal_raises(meters: Running, estate: Estate):
    await meters.install()
    wrong_supplier = estate.command(signer=estate.identity(SUPPLIER_B, "02")).data
    no_payload = estate.command(payload=b"\x05\x00").data
    for message in (wrong_supplier, no_payload):
        await meters.send(message)
    await meters.settled()
    assert codes(meters) == [MAC_FAILED, OTHERWISE]


async def test_the_answer_to_a_command_that_is_obeyed_raises_nothing(
    meters: Running, estate: Estate
):
    await meters.install()
    data = estate.command().data
    assert (await meters.send(data)).status_code == 200
    assert (await meters.send(data)).status_code == 204, "what the network repeats"
    await meters.settled()
    assert meters.alerts == []
    assert (await meters.device())["alert_counter"] == 0


async def test_another_device_counts_for_itself(meters: Running, estate: Estate):
    other = "0253494dd0000002"
    await meters.install()
    await meters.install(eui=other)
    await meters.send(forged(estate))
    await meters.send(forged(estate, other), other)
    await meters.settled()
    assert [decode(one).header.originator for one in meters.alerts] == [DEVICE, other]


async def test_after_a_change_of_supplier_the_new_one_is_told(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(estate.command().data)
    await meters.send(forged(estate))
    await meters.settled()
    assert [decode(one).header.recipient for one in meters.alerts] == [SUPPLIER_B]


async def test_alerts_of_both_kinds_share_one_counter(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(forged(estate))
    later = estate.command().with_fields(execution_date_time="20261122120000Z")
    await meters.send(later.data)
    meters.service.base.clock.set(NOW + timedelta(days=1))
    await meters.settled()
    await meters.send(forged(estate))
    await meters.settled()
    said = [(decode(one).message_code, decode(one).header.counter) for one in meters.alerts]
    assert sorted(said, key=lambda one: one[1]) == [(0x1000, 1), (0x00CB, 2), (0x1000, 3)]


async def test_switched_off_by_setting_the_log_alone_tells(estate: Estate, tmp_path: Path):
    meters = await Running.start(estate, tmp_path, security_alerts=False)
    try:
        await meters.install()
        await meters.send(forged(estate))
        await meters.settled()
        device = await meters.device()
        assert meters.alerts == []
        assert device["alert_counter"] == 0
        assert [line["code"] for line in device["log"]] == ["0x8F3D"]
        assert (await meters.get(ALERTS))["codes"] == []
    finally:
        await meters.stop()


async def test_switched_off_by_the_lab_until_reset(meters: Running, estate: Estate):
    await meters.install()
    off = await meters.lab.put("/lab/security-alerts", json={"enabled": False})
    assert off.json() == {"enabled": False}
    await meters.send(forged(estate))
    await meters.settled()
    assert meters.alerts == []
    for order in ({}, {"enabled": "no"}, {"enabled": True, "for": 3}):
        assert (await meters.lab.put("/lab/security-alerts", json=order)).status_code == 422
    assert await meters.get("/lab/security-alerts") == {"enabled": False}
    assert "lab.security_alerts" in [r["kind"] for r in (await meters.get("/lab/audit"))["rows"]]

    await meters.lab.post("/lab/reset")
    await meters.send(forged(estate))
    await meters.settled()
    assert codes(meters) == [MAC_FAILED]


async def test_scrapping_a_device_forgets_how_its_alerts_stand(meters: Running, estate: Estate):
    await meters.install()
    await meters.send(forged(estate))
    await meters.lab.delete(f"/lab/devices/{DEVICE}")
    await meters.install()
    assert (await meters.get(ALERTS))["codes"] == []
    await meters.send(forged(estate))
    await meters.settled()
    assert [decode(one).header.counter for one in meters.alerts] == [1, 1]


# Crashes


@pytest.mark.parametrize("step", ["refusal stored", "alert stored"])
async def test_dying_before_the_commit_leaves_no_alert_and_no_refusal(
    estate: Estate, tmp_path: Path, step: str
):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    before = await meters.device()
    meters.crash_at = step

    assert (await meters.send(forged(estate))).status_code == 500

    await meters.stop()
    meters = await Running.start(estate, tmp_path)
    try:
        await meters.settled()
        assert await meters.device() == before
        assert meters.alerts == []
        assert (await meters.send(forged(estate))).status_code == 204
        await meters.settled()
        assert [decode(one).header.counter for one in meters.alerts] == [1]
    finally:
        await meters.stop()


async def test_an_alert_that_was_not_taken_is_sent_after_a_restart_as_it_was(
    estate: Estate, tmp_path: Path
):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    meters.alert_status = 503
    await meters.send(forged(estate))
    await meters.settled()
    (first, *_) = meters.alerts
    await meters.stop()

    meters = await Running.start(estate, tmp_path)
    try:
        await meters.service.base.outbox.idle(deferred=True)
        assert meters.alerts == [first]
        assert (await meters.send(forged(estate))).status_code == 204
        await meters.settled()
        assert meters.alerts == [first], "its period outlives the restart"
    finally:
        await meters.stop()
