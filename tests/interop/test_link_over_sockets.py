"""The link over real sockets: uvicorn on one side, the chassis' client (aiohttp) on the other.

Servers and clients normalise: header case, paths, repeated headers, encodings. What the pure core
verifies must be what travelled.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from services.chassis.web.http import Caller
from services.link.client import LinkClient
from services.link.errors import LinkRefused, PeerUnavailable
from services.link.store.evidence import verify_evidence
from services.link.wire.message import HttpRequest
from tests.unit.services.link.estate import Estate, HeldClock, Party, open_party
from tests.unit.services.link.forge import Forge

pytestmark = pytest.mark.check


@dataclass
class Served:
    """An ECoS party that listens, and the ACB that calls it."""

    ecos: Party
    acb: Party
    link: LinkClient
    port: int
    estate: Estate

    async def raw(self, octets: bytes) -> tuple[int, bytes]:
        """Put octets on a connection; the status and everything that came back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(octets)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer.split(b" ", 2)[1]), answer


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    estate, clock = Estate(), HeldClock()
    ecos = await open_party(tmp_path, estate, clock=clock)
    acb = await open_party(
        tmp_path, estate, system="acb", clock=clock, allowed={"x": frozenset({"ecos_party"})}
    )
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    config = uvicorn.Config(ecos.app, log_level="critical", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    async with Caller() as http:
        link = LinkClient(
            identity=estate.identity("acb"),
            trust=estate.trust(),
            peer="ecos_party",
            base_url=f"http://127.0.0.1:{port}",
            http=http,
            evidence=acb.evidence,
            clock=clock,
            book=acb.book,
        )
        # the socket listens already: what is sent before the server is up waits there
        yield Served(ecos, acb, link, port, estate)
    server.should_exit = True
    await task
    await ecos.database.close()
    await acb.database.close()


def on_the_wire(request: HttpRequest, *more: str, target: str | None = None) -> bytes:
    lines = [f"{request.method} {target or request.path} HTTP/1.1", "Host: ecos_party"]
    lines += [f"{name.title()}: {value}" for name, value in request.headers]
    lines += [f"Content-Length: {len(request.body)}", "Connection: close", *more]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body


async def test_calls_in_parallel_are_answered_and_proven(served: Served):
    answers = await asyncio.gather(
        *(
            served.link.call("/link/cos-command", "cos-command", f"m-{n}", {"n": n})
            for n in range(20)
        )
    )
    assert sorted(answer.body["acts"] for answer in answers) == list(range(1, 21))
    trust = served.estate.trust()
    for log in (await served.acb.rows(), await served.ecos.rows()):
        assert len(log) == 40
        for entry in log:
            verify_evidence(entry, trust)
    await served.acb.audit.verify()
    await served.ecos.audit.verify()


async def test_header_names_may_be_in_any_case(served: Served):
    forge = Forge(served.estate.holders["acb"])
    status, _ = await served.raw(on_the_wire(forge.request()))
    assert status == 200


@pytest.mark.parametrize(
    ("more", "target", "check"),
    [
        (("Cos-Purpose: cos-command",), None, b"link.request.header_once"),
        (("Content-Encoding: gzip",), None, b"link.request.content_encoding"),
        ((), "/link/cos-command?x=1", b"link.request.query"),
        ((), "/link/cos%2dcommand", b"link.request.path"),
        ((), "/link/device-alert", b"link.request.signature"),
    ],
)
async def test_what_the_wire_adds_is_refused_by_name(
    served: Served, more: tuple[str, ...], target: str | None, check: bytes
):
    forge = Forge(served.estate.holders["acb"])
    status, answer = await served.raw(on_the_wire(forge.request(), *more, target=target))
    assert status in {400, 401}
    assert check in answer
    assert b"\r\nsignature:" in answer
    assert served.ecos.handled == []


async def test_a_peer_that_is_not_there(served: Served):
    closed = socket.create_server(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    async with Caller() as http:
        link = LinkClient(
            identity=served.estate.identity("acb"),
            trust=served.estate.trust(),
            peer="ecos_party",
            base_url=f"http://127.0.0.1:{port}",
            http=http,
            evidence=served.acb.evidence,
            clock=served.acb.clock,
            book=served.acb.book,
        )
        with pytest.raises(PeerUnavailable, match="no answer"):
            await link.call("/link/cos-command", "cos-command", "m-1", {})


async def test_a_route_that_is_not_there_is_not_a_no(served: Served):
    with pytest.raises(LinkRefused, match="header_present"):
        await served.link.call("/link/nothing", "cos-command", "m-1", {})


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ],
    ids=["closes", "not-http", "cut", "bad-chunk", "encoded", "redirect", "octets", "many"],
)
async def test_a_peer_that_answers_badly_settles_nothing(served: Served, said: bytes):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()
        writer.close()

    bad = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = bad.sockets[0].getsockname()[1]
    async with bad, Caller() as http:
        link = LinkClient(
            identity=served.estate.identity("acb"),
            trust=served.estate.trust(),
            peer="ecos_party",
            base_url=f"http://127.0.0.1:{port}",
            http=http,
            evidence=served.acb.evidence,
            clock=served.acb.clock,
            book=served.acb.book,
        )
        with pytest.raises(PeerUnavailable):
            await link.call("/link/cos-command", "cos-command", "m-1", {})
