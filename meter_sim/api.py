"""The WAN side: octets in, octets out. What is decided is decided in the workflow."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from meter_sim.device.rules.reception import OCTETS
from meter_sim.wan.network import Wan
from services.chassis.web.openapi import body, content


def wan_routes(wan: Wan) -> APIRouter:
    """The one route by which devices are reached."""
    router = APIRouter(tags=["wan"])

    @router.post(
        "/devices/{eui}/messages",
        response_class=Response,
        responses={
            200: {"content": content(OCTETS), "description": "What the device says."},
            204: {"description": "The device says nothing."},
        },
        openapi_extra=body("A GBCS message, octets.", content(OCTETS)),
    )
    async def hear(
        eui: str, request: Request, content_type: Annotated[str, Header()] = ""
    ) -> Response:
        """Carry a message to a device, and back what it says."""
        answer = await wan.carry(eui, await request.body(), content_type)
        if answer is None:
            return Response(status_code=204)
        return Response(answer, media_type=OCTETS)

    return router
