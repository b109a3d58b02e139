"""Routes that need nothing of the framework are served without it. Plain ASGI.

A route is declared once, on a router, as any other: it is in the OpenAPI description and under the
authority table. If its function takes nothing but the request, segments of the path as text and
headers as text, and says that it returns a `Response`, there is nothing to validate and nothing to
serialise: `Direct` calls it and sends what it returns, and raises nothing past a problem document.
The framework would do the same, after solving dependencies that are not there.

Whatever is not exactly so (another method or path, other parameters) goes the framework's way.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.chassis.web.problems import as_problem, render

_NOT_PLAIN: Final = (
    "query_params",
    "cookie_params",
    "body_params",
    "dependencies",
    "websocket_param_name",
    "http_connection_param_name",
    "response_param_name",
    "background_tasks_param_name",
    "security_scopes_param_name",
)
"""What a function may ask the framework for, and a direct one does not."""


@dataclass(frozen=True, slots=True)
class DirectRoute:
    """A route that is served directly.

    Attributes:
        route: as it was declared.
        call: its function.
        request: the name by which that takes the request; None: it does not.
        segments: names of its parameters that are segments of the path.
        headers: names of its parameters that are headers, with header and default.
    """

    route: APIRoute
    call: Callable[..., Awaitable[Response]]
    request: str | None
    segments: tuple[str, ...]
    headers: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, route: object) -> DirectRoute | None:
        """The route as one that is served directly, or None where the framework is needed."""
        if not isinstance(route, APIRoute) or route.methods != {"POST"}:
            return None
        asks = route.dependant
        if any(getattr(asks, name, None) for name in _NOT_PLAIN) or route.dependencies:
            return None
        call = route.endpoint
        if not inspect.iscoroutinefunction(call) or not _returns_response(call):
            return None
        fields = [*asks.path_params, *asks.header_params]
        if any(field.field_info.annotation is not str or _limited(field) for field in fields):
            return None
        headers = []
        for field in asks.header_params:
            if not isinstance(field.default, str):
                return None
            headers.append((field.name, field.alias, field.default))
        return cls(
            route,
            call,
            asks.request_param_name,
            tuple(field.name for field in asks.path_params),
            tuple(headers),
        )

    async def answer(self, request: Request) -> Response:
        """Call the function."""
        given: dict[str, Any] = {name: request.path_params[name] for name in self.segments}
        for name, header, default in self.headers:
            given[name] = request.headers.get(header, default)
        if self.request is not None:
            given[self.request] = request
        return await self.call(**given)


class Direct:
    """Serves what it can of some routers; the application behind it serves the rest.

    Args:
        app: the application.
        routers: its routers, in the order in which it looks.
        party: who answers.
        prefix: first part of its checks' identifiers.
    """

    def __init__(
        self, app: ASGIApp, routers: Sequence[APIRouter], *, party: str, prefix: str
    ) -> None:
        self._app = app
        self._party = party
        self._prefix = prefix
        self._fixed: dict[str, DirectRoute] = {}
        self._shaped: list[DirectRoute] = []
        before: list[Any] = []
        for route in [route for router in routers for route in router.routes]:
            direct = DirectRoute.of(route)
            if direct is not None and not _hidden(direct.route, before):
                if direct.route.param_convertors:
                    self._shaped.append(direct)
                else:
                    self._fixed[direct.route.path] = direct
            before.append(route)

    @property
    def served(self) -> list[str]:
        """The paths that are served directly."""
        return [*self._fixed, *(direct.route.path for direct in self._shaped)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        direct = self._found(scope)
        if direct is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = direct.route  # the log line names it
        try:
            answer = await direct.answer(Request(scope, receive, send))
        except Exception as error:  # noqa: BLE001 - every failure is a problem document
            problem = as_problem(error, party=self._party, prefix=self._prefix)
            answer = render(problem, scope["path"])
        await answer(scope, receive, send)

    def _found(self, scope: Scope) -> DirectRoute | None:
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        path = scope["path"]
        direct = self._fixed.get(path)
        if direct is not None:
            scope["path_params"] = {}
            return direct
        for shaped in self._shaped:
            matched = shaped.route.path_regex.match(path)
            if matched is not None:
                scope["path_params"] = matched.groupdict()
                return shaped
        return None


def _hidden(route: APIRoute, before: Sequence[Any]) -> bool:
    """Whether a route before it could take what is meant for it, so that order matters."""
    tried = route.path_format.replace("{", "").replace("}", "")
    for other in before:
        regex = getattr(other, "path_regex", None)
        if regex is None or regex.match(tried) is not None:
            return True
    return False


def _limited(field: Any) -> bool:
    return bool(field.field_info.metadata)


def _returns_response(call: Callable[..., Any]) -> bool:
    try:
        returned = inspect.signature(call, eval_str=True).return_annotation
    except (NameError, TypeError):
        return False
    return isinstance(returned, type) and issubclass(returned, Response)
