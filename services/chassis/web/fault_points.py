"""The two places where armed faults act: the interface's edge, and a client's way out.

While nothing is armed, each passes an exchange on untouched after one look at `Faults.active`. The
harm itself is done by `services.chassis.faults.unsafe_network`; this module turns exchanges into
octets for it and back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.faults.board import ANYONE_HOP, Faults
from services.chassis.faults.exchange import SENDER, ExchangeFacts
from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.orders import Direction
from services.chassis.faults.unsafe_network import Ask, Lost, UnsafeNetwork
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


class Exposure:
    """A client's way out. `expose` lets faults act on it."""

    def __init__(self) -> None:
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

    @property
    def network(self) -> UnsafeNetwork | None:
        """What acts on what is sent now; None: nothing does."""
        faults = self._faults
        return UnsafeNetwork(faults) if faults is not None and faults.active else None

    async def carried(
        self, network: UnsafeNetwork, url: str, asked: Asked, ask: Ask, patience: float | None
    ) -> Answer:
        """One exchange with what befalls it.

        Raises:
            Lost, TimeoutError: as `UnsafeNetwork.carry`.
        """
        hop = self._peers.get(_origin(url), self._otherwise)
        seen = ExchangeFacts("outbound", hop, asked.method, asked.path, asked.headers, asked.body)
        return await network.carry(seen, asked, ask, patience)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"
