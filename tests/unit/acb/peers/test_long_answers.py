"""Users and the WAN may answer what they like: the broker reads no more than it has a use for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from acb.peers.outbound import LONGEST_ANSWER, Unreachable, Users, Wan

PART = 65_536


class Endless(httpx.AsyncByteStream):
    """A body without end, of which is counted what was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += PART
            yield bytes(PART)

    async def aclose(self) -> None:
        self.closed = True


class Packed(httpx.AsyncByteStream):
    """Octets as they are on the wire."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._octets


def answering(status: int, body: httpx.AsyncByteStream | bytes) -> httpx.AsyncClient:
    def answer(_: httpx.Request) -> httpx.Response:
        if isinstance(body, bytes):
            return httpx.Response(status, content=body)
        return httpx.Response(status, stream=body)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_an_answer_of_the_wan_without_end_is_none() -> None:
    body = Endless()
    async with answering(200, body) as http:
        with pytest.raises(Unreachable, match="more than"):
            await Wan(http, "http://wan").deliver("0253494dd0000001", b"command")
    assert body.closed
    assert body.taken <= LONGEST_ANSWER + PART


async def test_an_answer_of_the_wan_in_a_coding_is_none() -> None:
    """A megabyte of zeros is a kilobyte of gzip."""

    def answer(_: httpx.Request) -> httpx.Response:
        packed = gzip.compress(bytes(1_000_000))
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Packed(packed))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(Unreachable, match="coding"):
            await Wan(http, "http://wan").deliver("0253494dd0000001", b"command")


async def test_the_longest_answer_of_the_wan_is_taken_whole() -> None:
    async with answering(200, bytes(LONGEST_ANSWER)) as http:
        wan = Wan(http, "http://wan")
        assert await wan.deliver("0253494dd0000001", b"command") == bytes(LONGEST_ANSWER)


@pytest.mark.parametrize("status", [200, 204, 500])
async def test_what_a_user_says_beside_yes_or_no_is_not_read_to_its_end(status: int) -> None:
    body = Endless()
    async with answering(status, body) as http:
        if status == 500:
            with pytest.raises(Unreachable, match="500"):
                await Users(http).deliver("http://user", b"<document/>")
        else:
            await Users(http).deliver("http://user", b"<document/>")
    assert body.closed
    assert body.taken <= LONGEST_ANSWER + PART


class Dripping(httpx.AsyncByteStream):
    """A body of which an octet comes whenever it is asked for, and never the last."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"."


@pytest.mark.parametrize("body", [b"", Dripping()], ids=["no answer", "octet by octet"])
async def test_nobody_who_is_called_holds_the_broker_longer_than_said(
    body: httpx.AsyncByteStream | bytes,
) -> None:
    """The limit is for the whole exchange, alive or not. Here it is over at once."""

    async def answer(_: httpx.Request) -> httpx.Response:
        if isinstance(body, bytes):
            await asyncio.Event().wait()
        return httpx.Response(200, stream=body)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        with pytest.raises(Unreachable, match="the user: ReadTimeout"):
            await Users(http, seconds=0).deliver("http://user", b"<document/>")
        with pytest.raises(Unreachable, match="the WAN: ReadTimeout"):
            await Wan(http, "http://wan", seconds=0).deliver("0253494dd0000001", b"command")
