"""The real meter simulator, in this process, in the place of the stand-in."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from meter_sim.factory.own_keys import Fleet
from meter_sim.main import assemble
from meter_sim.settings import MeterSettings
from services.chassis.app import Service
from services.chassis.web import http
from tests.unit.acb.estate import DEVICE
from tests.unit.acb.world import Surroundings, World


@dataclass
class Meters:
    """Real meters behind the broker's WAN."""

    around: Surroundings
    service: Service
    wan: httpx.ASGITransport
    lab: httpx.AsyncClient
    heard: list[bytes] = field(default_factory=list)

    async def cells(self) -> dict[str, str]:
        told = (await self.lab.get(f"/lab/devices/{DEVICE}")).json()["cells"]
        return {name: held["fingerprint"] for name, held in told.items()}

    async def over_wan(self, request: httpx.Request) -> httpx.Response:
        self.heard.append(request.content)
        return await self.wan.handle_async_request(request)

    async def close(self) -> None:
        """Stop them; who may still send to them must have been stopped before."""
        await self.around.wire.quiet()
        await self.lab.aclose()
        await self.service.stop()


async def install_meters(around: Surroundings, folder: Path) -> Meters:
    """Put real meters in the place of the stand-in, as the ceremony made them."""
    data = around.estate.data / "meter_sim"
    settings = MeterSettings.model_validate_json(
        json.dumps(
            {
                "party": "meter_sim",
                "data": str(data),
                "database": f"sqlite:///{folder}/meters.sqlite3",
                "interface": {"port": 0},
                "lab": {"port": 0},
                "alert_url": "http://acb/device-messages",
            }
        )
    )
    fleet = Fleet(around.estate.device_keys)
    service = await assemble(settings, fleet, http.client(transport=around.wire))
    token = (data / "lab.token").read_text().strip()
    lab = httpx.AsyncClient(
        transport=httpx.ASGITransport(service.lab),
        base_url="http://meters",
        headers={"Authorization": f"Bearer {token}"},
    )
    for device in around.estate.devices.values():
        names = ("eui", "device_type", "cells", "certificates")
        answer = await lab.post("/lab/devices", json={name: device[name] for name in names})
        assert answer.is_success, answer.text
    meters = Meters(around, service, httpx.ASGITransport(service.interface), lab)
    around.wire.hosts["meter_sim"] = httpx.MockTransport(meters.over_wan)
    return meters


async def recorded(world: World) -> dict[str, Any]:
    """What the broker's record says each cell of the device holds."""
    return {name: held["fingerprint"] for name, held in (await world.record())["cells"].items()}
