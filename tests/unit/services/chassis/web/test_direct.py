"""Routes served without the framework answer as it would: those that need nothing of it."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from services.chassis.checks import Refused
from services.chassis.data.store import StoreUnwritableError
from services.chassis.web import problems
from services.chassis.web.direct import Direct
from services.chassis.web.problems import Problem

ROUTER = APIRouter()


@ROUTER.post("/octets")
async def octets(request: Request) -> Response:
    return Response(await request.body(), media_type="application/octet-stream")


@ROUTER.post("/devices/{eui}/messages")
async def message(
    eui: str, request: Request, content_type: Annotated[str, Header()] = ""
) -> Response:
    said = f"{eui} {content_type} {len(await request.body())} {request.path_params}"
    return Response(said, media_type="text/plain", status_code=202, headers={"x-y": "z"})


ERRORS: dict[str, Exception] = {
    "problem": Problem(409, "Not twice", "it was there", party="p", check="p.twice"),
    "refused": Refused(party="p", check="p.check", title="t", detail="d", expected="e", found="f"),
    "http": HTTPException(418, "short", headers={"x-tea": "pot"}),
    "store": StoreUnwritableError("full"),
    "bug": ValueError("the passphrase is hunter2"),
}


@ROUTER.post("/errors/{name}")
async def error(name: str) -> Response:
    raise ERRORS[name]


@ROUTER.post("/model")
async def model(body: dict[str, Any]) -> Response:
    return Response(str(body))


@ROUTER.post("/query")
async def query(wait: Annotated[int, Query()] = 0) -> Response:
    return Response(str(wait))


@ROUTER.post("/number/{number}")
async def number(number: int) -> Response:
    return Response(str(number))


@ROUTER.post("/limited")
async def limited(x: Annotated[str, Header(max_length=2)] = "") -> Response:
    return Response(x)


@ROUTER.post("/needed")
async def needed(x: Annotated[str, Header()]) -> Response:
    return Response(x)


def _given() -> str:
    return "given"


@ROUTER.post("/depends")
async def depends(given: Annotated[str, Depends(_given)]) -> Response:
    return Response(given)


@ROUTER.post("/object")
async def as_object(request: Request) -> dict[str, int]:
    return {"octets": len(await request.body())}


@ROUTER.post("/devices/late/messages")
async def late(request: Request) -> Response:
    """Behind a route with a segment that takes its path: whichever serves, order counts."""
    del request
    return Response("late")


@ROUTER.get("/octets")
async def got() -> Response:
    return Response("got")


APP = FastAPI(redirect_slashes=False)
problems.install(APP, party="p", prefix="p")
APP.include_router(ROUTER)
DIRECT = Direct(APP, [ROUTER], party="p", prefix="p")


def test_only_what_needs_nothing_is_served_directly() -> None:
    assert set(DIRECT.served) == {"/octets", "/devices/{eui}/messages", "/errors/{name}"}


async def answered(app: ASGIApp, method: str, path: str, **more: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://p") as client:
        return await client.request(method, path, **more)


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/octets", {"content": b"abc"}),
        ("POST", "/octets?a=b", {"content": b"abc"}),
        ("POST", "/octets/", {}),
        ("GET", "/octets", {}),
        ("PUT", "/octets", {}),
        ("POST", "/devices/0253/messages", {"content": b"x", "headers": {"content-type": "a/b"}}),
        ("POST", "/devices/0253/messages", {"content": b""}),
        ("POST", "/devices/a%2Fb/messages", {}),
        ("POST", "/devices/a%20b/messages", {}),
        ("POST", "/devices//messages", {}),
        ("POST", "/devices/late/messages", {}),
        ("POST", "/devices/0253/messages/more", {}),
        ("GET", "/devices/0253/messages", {}),
        *(("POST", f"/errors/{name}", {}) for name in ERRORS),
        ("POST", "/errors/unknown", {}),
        ("POST", "/model", {"content": b"{"}),
        ("POST", "/nothing", {}),
    ],
)
async def test_it_answers_as_the_framework_does(
    method: str, path: str, more: dict[str, Any]
) -> None:
    ours, theirs = (
        await answered(DIRECT, method, path, **more),
        await answered(APP, method, path, **more),
    )
    assert ours.status_code == theirs.status_code
    assert sorted(ours.headers.multi_items()) == sorted(theirs.headers.multi_items())
    if ours.headers.get("content-type") == problems.MEDIA_TYPE:
        mine, other = ours.json(), theirs.json()
        mine.pop("trace_id", None), other.pop("trace_id", None)
        assert mine == other
        assert "hunter2" not in ours.text
    else:
        assert ours.content == theirs.content
