"""Lab route: whether a device is sent its commands in blocks. One act for a home."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from acb.lab.routes import device_of
from acb.steps.context import Context
from acb.store.block_sizes import BlockSize, find_block_size, put_block_size
from services.chassis.settings import Strict


class Blocks(Strict):
    """Octets of message to a block; 0: whole messages; null: as the setting says."""

    size: BlockSize | None


def routes(context: Context) -> APIRouter:
    """What the lab asks and sets about blocks."""
    router = APIRouter(tags=["blocks"])
    database = context.base.database

    async def settings_of(eui: str) -> dict[str, Any]:
        async with database.connect() as conn:
            recorded = await find_block_size(conn, eui)
        return {"eui": eui, "size": recorded, "in_force": await context.wan.size_of(eui) or 0}

    @router.get("/lab/devices/{eui}/blocks")
    async def show(eui: str) -> dict[str, Any]:
        await device_of(context, eui)
        return await settings_of(eui)

    @router.put("/lab/devices/{eui}/blocks")
    async def change(eui: str, blocks: Blocks) -> dict[str, Any]:
        await device_of(context, eui)
        async with database.begin() as conn:
            await put_block_size(conn, eui, blocks.size)
            await context.base.audit.append(conn, "lab.blocks", eui, {"size": blocks.size})
        return await settings_of(eui)

    return router
