"""Whenever the process dies, the device is the old one that said nothing, or the new one whose
answer is kept: never one without the other, never half of either."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.meter_sim.estate import DEVICE, NOW, SUPPLIER_A, SUPPLIER_B, TCOS, Estate
from tests.unit.meter_sim.running import CrashedError, Running

SUPPLIER = "supplier/digitalSignature/management"
BEFORE_COMMIT = (
    "loaded",
    "processed",
    "state stored",
    "answer stored",
    "logged",
    "audited",
    "traced",
)
EXECUTING = ("executed", "state stored", "answer stored", "audited", "traced")


async def reopened(estate: Estate, folder: Path, running: Running) -> Running:
    await running.stop()
    return await Running.start(estate, folder)


async def everything(meters: Running) -> dict[str, Any]:
    """All that is kept of a device and of what was said."""
    return {
        "device": await meters.device(),
        "trace": (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"],
        "audit": [row["hash"] for row in (await meters.get("/lab/audit"))["rows"]],
        "messages": (await meters.get("/lab/messages"))["messages"],
        "outbox": (await meters.get("/lab/outbox"))["entries"],
    }


@pytest.mark.parametrize("step", BEFORE_COMMIT)
async def test_dying_before_the_commit_leaves_the_old_device(
    estate: Estate, tmp_path: Path, step: str
):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    before, data = await everything(meters), estate.command().data
    meters.crash_at = step

    assert (await meters.send(data)).status_code == 500

    meters = await reopened(estate, tmp_path, meters)
    try:
        assert await everything(meters) == before
        assert (await meters.send(data)).status_code == 200, "and it can be sent again"
        assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_B
    finally:
        await meters.stop()


async def test_dying_after_the_commit_leaves_the_new_device_and_its_answer(
    estate: Estate, tmp_path: Path
):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    meters.crash_at = "committed"
    data = estate.command().data

    assert (await meters.send(data)).status_code == 500

    meters = await reopened(estate, tmp_path, meters)
    try:
        device = await meters.device()
        assert device["cells"][SUPPLIER]["subject"] == SUPPLIER_B
        assert device["counters"]["credentials"] == {"transitionalCoS": 6001}
        trace = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
        assert [entry["kind"] for entry in trace] == ["answered"]
        assert trace[0]["said"]
        assert (await meters.send(data)).status_code == 204, "the lost answer does not come again"
    finally:
        await meters.stop()


@pytest.mark.parametrize("step", EXECUTING)
async def test_dying_while_executing_leaves_it_pending(estate: Estate, tmp_path: Path, step: str):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    later = estate.command().with_fields(execution_date_time="20261122120000Z")
    await meters.send(later.data)
    before = await everything(meters)
    watch = meters.workflow
    meters.crash_at = step
    meters.service.base.clock._held = NOW + timedelta(days=1)  # unseen by the watch

    with pytest.raises(CrashedError):
        await watch.execute_due()

    meters = await reopened(estate, tmp_path, meters)
    try:
        assert await everything(meters) == before
        assert before["device"]["cells"][SUPPLIER]["subject"] == SUPPLIER_A
        meters.service.base.clock.set(NOW + timedelta(days=1))
        await meters.settled()
        assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_B
        assert len(meters.alerts) == 1
        kinds = [e["kind"] for e in (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]]
        assert kinds == ["answered", "executed"]
    finally:
        await meters.stop()


async def test_an_alert_that_was_not_delivered_is_delivered_after_a_restart(
    estate: Estate, tmp_path: Path
):
    meters = await Running.start(estate, tmp_path)
    await meters.install()
    meters.alert_status = 503
    await meters.send(estate.command().with_fields(execution_date_time="20261122120000Z").data)
    meters.service.base.clock.set(NOW + timedelta(days=1))
    await meters.executed()
    assert (await meters.get("/lab/outbox"))["entries"][0]["state"] != "done"

    meters = await reopened(estate, tmp_path, meters)
    try:
        await meters.service.base.outbox.idle(deferred=True)
        assert len(meters.alerts) == 1
        trace = await meters.get(f"/lab/trace/{TCOS}:{DEVICE}:6001")
        assert [entry["kind"] for entry in trace["entries"]] == ["received", "sent", "sent"]
    finally:
        await meters.stop()
