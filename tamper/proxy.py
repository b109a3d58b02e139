"""The proxy: takes a request, lets the script at it, sends it on, lets the script at the answer.

A thread per connection, so that a script may wait or ask. Headers and body pass as they are, in
their order; only what belongs to one connection (RFC 9110 section 7.6.1) is made anew.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from services.link.wire.message import fold_headers
from tamper.errors import TamperError
from tamper.exchange import Exchange, Request, Response
from tamper.script import Script

TIMEOUT: Final = 30.0  # seconds until the other side counts as gone
BODY_LIMIT: Final = 16 * 1024 * 1024  # octets
_OF_ONE_CONNECTION: Final = frozenset(
    {
        "connection", "content-length", "host", "keep-alive", "proxy-authenticate",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip

Watch = Callable[[str, Exchange], None]
"""Told of each exchange: "request" before it is sent on, "response" before it goes back, and "end"
when what the caller gets is settled, however that came."""


def ignore(stage: str, exchange: Exchange) -> None:
    """Watch nothing."""
    del stage, exchange


class Proxy:
    """A proxy in front of one service; a context manager that listens while it is open.

    Args:
        to: origin of the service, for example ``http://127.0.0.1:8614``.
        script: what is done to messages.
        watch: told of each message after the script was at it.
        host: where to listen.
        port: where to listen; 0: any free port.

    Raises:
        TamperError: `to` is not an http origin.
    """

    def __init__(
        self,
        to: str,
        script: Script | None = None,
        watch: Watch = ignore,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.point_at(to)
        self.script = script or Script()
        self._watch = watch
        self._numbers = itertools.count(1)
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)
        self._client.headers.clear()
        self._server = _Server((host, port), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def point_at(self, to: str) -> None:
        """Send on to another service from now on.

        Raises:
            TamperError: it is not an http origin.
        """
        try:
            parts = urlsplit(to)
            self._origin = httpx.URL(f"{parts.scheme}://{parts.netloc}")
        except (ValueError, httpx.InvalidURL):
            raise TamperError(f"{to!r} is not an http origin") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise TamperError(f"{to!r} is not an http origin")

    @property
    def url(self) -> str:
        """The origin at which callers find the proxy."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()

    def serve(self) -> None:
        """Serve in this thread until interrupted."""
        try:
            self._server.serve_forever()
        finally:
            self._server.server_close()
            self._client.close()

    def pass_on(self, request: Request) -> Response | None:
        """One exchange from beginning to end; None: close the connection."""
        exchange = Exchange(next(self._numbers), request.frozen(), request, self.send)
        answer = self._exchange(exchange)
        self._watch("end", exchange)
        return answer

    def _exchange(self, exchange: Exchange) -> Response | None:
        if not self._let("request", exchange, self.script.request) or exchange.dropped:
            return exchange.given_back
        if exchange.response is None:
            try:
                exchange.response = self.send(exchange.request)
            except TamperError as error:
                exchange.acts.append(str(error))
                exchange.answer(502, str(error).encode(), (("content-type", "text/plain"),))
        self._let("response", exchange, self.script.response)
        return exchange.given_back

    def _let(self, stage: str, exchange: Exchange, act: Callable[[Exchange], None]) -> bool:
        """Let the script at it; False if the script failed, which is then the answer."""
        part = exchange.request if exchange.response is None else exchange.response
        before = part.copy()
        failed = False
        try:
            act(exchange)
        except Exception as error:  # noqa: BLE001 - a script's fault must not look like a party's
            failed = True
            exchange.acts.append(f"the script failed: {type(error).__name__}: {error}")
            exchange.response = Response(
                [("content-type", "text/plain")], b"the tampering script failed", 502
            )
        else:
            exchange.acts.extend(
                f"{stage} {name} changed"
                for name in vars(before)
                if getattr(part, name) != getattr(before, name)
            )
        self._watch(stage, exchange)
        return not failed

    def send(self, request: Request) -> Response:
        """Send a request to the service as it is.

        Raises:
            TamperError: no complete answer came.
        """
        outgoing = httpx.Request(
            request.method,
            self._origin.copy_with(raw_path=request.path.encode("latin-1")),
            headers=[("host", self._origin.netloc.decode()), *request.headers],
            content=request.body,
        )
        try:
            incoming = self._client.send(outgoing, stream=True)
            try:
                body = b"".join(incoming.iter_raw())
            finally:
                incoming.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TamperError(f"{self._origin}: {type(error).__name__}: {error}") from error
        headers = fold_headers(incoming.headers.raw)
        return Response(_passed_on(headers), body, incoming.status_code)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no fault of ours."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        """One request, whatever its method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = self.headers.get("content-length", "0")
        chunked = self.headers.get("transfer-encoding") is not None
        if chunked or not length.isdigit() or int(length) > BODY_LIMIT:
            self.send_error(411 if chunked else 413)
            self.close_connection = True
            return
        pairs = tuple((name.lower(), value) for name, value in self.headers.items())
        request = Request(_passed_on(pairs), self.rfile.read(int(length)), self.command, self.path)
        answer = self.server.proxy.pass_on(request)
        if answer is None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is theirs
        """Say nothing: who watches is told of exchanges."""


def _passed_on(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [pair for pair in headers if pair[0] not in _OF_ONE_CONNECTION]
