"""Passes TCP connections on: `python -m stack.forward HOST PORT`, listening on port 8000.

Only for containers. Their networks are internal, so nothing in them can publish a port. The one
service that runs this is in the users' network and in one that is not internal.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Final

LISTEN: Final = 8000
PIECE: Final = 65_536  # octets


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on what comes until it ends, then say so to the other side."""
    with contextlib.suppress(OSError):
        while piece := await source.read(PIECE):
            sink.write(piece)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


async def serve(to_host: str, to_port: int, host: str, port: int) -> asyncio.Server:
    """Listen, and connect each caller with the service behind."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            try:
                behind, onward = await asyncio.open_connection(to_host, to_port)
            except OSError:
                return
            with contextlib.closing(onward):
                await asyncio.gather(pump(reader, onward), pump(behind, writer))

    return await asyncio.start_server(connected, host, port)


async def main(to_host: str, to_port: int) -> None:
    """Serve until ended."""
    server = await serve(to_host, to_port, "0.0.0.0", LISTEN)  # noqa: S104 - a container's networks are its walls
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
