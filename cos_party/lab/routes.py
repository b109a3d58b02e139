"""The lab routes of a CoS Party: its decisions, its counter, its thresholds, its own copies.

Only on the lab port, behind its token. They show and set what operators may; none of them can
make the party sign anything.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from cos_party.model import Thresholds
from cos_party.steps.gather import Gatherer
from cos_party.steps.waiting_changes import no_longer_supported
from cos_party.store import decisions as store
from services.chassis.context import ServiceContext
from services.chassis.data.counters import OriginatorCounter
from services.chassis.lab.routes import After, Limit
from services.link.bodies import Eui, Strict


class ThresholdsBody(Strict):
    """The anomaly detection thresholds.

    Attributes:
        window_seconds: length of the rolling window.
        per_requester: most commands signed for one requester within it.
        total: most commands signed for all together within it.
    """

    window_seconds: int = Field(ge=1, le=366 * 86_400)
    per_requester: int = Field(ge=0, le=2**31 - 1)
    total: int = Field(ge=0, le=2**31 - 1)


def lab_routes(base: ServiceContext, gatherer: Gatherer, counter: OriginatorCounter) -> APIRouter:
    """The party's own lab routes, beside those every party has."""
    router = APIRouter(tags=["lab"])
    party, eui = base.settings.party, base.settings.eui

    @router.get("/lab/decisions")
    async def decisions(
        after: After = 0, limit: Limit = 1000, transaction: str | None = None
    ) -> dict[str, Any]:
        """Every decision in the order taken; `after` and `limit` page through them."""
        async with base.database.connect() as conn:
            listed = await store.list_decisions(
                conn, after=after, limit=limit, transaction=transaction
            )
        return {"party": party, "decisions": listed}

    @router.get("/lab/counters")
    async def counters() -> dict[str, Any]:
        """The originator counter: the last value used."""
        async with base.database.connect() as conn:
            return {"party": party, "originator": eui, "last": await counter.last(conn)}

    @router.get("/lab/thresholds")
    async def thresholds() -> dict[str, Any]:
        """The thresholds in force."""
        async with base.database.connect() as conn:
            return _shown(await gatherer.thresholds(conn))

    @router.put("/lab/thresholds")
    async def set_thresholds(body: ThresholdsBody) -> dict[str, Any]:
        """Set the thresholds; recorded in the audit log with the act."""
        new = Thresholds.of(body.window_seconds, body.per_requester, body.total)
        async with base.database.begin() as conn:
            await base.audit.append(conn, "lab.thresholds", party, _shown(new))
            await store.write_thresholds(conn, new)
        return _shown(new)

    @router.get("/lab/grounds")
    async def grounds() -> dict[str, Any]:
        """Signed changes that wait for their date and that registration no longer bears out."""
        async with base.database.connect() as conn:
            lost = await no_longer_supported(conn, base.clock.now())
        listed = [
            {
                "request_id": change.request_id,
                "requester": change.requester,
                "mpxn": change.mpxn,
                "at": None if change.at is None else change.at.isoformat(),
            }
            for change in lost
        ]
        return {"party": party, "without_ground": listed}

    @router.post("/lab/sync")
    async def sync() -> dict[str, Any]:
        """Pull registration data and revocation lists now, as before every decision."""
        pulled = await gatherer.puller.sync()
        return {
            "party": party,
            "registration": pulled.registration,
            "revocation": pulled.revocation,
        }

    @router.get("/lab/devices/{device}")
    async def device(device: Eui) -> dict[str, Any]:
        """What this party knows of a device's cells, by the device's own signed word."""
        async with base.database.connect() as conn:
            return {"party": party, "eui": device, "cells": await store.device_cells(conn, device)}

    return router


def _shown(thresholds: Thresholds) -> dict[str, Any]:
    return {
        "window_seconds": int(thresholds.window.total_seconds()),
        "per_requester": thresholds.per_requester,
        "total": thresholds.total,
    }
