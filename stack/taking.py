"""Taking what the broker sends suppliers, by the thousand: `stack.receiver` inside an event loop.

It answers 204 to each POST with a length it can bear, 413 to others, and hands on the octets with
the last part of the path. Connections are kept for the next document.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from stack.receiver import MAX_DOCUMENT

HEAD_LIMIT: Final = 16_384  # octets

Take = Callable[[str, bytes], None]
"""Told the last part of the path, and the document."""


@asynccontextmanager
async def taking(host: str, take: Take) -> AsyncIterator[str]:
    """Listen on a free port of `host`; gives the base URL."""
    serving: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving[asyncio.current_task()] = writer
        try:
            with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
                while await _one(reader, writer, take):
                    pass
        finally:
            serving.pop(asyncio.current_task())
            writer.close()

    server = await asyncio.start_server(serve, host, 0, limit=HEAD_LIMIT)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        ending = list(serving)
        for writer in list(serving.values()):
            writer.close()
        await asyncio.gather(*(task for task in ending if task is not None), return_exceptions=True)
        await server.wait_closed()


async def _one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, take: Take) -> bool:
    """Answer one request; whether the connection may bring another."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, _, rest = head[0].partition(" ")
    fields = dict(line.lower().split(":", maxsplit=1) for line in head[1:] if ":" in line)
    length = fields.get("content-length", "").strip()
    fine = method == "POST" and length.isdecimal() and 0 < int(length) <= MAX_DOCUMENT
    if fine:
        document = await reader.readexactly(int(length))
        take(rest.partition(" ")[0].rsplit("/", maxsplit=1)[-1], document)
    status = b"204 No Content" if fine else b"413 Content Too Large\r\nConnection: close"
    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    return fine
