"""How a device's Alerts leave: over the WAN to one address, again and again until they arrive.

So do answers that the network delayed or duplicated (meter_sim.wan.network). An Alert in blocks
(meter_sim.wan.blocks) arrived when its last block was taken and no acknowledgement asks for more.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from meter_sim.device.rules.reception import OCTETS
from services.chassis.data.connection import StoreConnection
from services.chassis.data.outbox import NOTICES, Outbox, OutboxItem, TryLater, Undeliverable
from services.chassis.web.http import Http, NoAnswer, post

KIND: Final = "device-alert"
SECONDS: Final = 10.0
"""How long the broker may take to hear one message, its answer included."""
LONGEST_ANSWER: Final = 256 * 1024
"""Octets read of what it answers: an acknowledgement of blocks at most."""
_WORTH_REPEATING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class AlertPush:
    """Puts Alerts into the outbox and posts them from there.

    Args:
        outbox: the party's outbox.
        http: the client to post with.
        url: where Alerts go; None: they are recorded and go nowhere.
    """

    def __init__(self, outbox: Outbox, http: Http, url: str | None) -> None:
        self._outbox = outbox
        self._http = http
        self._url = url
        self._frames: Callable[[bytes], Sequence[bytes]] = lambda alert: (alert,)
        outbox.register(KIND, self._post, pool=NOTICES)

    def speak_by(self, frames: Callable[[bytes], Sequence[bytes]]) -> None:
        """Say an Alert as `frames` cuts it, instead of whole."""
        self._frames = frames

    async def put(self, conn: StoreConnection, device: str, alert: bytes) -> None:
        """Have a device's Alert sent once the caller's transaction is committed."""
        if self._url is None:
            return
        await self._put(conn, device, hashlib.sha256(alert).hexdigest(), alert)

    async def put_late(self, conn: StoreConnection, device: str, answer: bytes) -> None:
        """Have a device's answer that comes late sent too, as often as it is put."""
        if self._url is None:
            return
        await self._put(conn, device, f"late {secrets.token_hex(16)}", answer)

    async def _put(self, conn: StoreConnection, device: str, key: str, octets: bytes) -> None:
        payload = {"alert": base64.b64encode(octets).decode()}
        await self._outbox.put(conn, KIND, key, payload, lane=f"device:{device}")

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
            status, answer = await post(
                self._http, self._url, octets, OCTETS, seconds=SECONDS, longest=LONGEST_ANSWER
            )
        except NoAnswer as error:
            raise TryLater(f"{type(error).__name__} on the way out") from None
        if 200 <= status < 300:
            if answer is None:
                raise TryLater(f"answered more than {LONGEST_ANSWER} octets, or in a coding")
            return answer
        if 400 <= status < 500 and status not in repeated:
            raise Undeliverable(f"answered {status}")
        raise TryLater(f"answered {status}")
