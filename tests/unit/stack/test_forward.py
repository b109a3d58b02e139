"""Octets are handed on both ways, and an end on one side is an end on the other."""

from __future__ import annotations

import asyncio

from stack.forward import serve


async def test_what_is_sent_arrives_and_the_answer_comes_back() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        writer.close()

    behind = await asyncio.start_server(shout, "127.0.0.1", 0)
    async with behind:
        front = await serve("127.0.0.1", behind.sockets[0].getsockname()[1], "127.0.0.1", 0)
        async with front:
            port = front.sockets[0].getsockname()[1]
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"a" * 200_000)
                writer.write_eof()
                assert await reader.read() == b"A" * 200_000
                writer.close()


async def test_a_caller_is_let_go_where_nobody_is_behind() -> None:
    front = await serve("127.0.0.1", 1, "127.0.0.1", 0)
    async with front:
        port = front.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
