"""Lab route: whether a device is sent its commands in blocks. One act for a home."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from acb.checks import PARTY
from acb.steps.context import Parts
from acb.store import records
from acb.store.block_sizes import BlockSize, find_block_size, put_block_size
from services.chassis.web.problems import Problem


class Blocks(BaseModel):
    """Octets of message to a block; 0: whole messages; null: as the setting says."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: BlockSize | None


def routes(parts: Parts) -> APIRouter:
    """What the lab asks and sets about blocks."""
    router = APIRouter(tags=["blocks"])
    database = parts.base.database

    async def told(eui: str) -> dict[str, Any]:
        async with database.connect() as conn:
            recorded = await find_block_size(conn, eui)
        return {"eui": eui, "size": recorded, "in_force": await parts.wan.size_of(eui) or 0}

    async def must_know(eui: str) -> None:
        async with database.connect() as conn:
            if await records.find_device(conn, eui) is None:
                raise Problem(404, "No such device", "not in the inventory", party=PARTY)

    @router.get("/lab/devices/{eui}/blocks")
    async def show(eui: str) -> dict[str, Any]:
        await must_know(eui)
        return await told(eui)

    @router.put("/lab/devices/{eui}/blocks")
    async def change(eui: str, blocks: Blocks) -> dict[str, Any]:
        await must_know(eui)
        async with database.begin() as conn:
            await put_block_size(conn, eui, blocks.size)
            await parts.base.audit.append(conn, "lab.blocks", eui, {"size": blocks.size})
        return await told(eui)

    return router
