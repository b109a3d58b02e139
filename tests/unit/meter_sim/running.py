"""The meters' service in this process, with somebody to push Alerts to."""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gbcs.payloads.credentials import CellId
from keys.certificate import Certificate
from meter_sim import main
from meter_sim.device.device_types import DeviceType
from meter_sim.lab.faults import WanRequest
from meter_sim.settings import MeterSettings
from meter_sim.steps.due_watch import DueWatch
from meter_sim.steps.workflow import Workflow
from services.chassis.app import Service
from services.chassis.faults.board import Armed
from services.chassis.faults.exchange import ExchangeFacts
from services.chassis.faults.orders import Kind, Part
from services.chassis.settings import Listen
from services.chassis.web import http
from tests.unit.meter_sim.estate import DEVICE, NOW, Estate

TOKEN = "a token of the lab port"
OCTETS = {"content-type": "application/octet-stream"}


class CrashedError(Exception):
    """The process died here, as far as the store can tell."""


@dataclass
class Running:
    """A running service, its WAN side, its lab port and the Alerts it has pushed."""

    estate: Estate
    service: Service
    wan: httpx.AsyncClient
    lab: httpx.AsyncClient
    alerts: list[bytes] = field(default_factory=list)
    alert_status: int = 202
    crash_at: str | None = None
    alerted: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    async def start(cls, estate: Estate, folder: Path, **more: Any) -> Running:
        token = folder / "lab.token"
        if not token.exists():
            token.write_text(TOKEN)
            token.chmod(0o600)
        settings = MeterSettings(
            party="meter_sim",
            data=folder,
            interface=Listen(port=0),
            lab=Listen(port=0),
            alert_url="http://acb/device-messages",
            **more,
        )
        alerts: list[bytes] = []
        found: list[Running] = []

        def answer(request: httpx.Request) -> httpx.Response:
            assert request.headers["content-type"] == "application/octet-stream"
            alerts.append(request.content)
            found[0].alerted.set()
            return httpx.Response(found[0].alert_status)

        def passed(step: str) -> None:
            if found and found[0].crash_at == step:
                raise CrashedError(step)

        outside = http.client(transport=httpx.MockTransport(answer))
        service = await main.assemble(settings, estate.fleet, outside, passed)
        service.base.clock.set(NOW)
        await service.start()
        wan = http.client(
            base_url="http://meters", transport=httpx.ASGITransport(service.interface)
        )
        lab = http.client(base_url="http://lab", transport=httpx.ASGITransport(service.lab))
        lab.headers["authorization"] = f"Bearer {TOKEN}"
        found.append(cls(estate, service, wan, lab, alerts))
        return found[0]

    async def stop(self) -> None:
        await self.wan.aclose()
        await self.lab.aclose()
        await self.service.stop()

    @property
    def workflow(self) -> Workflow:
        """The workflow inside, which no interface shows."""
        watch = next(s.__self__ for s in self.service._on_start if isinstance(s.__self__, DueWatch))
        return watch._workflow

    async def executed(self) -> None:
        """Return when nothing is due any more (the watch does the same by itself)."""
        await self.workflow.execute_due()

    async def settled(self) -> None:
        """Return when nothing is due any more and every Alert has been tried."""
        await asyncio.sleep(0)  # what was released runs: no call of a test has to wait for anything
        await self.executed()
        await self.service.base.outbox.idle()

    async def install(
        self,
        device_type: DeviceType = DeviceType.ESME,
        eui: str = DEVICE,
        cells: dict[CellId, Certificate] | None = None,
    ) -> httpx.Response:
        return await self.lab.post("/lab/devices", json=self.order(device_type, eui, cells))

    def order(
        self,
        device_type: DeviceType = DeviceType.ESME,
        eui: str = DEVICE,
        cells: dict[CellId, Certificate] | None = None,
    ) -> dict[str, Any]:
        held = self.estate.cells(device_type) if cells is None else cells
        return {
            "eui": eui,
            "device_type": device_type.value,
            "cells": {cell.name: base64.b64encode(one.der).decode() for cell, one in held.items()},
        }

    async def send(self, data: bytes, eui: str = DEVICE) -> httpx.Response:
        return await self.wan.post(f"/devices/{eui}/messages", content=data, headers=OCTETS)

    async def device(self, eui: str = DEVICE) -> dict[str, Any]:
        answer = await self.lab.get(f"/lab/devices/{eui}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def get(self, path: str) -> Any:
        answer = await self.lab.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def switch(self, check: str, *, enabled: bool) -> None:
        answer = await self.lab.put(f"/lab/checks/{check}", json={"enabled": enabled})
        assert answer.status_code == 200, answer.text


def drawn(part: Part, count: int = 40, **order: Any) -> list[Kind | None]:
    """What befalls the next ones to or from the device."""
    ordered = [one for one in WanRequest(**order).orders(DEVICE) if one.part is part]
    armed = [Armed("f1", one, deque(one.drawn() or ())) for one in ordered]
    seen = ExchangeFacts("device", "wan", "POST", "/", device=DEVICE)
    return [
        next((one.order.kind for one in armed if one.strikes(seen)), None) for _ in range(count)
    ]
