"""The client by which parties call each other: HTTP/1.1 POST over connections that are kept.

It does what a party needs and nothing else: no redirect, no cookie, no proxy, no other method, no
coding of bodies. uvicorn's own parser (httptools) reads the answers. What whoever is called could
do to us is limited here: how long it may take to connect, between two pieces of an answer and for
the whole of it, how long its head and its body may be, how many connections there are. An answer's
connection is used again only if the answer was whole, said nothing against it and was followed by
nothing, and the request had been sent whole.

A request is never sent twice: where a connection breaks, nobody here knows what the other side did.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

import httptools

Pairs = tuple[tuple[bytes, bytes], ...]

MOST_CONNECTIONS: Final = 64
MOST_IDLE: Final = 32
"""Connections kept for later, to all together, where nobody waits for one."""
IDLE_SECONDS: Final = 4.0
"""How long an unused connection is kept. Less than servers keep theirs (uvicorn: 5 s)."""
CONNECT_SECONDS: Final = 3.0
PIECE_SECONDS: Final = 10.0
"""Longest silence within an exchange."""
LONGEST_HEAD: Final = 64 * 1024
"""Octets of an answer's status line and headers."""

_LATER: Final = range(100, 200)
"""Statuses after which the answer itself is still to come."""


class NoAnswer(Exception):  # noqa: N818 - what happened
    """No whole answer came: what the other side did is not known."""


class ConnectError(NoAnswer):
    """Nobody listens there, or not within `CONNECT_SECONDS`, or not who should."""


class ReadTimeout(NoAnswer):
    """The answer was not whole in time."""


class RemoteProtocolError(NoAnswer):
    """What came back is not a whole HTTP answer, or its head is too long."""


class InvalidURL(NoAnswer):
    """That is no address that could be called."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer.

    Attributes:
        status: its status.
        headers: names in lower case.
        body: its octets; None: more than were wanted.
    """

    status: int
    headers: Pairs
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Place:
    """An address, taken apart.

    Attributes:
        tls: whether it is called over TLS.
        host: its host.
        port: its port.
        head: the beginning of a request there: request line and Host.
        path: path, and query if there is one.
    """

    tls: bool
    host: str
    port: int
    head: bytes
    path: str


