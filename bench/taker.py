"""The suppliers' own service under load: takes every document, and says when a change has ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

HOST: Final = "127.0.0.1"
SUCCESS: Final = "I0"
ACKNOWLEDGED: Final = "I99"
_REQUEST: Final = re.compile(rb"RequestID>([^<]+)</")
_CODE: Final = re.compile(rb"ResponseCode>([^<]+)</")


class Taker:
    """Who waits for the end of which request.

    Documents are not verified: what the driver does beyond the least would take the cores from
    what is measured. The tests verify every document of such a change.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[str]] = {}

    def expect(self, request_id: str) -> asyncio.Future[str]:
        """The response code with which this request will have ended."""
        told = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = told
        return told

    async def take(self, request: web.Request) -> web.Response:
        """Take one document."""
        document = await request.read()
        code = _CODE.search(document)
        if code is not None and code[1].decode() != ACKNOWLEDGED:
            for name in _REQUEST.findall(document):
                told = self._waiting.pop(name.decode(), None)
                if told is not None and not told.done():
                    told.set_result(code[1].decode())
        return web.Response(status=204)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen; the URL to send to."""
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{supplier}", self.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            yield f"http://{host}:{port}"
        finally:
            await runner.cleanup()
