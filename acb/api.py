"""The broker's interface: users on one side, devices' unasked messages on the other. Thin.

``POST /service-requests``                  application/xml in, signed DUIS Response out
``GET  /service-requests/{id}[?wait=s]``    JSON: how far the request has come; the identifier in
                                            either case
``POST /device-messages``                   application/octet-stream (GBCS) in, 204; for a block
                                            of a message of which more is to come: 200 and an
                                            acknowledgement (GBCS, see `acb.peers.blocks`)

Problem documents are given only until the sender is known: see `acb.rules.request`.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from acb.checks import PARTY
from acb.lab.api_examples import JSON, REFUSED_BY, REQUEST, RESPONSE, STATUS
from acb.model import UNDER_WAY, Refusal, State
from acb.peers.outbound import OCTETS, XML
from acb.rules.response import MESSAGE_CHECKS, MESSAGE_SECTION
from acb.steps.context import Context
from acb.steps.device_messages import DeviceMessages
from acb.steps.intake import Intake
from acb.store import requests as store
from gbcs.block_transfer import is_block
from services.chassis.data.spelling import spelled
from services.chassis.log import about, note
from services.chassis.web.openapi import body, content
from services.chassis.web.problems import Problem

LONGEST_WAIT: Final = 60.0
"""Seconds a caller may wait for a request to settle."""

_MOVING: Final = {State.ACCEPTED, *UNDER_WAY}


def routes(context: Context, intake: Intake, devices: DeviceMessages) -> APIRouter:
    """The interface's routes."""
    router = APIRouter()

    @router.post(
        "/service-requests",
        response_class=Response,
        responses={
            200: {
                "description": "A signed DUIS Response: the acknowledgement (I99), the answer "
                "itself, or the refusal, which Cos-Check names.",
                "content": content(XML, example=RESPONSE),
                "headers": {
                    name: {"description": says, "schema": {"type": "string"}}
                    for name, says in REFUSED_BY.items()
                },
            }
        },
        openapi_extra=body(
            "A signed DUIS 5.4 Request, without comments and white space between elements.",
            content(XML, example=REQUEST),
        ),
    )
    async def receive_service_request(request: Request) -> Response:
        """Take a service request.

        Until it is known who asks, a refusal is a problem document; from then on it is a signed
        Response with a response code.
        """
        answer = await intake.receive(request.headers.get("content-type"), await request.body())
        if check := answer.headers.get("Cos-Check"):
            note(verdict="refused", check=check)
        return Response(answer.document, media_type=XML, headers=answer.headers)

    @router.get(
        "/service-requests/{request_id}",
        responses={200: {"description": "How far it is.", "content": content(JSON, **STATUS)}},
    )
    async def get_service_request(
        request_id: str, wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0.0
    ) -> dict[str, Any]:
        """How far a request has come; with `wait`, when it has ended or that many seconds passed.

        `request_id` as in the document: `02-53-...:02-53-...:1`. Documents are in base64.
        """
        request_id = spelled(request_id)

        async def read() -> dict[str, Any] | None:
            return await _status_of(context, request_id)

        status = await context.base.changes.wait(
            request_id, read, lambda seen: seen is None or _settled(seen), wait
        )
        if status is None:
            raise Problem(404, "No such request", "no request of this identifier", party=PARTY)
        about(duis_request_id=request_id)
        return status

    @router.post(
        "/device-messages",
        status_code=204,
        responses={
            200: {
                "description": "An acknowledgement of a block of which more is to come (GBCS).",
                "content": content(OCTETS),
            },
            204: {"description": "It was taken."},
        },
        openapi_extra=body("A GBCS message, octets as the device sent it.", content(OCTETS)),
    )
    async def receive_device_message(request: Request) -> Response:
        """Take what a device sends unasked: an alert, or a late response."""
        run = context.base.book.start("device message", MESSAGE_SECTION)
        run.apply(MESSAGE_CHECKS[0], request.headers.get("content-type"))
        octets = await request.body()
        if not is_block(octets):
            await devices.receive(octets)
            return Response(status_code=204)
        taken = await context.blocks.take(octets)
        if taken.message is None:
            return Response(taken.reply, media_type=OCTETS) if taken.reply else Response(None, 204)
        try:
            await devices.receive(taken.message)
        except BaseException:
            context.blocks.forget(taken.block.transfer)
            raise
        return Response(status_code=204)

    return router


def _settled(status: dict[str, Any]) -> bool:
    return State(status["state"]) not in _MOVING


async def _status_of(context: Context, request_id: str) -> dict[str, Any] | None:
    async with context.base.database.connect() as conn:
        tracked = await store.find_request(conn, request_id)
        refused = None if tracked else await store.find_refusal(conn, request_id)
    if tracked is not None:
        return {
            "request_id": tracked.request_id,
            "state": tracked.state.value,
            "response_code": tracked.response_code,
            "acknowledgement": _text(tracked.acknowledgement),
            "response": _text(tracked.response),
            "refused": _refusal(tracked.refusal),
        }
    if refused is None:
        return None
    return {
        "request_id": request_id,
        "state": State.REFUSED.value,
        "response_code": refused.code,
        "acknowledgement": None,
        "response": _text(refused.response),
        "refused": _refusal(Refusal(refused.party, refused.check_id, refused.detail, refused.code)),
    }


def _refusal(why: Refusal | None) -> dict[str, str] | None:
    if why is None:
        return None
    return {"party": why.party, "check": why.check, "detail": why.detail}


def _text(octets: bytes | None) -> str | None:
    return None if octets is None else base64.b64encode(octets).decode("ascii")
