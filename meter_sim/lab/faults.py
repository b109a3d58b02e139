"""Lab routes for what can go wrong around and inside one device. Each is undone by `/lab/reset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from meter_sim.device.model import OwnKeyFault
from meter_sim.lab.routes import PARTY, known
from meter_sim.steps.power import STEPS, Power
from meter_sim.steps.workflow import Workflow
from meter_sim.store.devices import DeviceStore
from meter_sim.wan.network import Wan
from services.chassis.context import ServiceContext
from services.chassis.faults.orders import Direction, FaultError, FaultOrder, Kind, Match, Part
from services.chassis.lab.faults import no_such_fault
from services.chassis.web.problems import Problem

KINDS: Final = {
    Kind.DROP: "lose",
    Kind.DELAY: "delay",
    Kind.DUPLICATE: "duplicate",
    Kind.REORDER: "reorder",
}
"""What the network can do to what it carries, by its name in an order."""

WAYS: Final = {Part.REQUEST: "messages", Part.ANSWER: "answers"}

Count = Annotated[int, Field(ge=0, le=1000)]


class WanRequest(BaseModel):
    """How many messages to, and answers from, one device the WAN shall treat how.

    Of the next `among` each way (at least as many as are counted), in this order or, with a
    `seed`, drawn from it. See meter_sim.wan.network.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    lose_messages: Count = 0
    lose_answers: Count = 0
    delay_messages: Count = 0
    delay_answers: Count = 0
    duplicate_messages: Count = 0
    duplicate_answers: Count = 0
    reorder_messages: Count = 0
    reorder_answers: Count = 0
    delay_seconds: float = Field(default=0, ge=0, le=31_536_000, allow_inf_nan=False)
    among: int = Field(default=0, ge=0, le=10_000)
    seed: int | None = None

    def orders(self, eui: str) -> Iterator[FaultOrder]:
        """As the chassis takes them: of what one fault leaves alone, the next one draws."""
        for part, way in WAYS.items():
            counts = {kind: getattr(self, f"{name}_{way}") for kind, name in KINDS.items()}
            among = max(self.among, sum(counts.values()))
            for number, (kind, times) in enumerate(counts.items()):
                if times:
                    yield FaultOrder(
                        kind,
                        Direction.DEVICE,
                        part,
                        match=Match(device=eui),
                        times=times,
                        among=among,
                        seed=None if self.seed is None else len(KINDS) * self.seed + number,
                        seconds=self.delay_seconds if kind is Kind.DELAY else None,
                    )
                among -= times


class PowerOrder(BaseModel):
    """On or off now; and after which step of its next doing the device shall go off."""

    model_config = ConfigDict(extra="forbid", strict=True)

    on: bool = True
    off_after_step: str | None = None


class KeyStoreOrder(BaseModel):
    """What shall fail in one device's key store from now on; nothing mends it."""

    model_config = ConfigDict(extra="forbid")

    fails: frozenset[OwnKeyFault]


def fault_routes(
    base: ServiceContext, devices: DeviceStore, wan: Wan, workflow: Workflow, power: Power
) -> APIRouter:
    """Routes for testers: the network, the power, the key store."""
    router = APIRouter(tags=["faults"])

    async def ordered(kind: str, eui: str, order: dict[str, Any]) -> None:
        async with base.database.begin() as conn:
            await known(devices, conn, eui)
            await base.audit.append(conn, kind, eui, order)

    def shown_wan(eui: str) -> dict[str, Any]:
        left = {f"{name}_{way}": 0 for name in KINDS.values() for way in WAYS.values()}
        for armed in base.faults.carried_to(eui):
            name = f"{KINDS[armed.order.kind]}_{WAYS[armed.order.part]}"
            left[name] += armed.still_to_come or 0
        loses = {way: left[f"lose_{way}"] for way in WAYS.values()}
        return {"eui": eui, "loses": loses, "left": left, "on_the_way": wan.on_the_way(eui)}

    def shown_power(eui: str) -> dict[str, Any]:
        on, after = power.is_on(eui), power.off_after(eui)
        return {"eui": eui, "on": on, "off_after_step": after, "steps": list(STEPS)}

    @router.get("/lab/devices/{eui}/wan")
    async def show_wan(eui: str) -> dict[str, Any]:
        return shown_wan(eui)

    @router.put("/lab/devices/{eui}/wan")
    async def disturb(eui: str, order: WanRequest) -> dict[str, Any]:
        await ordered("lab.wan", eui, order.model_dump(exclude_defaults=True))
        try:
            base.faults.replace(eui, order.orders(eui))
        except FaultError as error:
            raise no_such_fault(PARTY, error) from None
        return shown_wan(eui)

    @router.get("/lab/devices/{eui}/power")
    async def show_power(eui: str) -> dict[str, Any]:
        return shown_power(eui)

    @router.put("/lab/devices/{eui}/power")
    async def switch(eui: str, order: PowerOrder) -> dict[str, Any]:
        if order.off_after_step is not None and order.off_after_step not in STEPS:
            detail = f"the steps are {', '.join(STEPS)}"
            raise Problem(422, "No such step", detail, party=PARTY)
        await ordered("lab.power", eui, order.model_dump())
        power.order(eui, on=order.on, off_after_step=order.off_after_step)
        return shown_power(eui)

    @router.put("/lab/devices/{eui}/key-store")
    async def break_keys(eui: str, order: KeyStoreOrder) -> dict[str, Any]:
        fails = sorted(order.fails)
        await ordered("lab.key_store", eui, {"fails": fails})
        workflow.break_keys(eui, order.fails)
        return {"eui": eui, "fails": fails}

    return router
