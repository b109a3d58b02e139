"""Driving load: the homes that are drawn, what is counted, and taking what the broker sends."""

from __future__ import annotations

import asyncio

import pytest

from stack.errors import USAGE, CommandError
from stack.load import Home, LoadReport, drawn
from stack.receiver import MAX_DOCUMENT
from stack.taking import taking

HOMES = [Home(f"{number:016x}", f"12{number:011d}", "B") for number in range(100)]


def test_a_seed_draws_the_same_homes_again_and_another_seed_others() -> None:
    assert drawn(HOMES, 10, 1) == drawn(HOMES, 10, 1)
    assert drawn(HOMES, 10, 1) != drawn(HOMES, 10, 2)
    assert len(set(drawn(HOMES, 100, 1))) == 100
    for count in (0, 101):
        with pytest.raises(CommandError) as refused:
            drawn(HOMES, count, 1)
        assert refused.value.code == USAGE


def test_a_report_tells_what_one_change_waited_and_cost() -> None:
    report = LoadReport(
        10, 100, 4, None, 1, completed=100, wall_seconds=4.0,
        waits_ms=[float(n) for n in range(1, 101)], cpu_seconds={"acb": 1.0, "meter_sim": 0.5},
    )  # fmt: skip
    told = report.as_dict()
    assert told["per_second"] == 25.0
    assert told["wait_ms"] == {"p50": 51.0, "p95": 96.0, "max": 100.0}
    assert told["cpu_ms_each"] == {"acb": 10.0, "meter_sim": 5.0, "all": 15.0}
    nothing = LoadReport(1, 1, 1, None, 1).as_dict()
    assert nothing["per_second"] == 0
    assert nothing["wait_ms"] == {"p50": None, "p95": None, "max": None}
    assert nothing["cpu_ms_each"] == {}


async def sent(url: str, octets: bytes, answers: int) -> bytes:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(octets)
    heard = b"".join([await reader.readuntil(b"\r\n\r\n") for _ in range(answers)])
    writer.close()
    return heard


def post(path: str, document: bytes) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        path.encode(), len(document), document,
    )  # fmt: skip


async def test_documents_are_taken_with_whom_they_are_for_on_one_connection() -> None:
    taken: list[tuple[str, bytes]] = []
    async with taking("127.0.0.1", lambda name, document: taken.append((name, document))) as url:
        heard = await sent(url, post("/B", b"one") + post("/some/A", b"two\r\n\r\n"), 2)
    assert heard.count(b"HTTP/1.1 204") == 2
    assert taken == [("B", b"one"), ("A", b"two\r\n\r\n")]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /B HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        b"POST /B HTTP/1.1\r\n\r\n",
        b"POST /B HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /B HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_DOCUMENT + 1),
    ],
)
async def test_what_is_no_document_or_too_long_is_not_taken(request_: bytes) -> None:
    taken: list[tuple[str, bytes]] = []
    async with taking("127.0.0.1", lambda name, document: taken.append((name, document))) as url:
        assert (await sent(url, request_, 1)).startswith(b"HTTP/1.1 413")
    assert taken == []


async def test_taking_ends_while_somebody_is_still_connected() -> None:
    async with taking("127.0.0.1", lambda _name, _document: None) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(post("/B", b"one"))
        await reader.readuntil(b"\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
