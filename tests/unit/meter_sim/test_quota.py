"""What noise on the WAN can have a device's refusals written down: not without end."""

from __future__ import annotations

from services.chassis.data.quota import RECORD, UnauthenticatedQuota
from tests.unit.meter_sim.estate import DEVICE, Estate
from tests.unit.meter_sim.running import Running
from tests.unit.services.link.estate import HeldClock

ROOM = 3
NOISE = 10_000


async def test_noise_leaves_only_so_much_and_a_command_is_heard_all_the_same(
    meters: Running, estate: Estate
) -> None:
    await meters.install()
    meters.service.base.audit.unauthenticated = UnauthenticatedQuota(
        HeldClock(), quota=ROOM * 3 * (NOISE + RECORD), per_second=1
    )
    for number in range(4 * ROOM):
        answer = await meters.send(number.to_bytes(4, "big") + bytes(NOISE - 4))
        assert answer.status_code == 204
    trace = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    assert [entry["kind"] for entry in trace] == ["refused"] * ROOM
    assert (await meters.send(estate.command().data)).status_code == 200
    trace = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    assert trace[-1]["kind"] == "answered"
