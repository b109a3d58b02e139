"""The two places where armed faults act: the interface's edge, and the client's transport.

While nothing is armed, each passes an exchange on untouched after one look at `Faults.active`. The
harm itself is done by `services.chassis.faults.unsafe_network`; this module turns exchanges into
octets for it and back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.faults.board import ANYONE_HOP, Faults
from services.chassis.faults.exchange import SENDER, ExchangeFacts
from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.orders import Direction
from services.chassis.faults.unsafe_network import Lost, UnsafeNetwork
from services.chassis.web.connection import LimitedProtocol

HANG_UP: Final = "cos.hang_up"
"""Extension of an ASGI scope: closes the connection without an answer."""


class HangingUp(LimitedProtocol):
    """An interface's HTTP protocol, which also tells an application how to close the connection."""

    app: ASGIApp

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Have every request on this connection know how to close it."""
        super().connection_made(transport)
        served: ASGIApp = self.app

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[HANG_UP] = transport.close
            await served(scope, receive, send)

        self.app = told


class FaultPoint:
    """The interface's edge, behind the gate that has read the body. Plain ASGI."""

    def __init__(self, app: ASGIApp, faults: Faults, spared: frozenset[str]) -> None:
        self._app = app
        self._faults = faults
        self._spared = spared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if not self._faults.active or scope["type"] != "http" or scope["path"] in self._spared:
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        asked = Asked(scope["method"], scope["path"], tuple(scope["headers"]), body)
        seen = self._seen(asked)
        try:
            network = UnsafeNetwork(self._faults)
            answer = await network.carry(seen, asked, _Served(self._app, scope, receive))
        except Lost:
            await _hang_up(scope, receive)
            return
        headers = list(answer.headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})

    def _seen(self, asked: Asked) -> ExchangeFacts:
        """Who calls is who it says it is, where the link knows such a system; else anyone."""
        seen = ExchangeFacts(
            "inbound", ANYONE_HOP, asked.method, asked.path, asked.headers, asked.body
        )
        said = seen.header(SENDER)
        if said is None or said not in self._faults.hops[Direction.INBOUND]:
            return seen
        return ExchangeFacts("inbound", said, asked.method, asked.path, asked.headers, asked.body)


class _Served:
    """Brings a request to the application's end, and its answer back as octets."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        self._app = app
        self._scopes = [dict(scope), scope]  # the server's own first: the log line reads its route
        self._receive = receive

    async def __call__(self, asked: Asked) -> Answer:
        pending: list[Message] = [{"type": "http.request", "body": asked.body, "more_body": False}]
        status, headers, body = 500, (), b""

        async def replay() -> Message:
            return pending.pop() if pending else await self._receive()

        async def collect(message: Message) -> None:
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], tuple(message["headers"])
            else:
                body += message.get("body", b"")

        scope = self._scopes.pop()
        scope["headers"] = list(asked.headers)
        await self._app(scope, replay, collect)
        return Answer(status, headers, body)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection, and return once it is closed.

    Raises:
        RuntimeError: this server offers no way to.
    """
    close = scope.get("extensions", {}).get(HANG_UP)
    if close is None:
        raise RuntimeError("this server cannot close a connection without an answer")
    close()
    while (await receive())["type"] != "http.disconnect":
        pass


class _Octets(httpx.AsyncByteStream):
    """A body that is here already, for whoever reads it as a stream."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class Wire(httpx.AsyncBaseTransport):
    """A client's transport. `expose` lets faults act on it."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._faults: Faults | None = None
        self._peers: dict[str, str] = {}
        self._otherwise = ""

    def expose(self, faults: Faults, peers: Mapping[str, str], otherwise: str | None) -> None:
        """Let faults act on what is sent from now on.

        Args:
            faults: the party's.
            peers: base URL of each peer by its name, which is its hop.
            otherwise: hop of whoever else is called; None: nobody else is.
        """
        self._faults = faults
        self._peers = {_origin(url): name for name, url in peers.items()}
        self._otherwise = otherwise or ""
        faults.know(Direction.OUTBOUND, peers if otherwise is None else (*peers, otherwise))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        if self._faults is None or not self._faults.active:
            return await self._inner.handle_async_request(request)
        return await self._carried(UnsafeNetwork(self._faults), request)

    async def _carried(self, network: UnsafeNetwork, request: httpx.Request) -> httpx.Response:
        async def ask(asked: Asked) -> Answer:
            outgoing = httpx.Request(
                asked.method,
                request.url,
                headers=list(asked.headers),
                content=asked.body,
                extensions=request.extensions,
            )
            incoming = await self._inner.handle_async_request(outgoing)
            stream = incoming.stream
            assert isinstance(stream, httpx.AsyncByteStream)
            try:
                body = b"".join([part async for part in stream])
            finally:
                await incoming.aclose()
            return Answer(incoming.status_code, tuple(incoming.headers.raw), body)

        path = request.url.raw_path.decode("ascii").partition("?")[0]
        body = await request.aread()
        headers = tuple((name.lower(), value) for name, value in request.headers.raw)
        asked = Asked(request.method, path, headers, body)
        hop = self._peers.get(_origin(str(request.url)), self._otherwise)
        seen = ExchangeFacts("outbound", hop, request.method, path, headers, body)
        patience = request.extensions.get("timeout", {}).get("read")
        try:
            answer = await network.carry(seen, asked, ask, patience)
        except Lost:
            raise httpx.RemoteProtocolError(
                "the connection was closed without an answer", request=request
            ) from None
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=request) from None
        return httpx.Response(
            answer.status,
            headers=list(answer.headers),
            stream=_Octets(answer.body),
            request=request,
        )

    async def aclose(self) -> None:
        """Close the transport below."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(kind, error, trace)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"
