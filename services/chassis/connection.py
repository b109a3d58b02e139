"""What a connection may cost before there is a request that any check could judge.

uvicorn reads a head of any length and waits for the rest of a request for ever, so that whoever
reaches a port could fill the memory with header lines, or with connections that never ask. Here a
request's head is of `HEAD_LIMIT` octets at most, and the whole request has arrived
`REQUEST_SECONDS` after it began. What is no HTTP gets a problem document too: nothing is refused
namelessly.

Both limits are of this project (RFC 9110 15.5.9, RFC 6585 5 allow the answers); they are no checks
of a party's book, because there is no request yet to run checks on. How many connections there may
be is left to the operating system.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

import structlog
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from services.chassis.problems import MEDIA_TYPE, Problem

HEAD_LIMIT: Final = 64 * 1024
"""Octets of request line and headers; also of what else is no body: trailers, chunk lengths."""
REQUEST_SECONDS: Final = 30.0
"""From the first octet of a request to its last; also from connecting to a first request."""

_log = structlog.get_logger(__name__)

_AutoProtocol: Any = AutoHTTPProtocol


class _HeadTooLongError(Exception):
    """Raised inside the parser, which stops at it."""


class LimitedProtocol(_AutoProtocol):  # type: ignore[misc]  # which of uvicorn's two is found at run time
    """uvicorn's HTTP protocol with limits. `named_protocol` makes one for a party.

    Where uvicorn runs on h11, which has a limit of its own for heads, only the time is held here.
    """

    party = ""
    prefix = ""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._open = False  # a request has begun, and its end has not arrived
        self._head = 0  # octets of it that are no body, as the parser has told them
        self._untold = 0  # the same, by chunks: the parser tells a header only when it is whole
        self._bodied = 0  # octets of body in the chunk that is being read
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait for a first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, and stop where the head has become too long."""
        if self._refused:
            return
        begun, self._bodied = self._open, 0
        super().data_received(data)
        if begun and self._open and not self._refused:
            self._untold += len(data) - self._bodied
            if self._untold > HEAD_LIMIT:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._open, self._head, self._untold = True, 0, 0
        self._wait()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header, or trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body, whose size is judged elsewhere (`services.chassis.edge`)."""
        self._bodied += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: how long its answer takes is not the caller's doing."""
        self._open = False
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read. `msg` is uvicorn's."""
        if self._head > HEAD_LIMIT:
            self._refuse_head()
        else:
            self._refuse(400, "http", msg)

    def _count(self, octets: int) -> None:
        self._head += octets
        if self._head > HEAD_LIMIT:
            raise _HeadTooLongError

    def _wait(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        cycle = self.cycle
        answering = cycle is not None and not cycle.response_complete and not cycle.more_body
        if answering:  # this request is the next one, and nobody reads it before that is answered
            self._wait()
        elif self._open:
            self._refuse(408, "time", f"a request arrives within {REQUEST_SECONDS:.0f} seconds")
        else:
            self.transport.close()  # nothing was asked, so nothing is answered

    def _refuse_head(self) -> None:
        limit = f"request line and headers are at most {HEAD_LIMIT} octets"
        self._refuse(431, "head", limit)

    def _refuse(self, status: int, name: str, detail: str) -> None:
        """Answer, if no answer has begun, and close the connection."""
        self._refused = True
        self._stop_waiting()
        check = f"{self.prefix}.request.{name}"
        _log.info("request", party=self.party, verdict="refused", check=check, status=status)
        phrase = HTTPStatus(status).phrase
        problem = Problem(status, phrase, detail, party=self.party, check=check)
        body = json.dumps(problem.document("about:blank"), separators=(",", ":")).encode()
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            head = (
                f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()


def named_protocol(protocol: type[Any], party: str, prefix: str) -> type[Any]:
    """The protocol of one listener: `protocol`, a `LimitedProtocol`, refusing in a party's name."""
    return type(protocol.__name__, (protocol,), {"party": party, "prefix": prefix})
