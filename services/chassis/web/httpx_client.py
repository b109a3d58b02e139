"""httpx with the limits of this project: what people's tools and tests call services by.

httpx is the interface, aiohttp the transport: several times cheaper per request and steady under
load where httpx's own connection pool is not. Parties call each other by
`services.chassis.web.keep_alive`, and never import this.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import cache
from types import TracebackType
from typing import Final, Self

import httpx
from httpx_aiohttp import AiohttpTransport

from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.unsafe_network import Lost, UnsafeNetwork
from services.chassis.web.fault_points import Exposure

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
LIMITS: Final = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=4.0)


class Client(httpx.AsyncClient):
    """A client whose transport faults of the lab can be let act on (`ServiceContext.expose`)."""

    def __init__(self, wire: Wire, *, base_url: str, timeout: httpx.Timeout) -> None:
        super().__init__(
            base_url=base_url,
            transport=wire,
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )
        self.wire = wire


def client(
    *,
    base_url: str = "",
    tls: ssl.SSLContext | None = None,
    timeout: httpx.Timeout = TIMEOUT,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Client:
    """A client that follows no redirect, reads no proxy from the environment, asks for no encoding.

    Args:
        base_url: Prefix of relative URLs.
        tls: Context for mutual TLS; the machine's own authorities if not given.
        timeout: Per phase of a request, seconds.
        transport: Another transport, for example `httpx.ASGITransport` in tests.
    """
    chosen = transport or AiohttpTransport(
        verify=_public_authorities() if tls is None else tls, trust_env=False, limits=LIMITS
    )
    return Client(Wire(chosen), base_url=base_url, timeout=timeout)


@cache
def _public_authorities() -> ssl.SSLContext:
    """The context of every client that is given none: reading the authorities takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _Octets(httpx.AsyncByteStream):
    """A body that is here already, for whoever reads it as a stream."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class Wire(Exposure, httpx.AsyncBaseTransport):
    """A client's transport. `expose` lets faults act on it."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        super().__init__()
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        network = self.network
        if network is None:
            return await self._inner.handle_async_request(request)
        return await self._harmed(network, request)

    async def _harmed(self, network: UnsafeNetwork, request: httpx.Request) -> httpx.Response:
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
        patience = request.extensions.get("timeout", {}).get("read")
        try:
            answer = await self.carried(network, str(request.url), asked, ask, patience)
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
