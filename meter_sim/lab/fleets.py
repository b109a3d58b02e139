"""Lab routes for fleets: devices by the million, none of which costs anything until it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from meter_sim.factory.installation import PublicKeyOf, make
from meter_sim.lab.routes import PARTY, DeviceOrder, factory_order
from meter_sim.store import fleets
from meter_sim.store.devices import DeviceStore
from services.chassis.context import ServiceContext
from services.chassis.web.problems import Problem

MOST = 1 << 32
"""As many EUI-64s as the simulated prefix leaves."""


class FleetOrder(DeviceOrder):
    """Devices to install, all alike: `count` of them from `first_eui` on. No own certificates."""

    model_config = ConfigDict(extra="forbid", strict=True)

    eui: str = Field(alias="first_eui")
    count: int = Field(ge=1, le=MOST)
    certificates: dict[str, str] = Field(default_factory=dict, max_length=0)


def fleet_routes(
    base: ServiceContext,
    devices: DeviceStore,
    public_key_of: PublicKeyOf,
    forgetting: Sequence[Callable[[str], None]],
) -> APIRouter:
    """Routes for testers. `forgetting`: told of each changed device of a disbanded fleet."""
    router = APIRouter(tags=["fleets"])

    @router.post("/lab/fleets", status_code=201)
    async def install(order: FleetOrder, response: Response) -> dict[str, Any]:
        first = make(factory_order(order, order.count), public_key_of, base.book)
        eui = first.state.eui
        last = fleets.eui_of(int(eui, 16) + order.count - 1)
        async with base.database.begin() as conn:
            taken = await fleets.clash(conn, eui, last)
            if taken == eui and await devices.factory(conn, eui) == first.factory:
                response.status_code = 200
            elif taken is not None:
                raise _taken(taken)
            else:
                await devices.install_fleet(conn, first, order.count, base.clock.now())
                record = {"factory": first.factory, "last": last, "count": order.count}
                await base.audit.append(conn, "lab.install_fleet", eui, record)
        installed = order.count if response.status_code != 200 else 0
        return {"first_eui": eui, "last_eui": last, "installed": installed}

    @router.get("/lab/fleets")
    async def show() -> dict[str, Any]:
        async with base.database.connect() as conn:
            return {"fleets": await fleets.listed(conn)}

    @router.delete("/lab/fleets/{first_eui}", status_code=204)
    async def disband(first_eui: str) -> Response:
        async with base.database.begin() as conn:
            changed = await fleets.disband(conn, first_eui)
            if changed is None:
                detail = f"no fleet begins with {first_eui}"
                raise Problem(404, "No such fleet", detail, party=PARTY)
            await base.audit.append(conn, "lab.disband", first_eui, {"changed": len(changed)})
        for forget in forgetting:
            for eui in changed:
                forget(eui)
        return Response(status_code=204)

    return router


def _taken(eui: str) -> Problem:
    return Problem(
        409,
        "Something of these names is installed",
        f"{eui} stands between the first and the last: scrap or disband it first",
        party=PARTY,
        check="meter.install.new",
    )
