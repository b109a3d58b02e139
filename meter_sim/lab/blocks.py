"""Lab routes for messages in blocks: what a device is in the middle of, and its own block size."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from meter_sim.lab.routes import known
from meter_sim.settings import SMALLEST_BLOCK
from meter_sim.store.devices import DeviceStore
from meter_sim.wan.blocks import Blocks
from services.chassis.context import ServiceContext


class BlockSize(BaseModel):
    """Octets of message to a block of what the device says; until `/lab/reset`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: Annotated[int, Field(ge=SMALLEST_BLOCK, le=65_535)]


def block_routes(base: ServiceContext, devices: DeviceStore, blocks: Blocks) -> APIRouter:
    """Routes for testers."""
    router = APIRouter(tags=["blocks"])

    @router.get("/lab/devices/{eui}/blocks")
    async def show(eui: str) -> dict[str, Any]:
        async with base.database.connect() as conn:
            await known(devices, conn, eui)
        return blocks.shown(eui)

    @router.put("/lab/devices/{eui}/blocks")
    async def set_size(eui: str, order: BlockSize) -> dict[str, Any]:
        async with base.database.begin() as conn:
            await known(devices, conn, eui)
            await base.audit.append(conn, "lab.blocks", eui, order.model_dump())
        blocks.set_size(eui, order.size)
        return blocks.shown(eui)

    return router
