"""Many changes of supplier at once, over bare HTTP: each lane asks for a home and waits for it.

A change is over when its supplier has been sent the response. Documents are written and signed
before the clock runs. aiohttp, not httpx, because the driver shares the cores with what it
measures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.bare import Bare, measured
from bench.processes import cpu_of
from bench.taker import SUCCESS, Taker
from stack.connection import Connection
from stack.provision import devices_of
from stack.supplier import Supplier

LIMIT: Final = 120.0
"""Seconds for one change."""
HTTP_ERROR: Final = 400


class BenchError(Exception):
    """What was to be measured did not happen: a change was refused, or did not end."""


@dataclass(frozen=True, slots=True)
class Request:
    """A signed request, and its identifier."""

    request_id: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """One load and what it took.

    Attributes:
        changes: how many came to their good end.
        wall: seconds from the first request to the last outcome.
        cpu: CPU seconds of each system, until all that was owed to anybody was delivered.
        each: seconds of each change, from request to outcome.
        bare: cost of the primitives, measured before and after; the mean of both.
    """

    changes: int
    wall: float
    cpu: dict[str, float]
    each: tuple[float, ...]
    bare: Bare

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU that one change took in all systems."""
        return sum(self.cpu.values()) / self.changes * 1e6


class Driver:
    """Suppliers who ask for their homes, on a stack that runs."""

    def __init__(self, connection: Connection, data: Path) -> None:
        self.connection = connection
        self.homes = alternately(devices_of(data))
        self.supplier = Supplier.open(data, "B")
        self.counter = time.time_ns() // 1_000_000

    def written(self, homes: Sequence[dict[str, Any]], changes: int) -> list[list[Request]]:
        """For each home the requests for it, in order; as many for all of them as asked for."""
        rows: list[list[Request]] = [[] for _ in homes]
        for number in range(changes):
            home = homes[number % len(homes)]
            self.counter += 1
            request_id, document = self.supplier.change_of_supplier(
                home["eui"], home["mpxn"], counter=self.counter
            )
            rows[number % len(homes)].append(Request(str(request_id), document))
        return rows

    def run(self, in_flight: int, changes: int) -> Run:
        """Let so many changes happen, so many of them at a time.

        Raises:
            BenchError: one of them did not come to a good end.
        """
        return asyncio.run(self._run(self.written(self.homes[:in_flight], changes)))

    def one_after_the_other(self, homes: int, changes: int) -> list[Request]:
        """Let changes happen, for so many homes in turn; what was asked, in order."""
        rows = self.written(self.homes[:homes], changes)
        asked = [row[turn] for turn in range(changes // homes) for row in rows]
        asyncio.run(self._run([asked]))
        return asked

    async def _run(self, rows: list[list[Request]]) -> Run:
        taker, base = Taker(), self.connection.of("acb").interface
        timeout = aiohttp.ClientTimeout(total=LIMIT)
        connector = aiohttp.TCPConnector(limit=2 * len(rows), keepalive_timeout=2)
        async with (
            taker.listening() as url,
            aiohttp.ClientSession(base, timeout=timeout, connector=connector) as http,
        ):
            self._point_to(url)
            before, cpu = measured(), cpu_of(self.connection.stack.pids)
            began = time.perf_counter()
            lanes = await asyncio.gather(*(self._lane(http, taker, row) for row in rows))
            wall = time.perf_counter() - began
            await asyncio.to_thread(self.connection.settle, 60)
            used = {
                name: after - cpu[name]
                for name, after in cpu_of(self.connection.stack.pids).items()
            }
            after = measured()
            self._point_to(None)
        each = tuple(seconds for lane in lanes for seconds in lane)
        return Run(len(each), wall, used, each, before.between(after))

    def _point_to(self, url: str | None) -> None:
        """Have the broker send the suppliers' documents there, or keep them."""
        for supplier in self.connection.stack.facts["suppliers"]:
            to = None if url is None else f"{url}/{supplier['name']}"
            path = f"/lab/users/{supplier['eui']}/callback"
            self.connection.lab("acb", "PUT", path, {"callback_url": to})

    async def _lane(
        self, http: aiohttp.ClientSession, taker: Taker, row: list[Request]
    ) -> list[float]:
        return [await self._one(http, taker, request) for request in row]

    async def _one(self, http: aiohttp.ClientSession, taker: Taker, request: Request) -> float:
        told = taker.expect(request.request_id)
        began = time.perf_counter()
        headers = {"Content-Type": "application/xml"}
        async with http.post("/service-requests", data=request.document, headers=headers) as answer:
            said = await answer.read()
            check = answer.headers.get("Cos-Check")
            if answer.status >= HTTP_ERROR or check:
                raise BenchError(f"{request.request_id}: {answer.status} {check}: {said[:300]!r}")
        async with asyncio.timeout(LIMIT):
            code = await told
        took = time.perf_counter() - began
        if code != SUCCESS:
            raise BenchError(f"{request.request_id} ended with {code}")
        return took


def alternately(devices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The homes, of one CoS Party and of the other in turn."""
    parties = sorted({one["cos_party"] for one in devices})
    rows = [[one for one in devices if one["cos_party"] == party] for party in parties]
    return [one for pair in zip(*rows, strict=False) for one in pair]
