"""How a device's Alerts leave: over the WAN to one address, again and again until they arrive.

So do answers that the network delayed or duplicated (meter_sim.wan). An Alert in blocks
(meter_sim.blocks) arrived when its last block was taken and no acknowledgement asks for more.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from services.chassis.outbox import Outbox, OutboxItem, TryLater, Undeliverable

KIND: Final = "device-alert"
OCTETS: Final = "application/octet-stream"
_WORTH_REPEATING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class AlertPush:
    """Puts Alerts into the outbox and posts them from there.

    Args:
        outbox: the party's outbox.
        http: the client to post with.
        url: where Alerts go; None: they are recorded and go nowhere.
    """

    def __init__(self, outbox: Outbox, http: httpx.AsyncClient, url: str | None) -> None:
        self._outbox = outbox
        self._http = http
        self._url = url
        self._frames: Callable[[bytes], Sequence[bytes]] = lambda alert: (alert,)
        outbox.register(KIND, self._post)

    def speak_by(self, frames: Callable[[bytes], Sequence[bytes]]) -> None:
        """Say an Alert as `frames` cuts it, instead of whole."""
        self._frames = frames

    async def put(self, conn: AsyncConnection, alert: bytes) -> None:
        """Have an Alert sent once the caller's transaction is committed."""
        if self._url is None:
            return
        key = hashlib.sha256(alert).hexdigest()
        await self._outbox.put(conn, KIND, key, {"alert": base64.b64encode(alert).decode()})

    async def put_late(self, conn: AsyncConnection, answer: bytes) -> None:
        """Have an answer that comes late sent too, as often as it is put."""
        if self._url is None:
            return
        key = f"late {secrets.token_hex(16)}"
        await self._outbox.put(conn, KIND, key, {"alert": base64.b64encode(answer).decode()})

    async def _post(self, item: OutboxItem) -> None:
        frames = self._frames(base64.b64decode(item.payload["alert"]))
        also = {HTTPStatus.CONFLICT} if len(frames) > 1 else set()
        told = [await self._send(frame, _WORTH_REPEATING | also) for frame in frames]
        if len(frames) > 1 and told[-1]:  # an acknowledgement, so there are gaps
            raise TryLater("not every block of it has come")

    async def _send(self, octets: bytes, repeated: frozenset[HTTPStatus]) -> bytes:
        if self._url is None:
            raise Undeliverable("no address for Alerts is configured")
        try:
            answer = await self._http.post(
                self._url, content=octets, headers={"content-type": OCTETS}
            )
        except httpx.HTTPError as error:
            raise TryLater(f"{type(error).__name__} on the way out") from None
        if answer.is_success:
            return answer.content
        if answer.is_client_error and answer.status_code not in repeated:
            raise Undeliverable(f"answered {answer.status_code}")
        raise TryLater(f"answered {answer.status_code}")
