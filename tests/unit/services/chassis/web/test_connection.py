"""What comes over a connection before there is a request: bounded, timed, and refused by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from services.chassis.app import _config
from services.chassis.web import connection
from services.chassis.web.connection import HEAD_LIMIT

if TYPE_CHECKING:
    from conftest import Party

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Peer]]

GET = b"GET /healthz HTTP/1.1\r\nHost: party\r\n"


@asynccontextmanager
async def listening(app: Any, protocol: type[Any]) -> AsyncIterator[Connect]:
    """A listener of the party, as `run` makes it, on a port of its own."""
    config: uvicorn.Config = _config(app, None, protocol)
    config.load()
    state = ServerState()
    protocol_class: Any = config.http_protocol_class
    made = partial(protocol_class, config=config, server_state=state, app_state={})
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers: list[asyncio.StreamWriter] = []

    async def connect() -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    async with server:
        yield connect
        for writer in writers:
            writer.close()
        for task in list(state.tasks):
            await task


@pytest.fixture
async def connect(party: Party) -> AsyncIterator[Connect]:
    async with listening(party.service.interface, party.service.protocols[0]) as made:
        yield made


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """Status and document of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].split()[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def refused(peer: Peer, octets: bytes) -> tuple[int, str]:
    """Status and check with which these octets are refused, and the connection closed."""
    reader, writer = peer
    writer.write(octets)
    status, document = await answer_of(reader)
    assert document["party"] == "test_party"
    assert await reader.read() == b""
    return status, document["check"]


class Line(asyncio.Transport):
    """A connection in memory, so that a test knows what the party had taken when it refused."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


PIECE = 4096
BEGUN = b"POST /echo HTTP/1.1\r\nHost: party\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
LONG = {
    "many headers": BEGUN + b"".join(b"x-%d: %s\r\n" % (n, b"a" * 500) for n in range(400)),
    "one header": BEGUN + b"x: " + b"a" * 4 * HEAD_LIMIT,
    "a name": BEGUN + b"a" * 4 * HEAD_LIMIT,
    "path": b"GET /" + b"a" * 4 * HEAD_LIMIT,
    "trailers": BEGUN + CHUNKED + b"0\r\nx: " + b"a" * 4 * HEAD_LIMIT,
    "chunk extensions": BEGUN + CHUNKED + b"1;" + b"a" * 4 * HEAD_LIMIT,
}


@pytest.mark.parametrize("listener", ["test", "lab"])
@pytest.mark.parametrize("long", LONG.values(), ids=LONG.keys())
async def test_a_head_without_end_is_refused(party: Party, long: bytes, listener: str) -> None:
    """In pieces, none of which is too long by itself, and whose end never comes."""
    service = party.service
    app, protocol = {
        "test": (service.interface, service.protocols[0]),
        "lab": (service.lab, service.protocols[1]),
    }[listener]
    config = _config(app, None, protocol)
    config.load()
    state, line = ServerState(), Line()
    connected = protocol(config=config, server_state=state, app_state={})
    connected.connection_made(line)
    taken = 0
    while not line.closed:
        connected.data_received(long[taken : taken + PIECE])
        taken += PIECE
    assert HEAD_LIMIT < taken <= HEAD_LIMIT + 3 * PIECE
    head, _, body = bytes(line.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    document = json.loads(body)
    assert (document["party"], document["check"]) == ("test_party", f"{listener}.request.head")
    connected.data_received(b"and more")
    assert bytes(line.written) == head + b"\r\n\r\n" + body
    connected.connection_lost(None)
    for task in list(state.tasks):
        await task


async def test_the_twin_within_the_limit_is_answered(connect: Connect) -> None:
    reader, writer = await connect()
    for _ in range(3):  # what one request had counts not for the next
        writer.write(GET + b"x: " + b"a" * (HEAD_LIMIT - 1000) + b"\r\n\r\n")
        assert (await answer_of(reader))[0] == 200


async def test_a_body_counts_not_as_a_head(party: Party) -> None:
    """How much of that is taken is for `request.size` to say, as before."""
    book = party.service.base.book
    book.turn_off("test.request.size")
    async with listening(party.service.interface, party.service.protocols[0]) as connect:
        reader, writer = await connect()
        size = 6 * HEAD_LIMIT
        writer.write(b"POST /echo HTTP/1.1\r\nHost: party\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(6):
            writer.write(b"a" * HEAD_LIMIT)
        assert await answer_of(reader) == (200, {"octets": size})


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["tls", "path", "two lengths", "length and chunks"],
)
async def test_what_is_no_http_is_refused_by_name(connect: Connect, octets: bytes) -> None:
    assert await refused(await connect(), octets) == (400, "test.request.http")


async def test_an_upgrade_is_a_request_like_any_other(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(
        b"GET /orders HTTP/1.1\r\nHost: party\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    status, document = await answer_of(reader)
    assert (status, document["check"]) == (405, "test.request.method")


@pytest.mark.parametrize(
    "begun",
    [b"G", GET, b"POST /echo HTTP/1.1\r\nHost: party\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["line", "head", "body"],
)
async def test_a_request_that_does_not_end_is_refused(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.05)
    assert await refused(await connect(), begun) == (408, "test.request.time")


async def test_a_connection_that_never_asks_is_closed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.05)
    reader, _ = await connect()
    assert await reader.read() == b""


async def test_how_long_an_answer_takes_is_not_the_callers_doing(party: Party) -> None:
    """Nothing waits for the caller while the answer is owed."""
    config = _config(party.service.interface, None, party.service.protocols[0])
    config.load()
    state, line = ServerState(), Line()
    connected = party.service.protocols[0](config=config, server_state=state, app_state={})
    connected.connection_made(line)
    connected.data_received(GET)
    assert connected._deadline is not None
    connected.data_received(b"\r\n")
    assert connected._deadline is None
    for task in list(state.tasks):
        await task
    assert bytes(line.written).startswith(b"HTTP/1.1 200 ")
    connected.connection_lost(None)


PIPELINED = {
    "nothing that HTTP knows": b"\x00\xff and more\r\n\r\n",
    "a head without end": GET + b"x: " + b"a" * 2 * HEAD_LIMIT,
    "a target of two readings": b"GET http://other/orders HTTP/1.1\r\nHost: party\r\n\r\n",
    "a body that breaks off": BEGUN + CHUNKED + b"zz",
    "half a head": GET,
    "a whole request": GET + b"\r\n",
}


@pytest.mark.parametrize("together", [True, False], ids=["in one piece", "afterwards"])
@pytest.mark.parametrize("more", PIPELINED.values(), ids=PIPELINED.keys())
async def test_what_comes_before_an_answer_does_not_replace_it(
    party: Party, more: bytes, *, together: bool
) -> None:
    """The answer that is owed, whole, then the end of the connection, and nothing else."""
    order = b"POST /echo HTTP/1.1\r\nHost: party\r\nContent-Length: 5\r\n\r\norder"
    handed_over = asyncio.Event()

    class Telling(party.service.protocols[0]):  # type: ignore[name-defined,misc]
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if more in data:
                handed_over.set()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await handed_over.wait()
        await party.service.interface(scope, receive, send)

    config = _config(waiting, None, Telling)
    config.load()
    state, line = ServerState(), Line()
    connected = Telling(config=config, server_state=state, app_state={})
    connected.connection_made(line)
    for piece in (order + more,) if together else (order, more):
        connected.data_received(piece)
    for task in list(state.tasks):
        await task
    head, _, body = bytes(line.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in head
    assert json.loads(body) == {"octets": 5}
    assert line.closed
    connected.connection_lost(None)


TRAILED = BEGUN + CHUNKED + b"0\r\n"


async def test_trailers_are_refused_by_name(connect: Connect) -> None:
    found = await refused(await connect(), TRAILED + b"content-digest: sha-256=:AAAA:\r\n\r\n")
    assert found == (400, "test.request.trailers")


async def test_the_twin_without_trailers_is_answered(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(TRAILED + b"\r\n")
    assert await answer_of(reader) == (200, {"octets": 1})


@pytest.mark.parametrize(
    "target",
    ["/healthz#a", "/healthz#", "/healthz?", "/healthz?a#b", "http://party/healthz", "/healthz?#"],
)
async def test_a_target_that_can_be_read_in_two_ways_is_refused(
    connect: Connect, target: str
) -> None:
    asked = f"GET {target} HTTP/1.1\r\nHost: party\r\n\r\n".encode()
    assert await refused(await connect(), asked) == (400, "test.request.target")


async def test_the_twin_with_a_query_is_answered(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(GET.replace(b"/healthz", b"/healthz?a=1?") + b"\r\n")
    assert (await answer_of(reader))[0] == 200
