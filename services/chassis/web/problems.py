"""Problem documents (RFC 9457): the one way in which a service says what went wrong.

Four kinds of failure become a problem here: a refusal by a named check, a `Problem` raised on
purpose, a request that no route or model fits, and a bug. A bug shows a fixed sentence and a trace
id; what happened is in the log and nowhere else.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.checks import Refused
from services.chassis.data.store import StoreUnwritableError
from services.chassis.log import note

MEDIA_TYPE: Final = "application/problem+json"
BUG_SENTENCE: Final = "Something went wrong inside this service. It has been recorded."

_log = structlog.get_logger(__name__)


class Problem(Exception):  # noqa: N818 - the RFC's own name
    """A problem document, raised wherever the answer is decided.

    Attributes are those of RFC 9457 (`type`, `title`, `status`, `detail`) and of this project:
    `party` who says so, `check` which named check, `expected` and `found` where they can be said.
    `extra` are further members of the document; `headers` further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        type: str | None = None,  # noqa: A002 - the RFC's own name
        party: str | None = None,
        check: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.type = type or (f"urn:x-cos:check:{check}" if check else "about:blank")
        self.party = party
        self.check = check
        self.expected = expected
        self.found = found
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def document(self, instance: str) -> dict[str, Any]:
        """The JSON object. `expected` and `found` are left out where nothing can be said."""
        document: dict[str, Any] = dict(self.extra)
        document.update(
            type=self.type,
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=instance,
            party=self.party,
            check=self.check,
        )
        said = {"expected": self.expected, "found": self.found}
        return document | {name: value for name, value in said.items() if value is not None}


def refused_to_problem(refused: Refused) -> Problem:
    """A refusal as a problem document."""
    return Problem(
        refused.status,
        refused.title,
        refused.detail,
        party=refused.party,
        check=refused.check,
        expected=refused.expected,
        found=refused.found,
        extra={"code": refused.code} if refused.code else None,
    )


def unexpected(party: str, error: BaseException) -> Problem:
    """A bug as a problem document; records it in the log under the trace id it shows."""
    trace_id = secrets.token_hex(8)
    note(trace_id=trace_id, error=type(error).__name__)
    _log.error("unexpected exception", trace_id=trace_id, error=type(error).__name__)
    _log.debug("traceback", trace_id=trace_id, exc_info=error)
    return Problem(500, "Internal error", BUG_SENTENCE, party=party, extra={"trace_id": trace_id})


def as_problem(error: Exception, *, party: str, prefix: str) -> Problem:
    """Whatever was raised while answering a request, as a problem document.

    For code that must answer by itself, such as the signed link, which signs its refusals too.

    Args:
        error: What was raised.
        party: Who answers.
        prefix: First part of its checks' identifiers.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return refused_to_problem(error)
    if isinstance(error, StoreUnwritableError):
        return Problem(
            503,
            "Nothing can be written now",
            "the store cannot be written; nothing was done, ask again later",
            party=party,
            check=f"{prefix}.store.writable",
        )
    if isinstance(error, RequestValidationError):
        return _unreadable(error, party, prefix)
    if isinstance(error, HTTPException):
        return _http(error, party, prefix)
    return unexpected(party, error)


def render(problem: Problem, instance: str) -> JSONResponse:
    """The answer that carries a problem document."""
    if problem.check is not None:
        note(verdict="refused", check=problem.check)
    return JSONResponse(
        problem.document(instance),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


class BugGate:
    """Turns what nobody caught into a fixed sentence and a trace id. Plain ASGI."""

    def __init__(self, app: ASGIApp, *, party: str) -> None:
        self._app = app
        self._party = party

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - nothing may cross the wire as it is
            problem = unexpected(self._party, error)
            if scope["type"] == "http" and not begun:
                await render(problem, scope["path"])(scope, receive, send)


def install(app: FastAPI, *, party: str, prefix: str) -> None:
    """Make every failure of `app` a problem document."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        return render(as_problem(error, party=party, prefix=prefix), request.url.path)

    kinds: tuple[type[Exception], ...] = (
        Problem,
        Refused,
        RequestValidationError,
        HTTPException,
        StoreUnwritableError,
    )
    for kind in kinds:
        app.add_exception_handler(kind, answer)
    # Inside the framework's own last resort, which would answer in plain text.
    app.add_middleware(BugGate, party=party)


_ROUTING: Final[Mapping[int, tuple[str, Callable[[str], str]]]] = {
    404: ("route", lambda _: "nothing of that name is here"),
    405: ("method", lambda _: "this method is not served here"),
}


def _http(error: HTTPException, party: str, prefix: str) -> Problem:
    status = error.status_code
    name, detail = _ROUTING.get(status, ("http", lambda said: said))
    return Problem(
        status,
        HTTPStatus(status).phrase,
        detail(str(error.detail)),
        party=party,
        check=f"{prefix}.request.{name}",
        headers=error.headers,
    )


def _unreadable(error: RequestValidationError, party: str, prefix: str) -> Problem:
    """A body or parameter that does not fit its model: where and why, never the values."""
    errors = [
        {"at": ".".join(str(part) for part in item["loc"]), "reason": item["msg"]}
        for item in error.errors()
    ]
    first = errors[0] if errors else {"at": "request", "reason": "cannot be read"}
    return Problem(
        422,
        "The request does not fit what this route reads",
        f"{first['at']}: {first['reason']}",
        party=party,
        check=f"{prefix}.request.shape",
        extra={"errors": errors},
    )
