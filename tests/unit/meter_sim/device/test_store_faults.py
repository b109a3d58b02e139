"""A trust anchor that a device cannot write: the status codes that no certificate brings about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gbcs.codes import AlertCode, StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import Replacement, SeqNumberChange, decode_alert
from meter_sim.device.device_types import SUPPLIER_DS, SUPPLIER_KA, DeviceType
from meter_sim.device.model import DeviceState, OwnKeyFault
from tests.unit.meter_sim.estate import DEVICE, NOW, SUPPLIER_A, SUPPLIER_B, Estate, hear
from tests.unit.meter_sim.running import Running

SUPPLIER = "supplier/digitalSignature/management"
FAULTS = [
    (OwnKeyFault.TRUST_ANCHOR_MEMORY, StatusCode.INSUFFICIENT_MEMORY),
    (OwnKeyFault.TRUST_ANCHOR_BUSY, StatusCode.RESOURCES_BUSY),
]


@pytest.fixture
async def meters(estate: Estate, tmp_path: Path) -> AsyncIterator[Running]:
    running = await Running.start(estate, tmp_path)
    yield running
    await running.stop()


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=lambda v: v.name)
def test_a_good_certificate_that_cannot_be_written(
    estate: Estate, esme: DeviceState, fault: OwnKeyFault, status: StatusCode
):
    """It is said of the cell, which holds what it held; nothing that goes with it is set."""
    command = estate.command()
    broken = replace(estate.means(), faults=frozenset({fault}))

    reaction = hear(esme, command.data, broken)

    assert reaction.outcome is not None
    assert {one.status for one in reaction.outcome.outcomes} == {status}
    for one in reaction.outcome.outcomes:
        assert one.replacing_subject == one.existing_subject
        assert one.replacing_key_id == one.existing_key_id
    assert reaction.outcome.changes == ()
    assert reaction.state.cells == esme.cells
    assert hear(esme, command.data, estate.means()).state.cells[SUPPLIER_DS].subject_eui == (
        SUPPLIER_B
    ), "and goes in where nothing is broken"


@pytest.mark.parametrize(("fault", "status"), FAULTS, ids=lambda v: v.name)
def test_a_certificate_that_is_refused_is_refused_for_that(
    estate: Estate, esme: DeviceState, fault: OwnKeyFault, status: StatusCode
):
    stranger = estate.identity(SUPPLIER_B, "02", generation=1, issuer=estate.other_issuing)
    good = estate.command().new(SUPPLIER_KA, SUPPLIER_B)
    failing = (Replacement(stranger.certificate.der, SUPPLIER_DS), good)
    command = estate.command(replacements=failing)
    reaction = hear(esme, command.data, replace(estate.means(), faults=frozenset({fault})))
    assert [one.status for one in reaction.cells] == [StatusCode.NO_TRUST_ANCHOR, status]


async def test_a_dated_one_fails_by_alert_and_the_lab_mends_it(meters: Running, estate: Estate):
    await meters.install(DeviceType.ESME)
    path = f"/lab/devices/{DEVICE}/key-store"
    order = {"fails": ["trust_anchor_memory"]}
    assert (await meters.lab.put(path, json=order)).status_code == 200
    later = estate.command().with_fields(
        execution_date_time="20261122120000Z",
        other_changes=(SeqNumberChange(SUPPLIER_DS.role, 77),),
    )
    assert (await meters.send(later.data)).status_code == 200
    meters.service.base.clock.set(NOW + timedelta(days=1))
    await meters.settled()

    alert = decode_alert(decode(meters.alerts[0]).payload)
    assert alert.alert_code == AlertCode.FUTURE_DATED_FAILURE
    assert {one.status for one in alert.outcome.outcomes} == {StatusCode.INSUFFICIENT_MEMORY}
    device = await meters.device()
    assert device["cells"][SUPPLIER]["subject"] == SUPPLIER_A
    assert device["counters"]["credentials"] == {"transitionalCoS": 6001}

    await meters.lab.post("/lab/reset")
    meters.service.base.clock.set(NOW + timedelta(days=1))
    assert (await meters.send(estate.command(counter=6002).data)).status_code == 200
    assert (await meters.device())["cells"][SUPPLIER]["subject"] == SUPPLIER_B
