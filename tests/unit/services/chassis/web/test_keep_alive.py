"""The client parties call each other by: what it takes, what it keeps, and where it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from services.chassis.web import http, keep_alive
from services.chassis.web.keep_alive import (
    ConnectError,
    InvalidURL,
    KeepAlive,
    NoAnswer,
    ReadTimeout,
    RemoteProtocolError,
    place_of,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nX-Kept: Yes\r\n\r\nhi"


@dataclass
class Server:
    """Says its answers one after the other, whatever it is asked; the last one for ever.

    After an answer that ends in `CLOSE` it closes the connection.
    """

    answers: list[bytes]
    connections: int = 0
    asked: list[bytes] = field(default_factory=list)
    closed: int = 0
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.asked.append(head + await reader.readexactly(length))
                said = self.answers[min(len(self.asked), len(self.answers)) - 1]
                writer.write(said.removesuffix(CLOSE))
                await writer.drain()
                if said.endswith(CLOSE):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed += 1
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/there"


CLOSE = b"<close>"
Start = Callable[..., "asyncio.Future[Server]"]


@pytest.fixture
async def client() -> AsyncIterator[KeepAlive]:
    made = KeepAlive()
    yield made
    await made.aclose()


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[asyncio.Server] = []

    async def serve(*answers: bytes) -> Server:
        server = Server(list(answers))
        listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listener.sockets[0].getsockname()[1]
        running.append(listener)
        return server

    yield serve  # type: ignore[misc]
    for listener in running:
        listener.close()


async def ask(client: KeepAlive, server: Server, longest: int = 100) -> keep_alive.Reply:
    return await client.post(server.url, ((b"a", b"b"),), b"body", longest)


async def test_a_connection_is_used_again(client: KeepAlive, start: Start) -> None:
    server = await start(OK)
    for _ in range(3):
        reply = await ask(client, server)
        assert (reply.status, reply.body) == (200, b"hi")
        assert (b"x-kept", b"Yes") in reply.headers
    assert server.connections == 1
    assert (
        server.asked
        == [
            f"POST /there HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n".encode()
            + b"accept-encoding: identity\r\na: b\r\ncontent-length: 4\r\n\r\nbody"
        ]
        * 3
    )


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 302 Found\r\nlocation: /else\r\ncontent-length: 0\r\n\r\n", 302, b""),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
            200,
            b"hi!",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"hi"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n" + OK, 200, b"hi"),
    ],
    ids=["none", "a redirect, not followed", "chunks", "continue", "hints"],
)
async def test_whole_answers(
    client: KeepAlive, start: Start, answer: bytes, status: int, body: bytes
) -> None:
    server = await start(answer)
    for _ in range(2):
        reply = await ask(client, server)
        assert (reply.status, reply.body) == (status, body)
    assert len(server.asked) == 2
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"X-Kept: Yes", b"Connection: close"),
        OK + b"more",
        OK + OK,
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\n\r\nhi" + CLOSE,
    ],
    ids=["it says so", "octets after it", "an answer after it", "HTTP/1.0", "ends with it"],
)
async def test_a_connection_is_not_used_again_where_it_must_not_be(
    client: KeepAlive, start: Start, answer: bytes
) -> None:
    server = await start(answer, OK)
    assert (await ask(client, server)).body == b"hi"
    assert (await ask(client, server)).body == b"hi"
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        CLOSE,
        b"HTTP/1.1 200 OK\r\ncontent-le" + CLOSE,
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhi" + CLOSE,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi" + CLOSE,
        b"HTTP/1.1 100 Continue\r\n\r\n" + CLOSE,
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (keep_alive.LONGEST_HEAD + 1),
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * keep_alive.LONGEST_HEAD,
    ],
    ids=[
        "nothing", "half a head", "half a body", "half a chunk", "only continue", "not HTTP",
        "two lengths", "two framings", "a header without end", "headers without end",
    ],
)  # fmt: skip
async def test_no_whole_answer(client: KeepAlive, start: Start, answer: bytes) -> None:
    server = await start(answer, OK)
    with pytest.raises(RemoteProtocolError):
        await ask(client, server)
    assert len(server.asked) == 1, "a request is never sent twice"
    assert (await ask(client, server)).body == b"hi"
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 101,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n65\r\n" + b"x" * 101,
    ],
)
async def test_a_body_too_long_is_not_read_to_its_end(
    client: KeepAlive, start: Start, answer: bytes
) -> None:
    server = await start(answer, OK)
    reply = await ask(client, server, longest=100)
    assert (reply.status, reply.body) == (200, None)
    assert (await ask(client, server)).body == b"hi"
    assert server.connections == 2


async def test_the_longest_body_is_taken(client: KeepAlive, start: Start) -> None:
    server = await start(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n" + b"x" * 100)
    assert (await ask(client, server, longest=100)).body == b"x" * 100


async def test_silence_ends_an_exchange(
    client: KeepAlive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "PIECE_SECONDS", 0.01)
    server = await start(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(ReadTimeout):
        await ask(client, server)


async def test_a_call_given_up_leaves_no_connection_behind(client: KeepAlive, start: Start) -> None:
    server = await start(b"", OK)
    waiting = asyncio.create_task(ask(client, server))
    while not server.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await ask(client, server)).body == b"hi"
    assert server.connections == 2


async def test_what_is_kept_too_long_is_not_used(
    client: KeepAlive, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_alive, "IDLE_SECONDS", -1.0)
    server = await start(OK)
    await ask(client, server)
    await ask(client, server)
    assert server.connections == 2


async def test_no_more_connections_than_the_limit(start: Start) -> None:
    client = KeepAlive()
    server = await start(OK)
    await asyncio.gather(*[ask(client, server) for _ in range(3 * keep_alive.MOST_CONNECTIONS)])
    assert server.connections <= keep_alive.MOST_CONNECTIONS
    assert len(client._idle) <= keep_alive.MOST_IDLE
    await client.aclose()
    with pytest.raises(ConnectError):
        await ask(client, server)


async def test_nobody_listens(client: KeepAlive) -> None:
    with pytest.raises(ConnectError):
        await client.post("http://127.0.0.1:9/", (), b"", 10)


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x/", "http://", "http:///x", "http://me@x/", "http://x:99999/", "http://[x/"],
)
async def test_no_address(client: KeepAlive, url: str) -> None:
    with pytest.raises(InvalidURL):
        await client.post(url, (), b"", 10)


@pytest.mark.parametrize(
    ("url", "head"),
    [
        ("http://x/a b?c=d#e", b"POST /a%20b?c=d HTTP/1.1\r\nhost: x\r\n"),
        ("https://x:443", b"POST / HTTP/1.1\r\nhost: x:443\r\n"),
        ("http://[::1]:8080/%20", b"POST /%20 HTTP/1.1\r\nhost: [::1]:8080\r\n"),
        ("http://x/\r\nevil: yes", b"POST /evil:%20yes HTTP/1.1\r\nhost: x\r\n"),
        ("http://x/é", b"POST /%C3%A9 HTTP/1.1\r\nhost: x\r\n"),
    ],
)
def test_the_beginning_of_a_request(url: str, head: bytes) -> None:
    assert place_of(url).head == head + b"accept-encoding: identity\r\n"


@pytest.mark.parametrize("value", [b"a\r\nevil: yes", b"a\nb", b"a\0"])
async def test_a_header_ends_where_it_ends(client: KeepAlive, start: Start, value: bytes) -> None:
    server = await start(OK)
    with pytest.raises(NoAnswer):
        await client.post(server.url, ((b"a", value),), b"", 10)
    assert server.asked == []


async def test_neither_cookies_nor_proxies_nor_redirects(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    cookie = b"HTTP/1.1 307 There\r\nset-cookie: a=b\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"
    server = await start(cookie)
    async with http.Caller() as caller:
        for _ in range(2):
            assert (await http.post(caller, server.url, b"", "a/b", seconds=5, longest=9))[0] == 307
    assert len(server.asked) == 2
    assert not [asked for asked in server.asked if b"cookie" in asked.lower()]


async def test_an_answer_in_a_coding_has_no_body(start: Start) -> None:
    coded = OK.replace(b"X-Kept: Yes", b"Content-Encoding: gzip")
    server = await start(coded)
    async with http.Caller() as caller:
        said = await http.post(caller, server.url, b"", "a/b", seconds=5, longest=9)
    assert said == (200, None)


async def test_the_whole_exchange_has_an_end(start: Start) -> None:
    server = await start(b"HTTP/1.1 200 OK\r\n")
    async with http.Caller() as caller:
        with pytest.raises(ReadTimeout, match="no whole answer within"):
            await http.post(caller, server.url, b"", "a/b", seconds=0.01, longest=9)
