"""The edge of a listener: what every request meets before any route, as plain ASGI.

From outside in: `RequestLine` (one canonical log line, and bugs become a fixed sentence), then on
the interface `BodyGate` (size and encoding, as named checks), on the lab port `LabGate` (bearer
token, and the `Lab-Weakened` header on every answer), `BodyGate` and `Spelled` (identifiers in the
spelling in which they are kept).
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.checks import Check, CheckBook, CheckFailed, Refused
from services.chassis.data.spelling import spelled
from services.chassis.log import collect_notes
from services.chassis.web import openapi
from services.chassis.web.problems import BugGate, Problem, refused_to_problem, render

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz", openapi.PATH})
LAB_BODY_LIMIT: Final = 16 * 1024 * 1024  # octets; a lab may install many devices at once
EDGE_SECTION: Final = "edge"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BodyEvidence:
    """What is known of a request's body: octets seen or declared (the larger), limit, encoding."""

    octets: int
    limit: int
    encoding: str


def _size(evidence: BodyEvidence) -> None:
    if evidence.octets > evidence.limit:
        raise CheckFailed(
            "the request body is too large",
            expected=f"at most {evidence.limit} octets",
            found=f"{evidence.octets} octets or more",
        )


def _encoding(evidence: BodyEvidence) -> None:
    if evidence.encoding not in ("", "identity"):
        raise CheckFailed(
            "the request body is encoded; what is signed and sized is the body itself",
            expected="no content-encoding",
            found=evidence.encoding[:40],
        )


def edge_checks(prefix: str) -> tuple[Check[BodyEvidence], ...]:
    """The two checks of `BodyGate`, named for a party."""
    return (
        Check(
            f"{prefix}.request.encoding",
            "A request body is not encoded",
            "reconstruction: RFC 9110 8.4 allows 415",
            _encoding,
            status=415,
            section=EDGE_SECTION,
        ),
        Check(
            f"{prefix}.request.size",
            "A request body is within the size limit",
            "reconstruction: RFC 9110 15.5.14",
            _size,
            status=413,
            section=EDGE_SECTION,
        ),
    )


class BodyGate:
    """Reads the whole body before any route does, counting what arrives, not what was declared."""

    def __init__(self, app: ASGIApp, *, book: CheckBook, limit: int) -> None:
        self._app = app
        self._book = book
        self._limit = limit
        by_name = {check.id.rpartition(".")[2]: check for check in book.section(EDGE_SECTION)}
        self._encoding, self._size = by_name["encoding"], by_name["size"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        encoding = ", ".join(headers.getlist("content-encoding")).strip().lower()
        try:
            body = await self._read(receive, _declared(headers), encoding)
        except Refused as refused:
            await render(refused_to_problem(refused), scope["path"])(scope, receive, send)
            return
        if body is None:
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive, declared: int, encoding: str) -> bytes | None:
        """The body, or None if the client left. Runs both checks exactly once."""
        run = self._book.start("edge", EDGE_SECTION)
        run.apply(self._encoding, BodyEvidence(declared, self._limit, encoding))
        size_is_off = self._book.is_off(self._size)
        chunks: list[bytes] = []
        seen, more = 0, declared <= self._limit or size_is_off
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            seen += len(chunk)
            chunks.append(chunk)
            more = message.get("more_body", False) and (seen <= self._limit or size_is_off)
        run.apply(self._size, BodyEvidence(max(seen, declared), self._limit, encoding))
        run.approve()
        return b"".join(chunks)


def _declared(headers: Headers) -> int:
    """The declared length; 0 if there is none. The server has already refused nonsense."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


class LabGate:
    """Lets in who holds the lab token, and says on every answer how the party is weakened."""

    def __init__(self, app: ASGIApp, *, book: CheckBook, token: str) -> None:
        if not token:
            raise ValueError("an empty lab token would let anyone in")
        self._app = app
        self._book = book
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def weakened(message: Message) -> None:
            # Read when the answer begins, so that the act that weakens already shows it.
            if message["type"] == "http.response.start" and (now := self._book.weakened):
                MutableHeaders(scope=message)["Lab-Weakened"] = ", ".join(now)
            await send(message)

        if scope["path"] in OPEN_PATHS or self._holds_token(scope):
            await self._app(scope, receive, weakened)
            return
        problem = Problem(
            401,
            "The lab port needs its token",
            "send the lab token of this party as bearer token",
            party=self._book.party,
            check="lab.token",
            headers={"WWW-Authenticate": 'Bearer realm="lab"'},
        )
        await render(problem, scope["path"])(scope, receive, weakened)

    def _holds_token(self, scope: Scope) -> bool:
        shown = Headers(scope=scope).getlist("authorization")
        if len(shown) != 1:
            return False
        scheme, _, token = shown[0].partition(" ")
        presented = token.strip().encode("latin-1", "replace")
        return hmac.compare_digest(presented, self._token) and scheme.lower() == "bearer"


class Spelled:
    """Spells every segment of a path and every value of a query as it is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            scope = {**scope, "path": "/".join(map(spelled, scope["path"].split("/")))}
            asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            meant = [(name, spelled(value)) for name, value in asked]
            if meant != asked:
                scope["query_string"] = urlencode(meant).encode("ascii")
        await self._app(scope, receive, send)


class RequestLine:
    """Writes one canonical line per request; turns what nobody caught into a fixed sentence."""

    def __init__(
        self, app: ASGIApp, *, book: CheckBook, listener: str, route_of: Callable[[Scope], str]
    ) -> None:
        self._app = BugGate(app, party=book.party)
        self._book = book
        self._listener = listener
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status: int | None = None

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with collect_notes() as notes:
            await self._app(scope, receive, watched)
            facts = self._facts(scope, status, notes, time.perf_counter() - started)
        if scope["path"] in OPEN_PATHS:
            _log.debug("request", **facts)
        else:
            _log.info("request", **facts)

    def _facts(
        self, scope: Scope, status: int | None, notes: dict[str, Any], took: float
    ) -> dict[str, Any]:
        client = scope.get("client")
        facts: dict[str, Any] = {
            "party": self._book.party,
            "listener": self._listener,
            "route": self._route_of(scope),
            "status": status,
            "caller": client[0] if client else None,
            "request_id": secrets.token_hex(8),
            "verdict": None,
            "check": None,
            "took_ms": round(took * 1000, 2),
            "weakened": self._book.weakened,
        }
        facts["verdict"] = _verdict(status)
        return facts | notes


def _verdict(status: int | None) -> str:
    """What the status says, where no check has said more."""
    if status is None:
        return "unanswered"
    if status < 400:
        return "accepted"
    return "refused" if status < 500 else "failed"