@lru_cache(maxsize=1024)
def place_of(url: str) -> Place:
    """Take an address apart.

    Raises:
        InvalidURL: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError:
        raise InvalidURL("not an address") from None
    if parts.scheme not in {"http", "https"} or not host or parts.username is not None:
        raise InvalidURL("not an address of http")
    query = f"?{parts.query}" if parts.query else ""
    path = quote((parts.path or "/") + query, safe="%/:=&?~+!$,;'@()*[]-._|")
    named = f"[{host}]" if ":" in host else host
    shown = named if parts.port is None else f"{named}:{port}"
    if any(not "!" <= character <= "~" for character in host):
        raise InvalidURL("not a host")
    head = f"POST {path} HTTP/1.1\r\nhost: {shown}\r\naccept-encoding: identity\r\n"
    return Place(parts.scheme == "https", host, port, head.encode("ascii"), path)


class KeepAlive:
    """A pool of connections. For one event loop.

    Args:
        tls: context for https; the machine's own authorities if not given.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._idle: list[_Connection] = []
        self._free = asyncio.Semaphore(MOST_CONNECTIONS)
        self._busy = 0
        self._closed = False

    async def post(
        self, url: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, longest: int
    ) -> Reply:
        """Send a request, and give its whole answer. The caller limits the time it all takes.

        Args:
            url: where to.
            headers: besides Host, Accept-Encoding and Content-Length.
            body: the body.
            longest: octets of an answer's body; of a longer one there is none.

        Raises:
            NoAnswer: see its kinds.
        """
        place = place_of(url)
        if self._closed:
            raise ConnectError("the client is closed")
        request = _request(place, headers, body)
        async with self._free:
            self._busy += 1
            try:
                connection = self._kept(place) or await self._connected(place)
                try:
                    reply = await connection.ask(request, longest)
                except BaseException:
                    connection.abort()
                    raise
            finally:
                self._busy -= 1
            self._keep(connection)
            return reply

    async def aclose(self) -> None:
        """Close what is open and not in use; what is in use is closed after its answer."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def _kept(self, place: Place) -> _Connection | None:
        key = (place.tls, place.host, place.port)
        for at in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[at]
            if connection.key == key:
                del self._idle[at]
                if connection.usable():
                    return connection
                connection.abort()
        return None

    def _keep(self, connection: _Connection) -> None:
        if self._closed or not connection.whole:
            connection.abort()
            return
        connection.rest()
        self._idle.append(connection)
        while len(self._idle) > MOST_IDLE and not self._free.locked():
            self._idle.pop(0).abort()

    def _forget(self, connection: _Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    async def _connected(self, place: Place) -> _Connection:
        loop = asyncio.get_running_loop()
        key = (place.tls, place.host, place.port)
        while self._idle and self._busy + len(self._idle) > MOST_CONNECTIONS:
            self._idle.pop(0).abort()
        context: ssl.SSLContext | None = None
        if place.tls:
            if self._tls is None:
                self._tls = ssl.create_default_context()
            context = self._tls
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, key, self._forget),
                    place.host,
                    place.port,
                    ssl=context,
                    server_hostname=place.host if context is not None else None,
                )
        except TimeoutError:
            raise ConnectError(f"no connection within {CONNECT_SECONDS:g} s") from None
        except (OSError, ValueError) as error:
            raise ConnectError(f"no connection ({type(error).__name__})") from None
        return connection


class _Connection(asyncio.Protocol):
    """One connection: one exchange after another."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, key: tuple[bool, str, int], forget: Any
    ) -> None:
        self.key = key
        self._loop = loop
        self._forget = forget
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._rested = 0.0
        self.whole = False  # the last answer was, and the connection may be used again

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget(self)
        answer = self._answer
        if answer is None or answer.done():
            return
        if self._headed and not self._sized:
            self._finish(again=False)  # its end is the connection's (RFC 9112 6.3, rule 8)
        else:
            answer.set_exception(RemoteProtocolError("closed without a whole answer"))

    async def ask(self, request: bytes, longest: int) -> Reply:
        """One exchange.

        Raises:
            NoAnswer: it did not end with a whole answer.
        """
        if self._transport is None:
            raise RemoteProtocolError("the connection was closed")
        self.whole = False
        self._longest = longest
        self._begin()
        self._answer = self._loop.create_future()
        self._until = self._loop.time() + PIECE_SECONDS
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._silence)
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self._answer = None

    def usable(self) -> bool:
        """Whether another request may be sent on it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        return self._loop.time() - self._rested < IDLE_SECONDS

    def rest(self) -> None:
        """Wait for the next request."""
        self._rested = self._loop.time()
        self._until = self._rested + IDLE_SECONDS

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    def _silence(self) -> None:
        """The timer: one for all, set anew only when it goes off."""
        self._timer = None
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._silence)
            return
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ReadTimeout(f"nothing came for {PIECE_SECONDS:g} s"))
        self.abort()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._head = self._untold = self._length = 0
        self._headed = self._sized = self._ended = False

    def data_received(self, data: bytes) -> None:
        """A piece of an answer; outside an exchange, nobody asked for it."""
        if self._answer is None or self._answer.done():
            self.whole = False
            self.abort()
            return
        self._until = self._loop.time() + PIECE_SECONDS
        self._untold = 0 if self._headed else self._untold + len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._ended:
                self._fail(RemoteProtocolError("what came back is not HTTP"))
        if not self._headed and self._untold > LONGEST_HEAD:
            self._fail(RemoteProtocolError(f"a head of more than {LONGEST_HEAD} octets"))

    # what the parser calls

    def on_message_begin(self) -> None:
        """An answer begins; after the answer, it is one too many."""
        if self._ended:
            self.whole = False
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer: nobody looks at those."""
        if self._ended:
            return
        self._head += len(name) + len(value)
        if self._head > LONGEST_HEAD:
            self._fail(RemoteProtocolError(f"a head of more than {LONGEST_HEAD} octets"))
        elif not self._headed:
            name = name.lower()
            self._sized = self._sized or name in {b"content-length", b"transfer-encoding"}
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._ended:
            return
        status = self._parser.get_status_code()
        if status in _LATER:
            self._headers, self._sized = [], False
        else:
            self._headed = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._ended:
            return
        self._length += len(body)
        if self._length > self._longest:
            self._ended = True
            assert self._answer is not None
            if not self._answer.done():
                status = self._parser.get_status_code()
                self._answer.set_result(Reply(status, tuple(self._headers), None))
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        if self._headed and not self._ended:
            self._finish(again=self._parser.should_keep_alive())

    def _finish(self, *, again: bool) -> None:
        self._ended = True
        transport = self._transport
        # an answer that came before its question was sent: the rest would be taken for another
        sent = transport is not None and transport.get_write_buffer_size() == 0
        self.whole = again and sent
        if self._answer is not None and not self._answer.done():
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            status = self._parser.get_status_code()
            self._answer.set_result(Reply(status, tuple(self._headers), body))

    def _fail(self, error: NoAnswer) -> None:
        self._ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.abort()


def _request(place: Place, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    lines = [place.head]
    for name, value in headers:
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise InvalidURL("a header that would end before its end")
        lines += (name, b": ", value, b"\r\n")
    lines += (b"content-length: %d\r\n\r\n" % len(body), body)
    return b"".join(lines)
