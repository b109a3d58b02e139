"""The interface of a CoS Party: three routes, all of the signed link, for the broker alone.

Thin: each reads its strict body and hands an `Incoming` to the workflow. Which system may call
which is in the organisation's `authority.toml`.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter

from cos_party.model import Incoming
from cos_party.peers.wire import CosCommandBody, DeviceReturnBody
from cos_party.steps.device_messages import DeviceReturns
from cos_party.steps.sign_command import CosWorkflow
from services.link.bodies import octets
from services.link.openapi import link_body
from services.link.opened import Opened
from services.link.server import LinkServer

TRANSACTION: Final = "3f2b8c1e-6d0a-4c55-9d53-0d2c8f6f1a10"
"""One in the description of the interface."""


def link_routes(link: LinkServer, workflow: CosWorkflow, returns: DeviceReturns) -> APIRouter:
    """The routes of the interface."""
    router = APIRouter(tags=["link"])

    @router.post(
        "/link/cos-command",
        openapi_extra=link_body(
            CosCommandBody,
            {"version": 1, "transaction": TRANSACTION, "service_request": "PHNyOi4uLg=="},
        ),
    )
    @link.route("cos-command")
    async def cos_command(opened: Opened) -> dict[str, Any]:
        """A service request to be checked and signed for; answers with the signed command."""
        body = opened.read(CosCommandBody)
        return await workflow.command(
            Incoming(opened, body.transaction, octets(body.service_request))
        )

    @router.post(
        "/link/device-response",
        openapi_extra=link_body(
            DeviceReturnBody, {"version": 1, "transaction": TRANSACTION, "message": "PHNyOi4uLg=="}
        ),
    )
    @link.route("device-response")
    async def device_response(opened: Opened) -> dict[str, Any]:
        """A device's response to a command this party signed."""
        return await _device_return(opened)

    @router.post(
        "/link/device-alert",
        openapi_extra=link_body(
            DeviceReturnBody, {"version": 1, "transaction": TRANSACTION, "message": "PHNyOi4uLg=="}
        ),
    )
    @link.route("device-alert")
    async def device_alert(opened: Opened) -> dict[str, Any]:
        """A device's alert about a future-dated command this party signed."""
        return await _device_return(opened)

    async def _device_return(opened: Opened) -> dict[str, Any]:
        body = opened.read(DeviceReturnBody)
        return await returns.take(Incoming(opened, body.transaction, octets(body.message)))

    return router
