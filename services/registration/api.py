"""Registration's interface: one question over the signed link."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from services.link.openapi import link_body
from services.link.opened import Opened
from services.link.server import LinkServer
from services.registration.model import ExtractQuestion
from services.registration.workflow import Registration


def link_routes(link: LinkServer, registration: Registration) -> APIRouter:
    """The routes of the interface."""
    router = APIRouter(tags=["link"])

    @router.post(
        "/link/registration-extract",
        openapi_extra=link_body(ExtractQuestion, {"version": 1, "known": 7}),
    )
    @link.route("registration-extract")
    async def registration_extract(opened: Opened) -> dict[str, Any]:
        """The whole register at its present number, or word that the caller's is current."""
        return await registration.extract(opened)

    return router
