"""The meters' process: settings, seed, store, workflow, application.

Run with ``python -m meter_sim.main --config FILE``. The only place where the device seed is
opened; what leaves here is what a device does with its keys, never the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keys.stores.software import open_store
from meter_sim.api import wan_routes
from meter_sim.checks import meter_checks
from meter_sim.device.quirks import QUIRKS
from meter_sim.factory.own_keys import Fleet
from meter_sim.lab.alerts import alert_routes
from meter_sim.lab.blocks import block_routes
from meter_sim.lab.faults import fault_routes
from meter_sim.lab.fleets import fleet_routes
from meter_sim.lab.routes import lab_routes
from meter_sim.settings import MeterSettings
from meter_sim.steps.alerts_kept import SecurityAlerts
from meter_sim.steps.due_watch import DueWatch
from meter_sim.steps.outbound import AlertPush
from meter_sim.steps.power import Power
from meter_sim.steps.workflow import Workflow, message_reference, no_step
from meter_sim.store.devices import DeviceStore
from meter_sim.store.tables import metadata
from meter_sim.wan.blocks import Blocks
from meter_sim.wan.network import Wan
from services.chassis import app
from services.chassis.checks import CheckBook
from services.chassis.context import ServiceContext
from services.chassis.settings import load_settings
from services.chassis.web import http

AUTHORITY = Path(__file__).parent / "authority.toml"


async def build(settings: MeterSettings) -> app.Service:
    """Open the seed and put the service together."""
    fleet = Fleet(open_store(settings.data).device_keys())
    return await assemble(settings, fleet, http.Caller())


async def assemble(
    settings: MeterSettings,
    fleet: Fleet,
    client: http.Caller | http.Client,
    on_step: Callable[[str], None] = no_step,
) -> app.Service:
    """Put the service together around its devices' keys and the client that Alerts leave by.

    `on_step` is told each step the workflow has passed (see meter_sim.steps.workflow).
    """
    base = await ServiceContext.open(settings, CheckBook(settings.party, meter_checks()), metadata)
    async with base.closed_on_failure():
        base.expose(client, otherwise="alerts")
        base.quirks.declare(QUIRKS)
        base.faults.reference = message_reference
        devices = DeviceStore()
        push = AlertPush(base.outbox, client, settings.alert_url)
        power = Power()
        alerts = SecurityAlerts(devices, push, enabled=settings.security_alerts)
        workflow = Workflow(
            base, devices, fleet.keys_of, push, power, alerts=alerts, on_step=on_step
        )
        blocks = Blocks(base, workflow, power, settings.block_size)
        push.speak_by(blocks.alert_frames)
        wan = Wan(base, blocks, push)
        forgetting = [wan.forget, power.forget, blocks.forget]
        watch = DueWatch(base, devices, workflow, power)
        return app.Service(
            base,
            authority_file=AUTHORITY,
            routers=[wan_routes(wan)],
            lab_routers=[
                lab_routes(base, devices, fleet.public_key, forgetting),
                fleet_routes(base, devices, fleet.public_key, forgetting),
                fault_routes(base, devices, wan, workflow, power),
                alert_routes(base, devices, alerts),
                block_routes(base, devices, blocks),
            ],
            on_start=[watch.start],
            on_reset=[
                wan.recover,
                blocks.recover,
                workflow.mend_keys,
                power.restore,
                alerts.restore,
            ],
            on_stop=[client.aclose, watch.stop, wan.stop],
        )


def main() -> None:
    """Start the meters and serve until stopped."""
    settings = load_settings(MeterSettings)
    app.run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
