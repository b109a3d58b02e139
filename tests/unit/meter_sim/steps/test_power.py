"""A device whose power goes between any two steps is then the old one or the new one, whole."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import decode
from meter_sim.steps.power import STEPS
from tests.unit.meter_sim.estate import DEVICE, NOW, RECOVERY, SUPPLIER_A, SUPPLIER_B, TCOS, Estate
from tests.unit.meter_sim.running import Running

POWER = f"/lab/devices/{DEVICE}/power"
REFUSING = ["loaded", "refusal stored", "alert stored"]
ANSWERING = [step for step in STEPS if step not in {"executed", *REFUSING[1:]}]
EXECUTING = ["executed", "state stored", "answer stored", "audited", "traced", "committed"]


async def switch(meters: Running, **order: Any) -> None:
    answer = await meters.lab.put(POWER, json=order)
    assert answer.status_code == 200, answer.text


async def holders(meters: Running) -> dict[str, str]:
    cells = (await meters.device())["cells"]
    return {name: one["subject"] for name, one in cells.items() if name.startswith("supplier/")}


OLD = {
    "supplier/digitalSignature/management": SUPPLIER_A,
    "supplier/keyAgreement/management": SUPPLIER_A,
    "supplier/keyAgreement/prePaymentTopUp": SUPPLIER_A,
}
NEW = dict.fromkeys(OLD, SUPPLIER_B)


@pytest.mark.parametrize("step", ANSWERING)
async def test_going_off_while_it_answers(meters: Running, estate: Estate, step: str):
    await meters.install()
    before = await meters.device()
    await switch(meters, off_after_step=step)
    data = estate.command().data

    assert (await meters.send(data)).status_code == 204
    assert (await meters.get(POWER))["on"] is False
    assert (await meters.send(estate.command(counter=6002).data)).status_code == 204
    entries = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    assert len(entries) == (step == "committed"), "while it is off it hears nothing"

    await switch(meters, on=True)
    if step == "committed":
        assert await holders(meters) == NEW
        assert (await meters.send(data)).status_code == 204, "it has heard that"
    else:
        assert await meters.device() == before
        assert await holders(meters) == OLD
        assert (await meters.send(data)).status_code == 200
        assert await holders(meters) == NEW
    audit = (await meters.get("/lab/audit"))["rows"]
    assert [row["kind"] for row in audit].count("device.went_off") == 1


@pytest.mark.parametrize("step", EXECUTING)
async def test_going_off_while_it_executes_what_was_pending(
    meters: Running, estate: Estate, step: str
):
    await meters.install()
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    await switch(meters, off_after_step=step)
    meters.service.base.clock.set(NOW + timedelta(days=1))
    await meters.settled()

    assert (await meters.get(POWER))["on"] is False
    done = step == "committed"
    assert await holders(meters) == (NEW if done else OLD)
    assert len(meters.alerts) == done
    assert await meters.workflow.execute_due() == 0, "and is not tried while it is off"

    await switch(meters, on=True)
    await meters.settled()
    assert await holders(meters) == NEW
    assert [decode(alert).message_code for alert in meters.alerts] == [0x00CB]


@pytest.mark.parametrize("step", REFUSING)
async def test_going_off_while_it_refuses(meters: Running, estate: Estate, step: str):
    await meters.install()
    before = await meters.device()
    await switch(meters, off_after_step=step)
    forged = bytearray(estate.command().data)
    forged[-1] ^= 1
    assert (await meters.send(bytes(forged))).status_code == 204
    await meters.settled()
    assert (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"] == []
    assert (await meters.get(f"/lab/devices/{DEVICE}/alerts"))["codes"] == []
    assert meters.alerts == [], "what was not heard raises no alert"
    await switch(meters, on=True)
    assert await meters.device() == before
    assert await holders(meters) == OLD
    assert (await meters.send(bytes(forged))).status_code == 204
    await meters.settled()
    assert len(meters.alerts) == 1


async def test_a_whole_recovery_goes_in_or_does_not(meters: Running, estate: Estate):
    await meters.install()
    before = await meters.device()
    data = estate.command(Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY).data
    await switch(meters, off_after_step="state stored")
    assert (await meters.send(data)).status_code == 204
    await switch(meters, on=True)
    assert await meters.device() == before
    answer = await meters.send(data)
    assert decode(answer.content).header.recipient == RECOVERY
    after = (await meters.device())["cells"]
    kept = {name for name, one in before["cells"].items() if after[name] == one}
    assert kept == {"root/keyCertSign/management"}


async def test_off_is_off_until_reset(meters: Running, estate: Estate):
    await meters.install()
    await switch(meters, on=False)
    assert (await meters.send(estate.command().data)).status_code == 204
    trace = await meters.get(f"/lab/trace/{TCOS}:{DEVICE}:6001")
    assert [entry["kind"] for entry in trace["entries"]] == ["off"]
    await meters.lab.post("/lab/reset")
    meters.service.base.clock.set(NOW)
    assert (await meters.send(estate.command().data)).status_code == 200


async def test_an_armed_device_is_disarmed_by_the_next_order(meters: Running, estate: Estate):
    await meters.install()
    await switch(meters, off_after_step="loaded")
    await switch(meters)
    assert (await meters.send(estate.command().data)).status_code == 200


async def test_another_device_keeps_its_power(meters: Running, estate: Estate):
    other = "0253494dd0000002"
    await meters.install()
    await meters.install(eui=other)
    await switch(meters, on=False)
    assert (await meters.send(estate.command(device=other).data, other)).status_code == 200


async def test_no_such_step_and_no_such_device(meters: Running):
    assert (await meters.lab.put(POWER, json={})).status_code == 404
    await meters.install()
    for order in ({"off_after_step": "thinking"}, {"on": "no"}, {"volts": 230}):
        assert (await meters.lab.put(POWER, json=order)).status_code == 422
    assert (await meters.get(POWER))["on"] is True
    assert (await meters.get(POWER))["steps"] == list(STEPS)


async def test_a_device_that_is_off_does_not_go_off_again(meters: Running, estate: Estate):
    await meters.install()
    await switch(meters, on=False, off_after_step="loaded")
    assert (await meters.send(estate.command().data)).status_code == 204
    kinds = [row["kind"] for row in (await meters.get("/lab/audit"))["rows"]]
    assert "device.went_off" not in kinds
    await switch(meters, off_after_step="loaded")
    assert (await meters.send(estate.command().data)).status_code == 204
    kinds = [row["kind"] for row in (await meters.get("/lab/audit"))["rows"]]
    assert kinds.count("device.went_off") == 1
