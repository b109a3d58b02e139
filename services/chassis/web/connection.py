"""What a connection may cost before there is a request that any check could judge.

uvicorn reads a head of any length and waits for the rest of a request for ever, so that whoever
reaches a port could fill the memory with header lines, or with connections that never ask. Here a
request's head is of `HEAD_LIMIT` octets at most, and the whole request has arrived
`REQUEST_SECONDS` after it began. What is no HTTP gets a problem document too: nothing is refused
namelessly.

What two readers could take for two different requests is refused as well. uvicorn reads trailers
as headers, so that what the checks look at could come after the body; here a request has none
(RFC 9110 6.5.1). It drops a fragment and an origin from the request target, and does not tell an
empty query from none; here a target is a path, and a query if there is one (RFC 9112 3.2.1).
One request is read at a time: octets that come before its answer is complete are not read, and the
connection closes after that answer (RFC 9112 9.3.2 has the client ask again). uvicorn answers what
it cannot read at once, in the place of the answer that it still owed.

The limits are of this project (RFC 9110 15.5.9, RFC 6585 5 allow the answers); none of this is a
check of a party's book, because there is no request yet to run checks on. How many connections
there may be is left to the operating system.
"""

from __future__ import annotations

import asyncio
import json
import re
from http import HTTPStatus
from typing import Any, Final

import structlog
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from services.chassis.web.problems import MEDIA_TYPE, Problem

HEAD_LIMIT: Final = 64 * 1024
"""Octets of request line and headers; also of what else is no body: trailers, chunk lengths."""
REQUEST_SECONDS: Final = 30.0
"""From the first octet of a request to its last; also from connecting to a first request."""
_ORIGIN_FORM: Final = re.compile(rb"/[^?#]*(?:\?[^#]+)?")

_log = structlog.get_logger(__name__)

_AutoProtocol: Any = AutoHTTPProtocol


class _HeadTooLongError(Exception):
    """Raised inside the parser, which stops at it."""


class _TwoReadingsError(Exception):
    """Raised inside the parser, which stops at it: see `LimitedProtocol._refuse` for the words."""


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
        self._headed = False  # its head has been read: what looks like a header is a trailer
        self._early = False  # octets came before an answer was complete; nothing more is read
        self._why: tuple[str, str] | None = None  # name and words of what is refused as ambiguous
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
        if self._refused or self._early:
            return
        if self._answering():
            self._read_no_more()
            return
        begun, self._bodied = self._open, 0
        super().data_received(data)
        if begun and self._open and not self._refused:
            self._untold += len(data) - self._bodied
            if self._untold > HEAD_LIMIT:
                self._refuse_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        if self._answering():
            self._read_no_more()
        if self._early:
            return
        self._open, self._headed, self._head, self._untold = True, False, 0, 0
        self._wait()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        if self._early:
            return
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header, or trailer."""
        if self._early:
            return
        self._count(len(name) + len(value))
        if self._headed:
            self._stop("trailers", "a request has no trailers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole, and with it the request target."""
        if self._early:
            return
        self._headed = True
        if not _ORIGIN_FORM.fullmatch(self.url):
            self._stop("target", "the request target is a path, and a query that is not empty")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body, whose size is judged elsewhere (`services.chassis.web.edge`)."""
        if self._early:
            return
        self._bodied += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: how long its answer takes is not the caller's doing."""
        if self._early:
            return
        self._open = False
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser could not read. `msg` is uvicorn's."""
        if self._early or self._answering():
            self._read_no_more()
        elif self._head > HEAD_LIMIT:
            self._refuse_head()
        elif self._why is not None:
            self._refuse(400, *self._why)
        else:
            self._refuse(400, "http", msg)

    def _answering(self) -> bool:
        """Whether a request has been read whole, and its answer is still owed."""
        cycle = self.cycle
        return cycle is not None and not cycle.more_body and not cycle.response_complete

    def _read_no_more(self) -> None:
        """Close the connection after the answer that is owed; what came since is not read."""
        self._early = True
        self.cycle.keep_alive = False

    def _stop(self, name: str, detail: str) -> None:
        self._why = (name, detail)
        raise _TwoReadingsError(detail)

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
        if self._open:
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
