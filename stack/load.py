"""Driving many changes of supplier at once, and what they cost: throughput, waiting, CPU.

Everything goes over what a supplier has: signed requests to the broker's interface, and a receiver
of its own to which the broker sends its signed answers. Each is read only after its signature has
held. What a change needs of the broker's lab port (where answers go, thresholds that no load run
stays under) is put back when the run ends.

The homes are drawn by the seed, and go round: a home has one change under way at a time, asked for
by the supplier that is registered for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
from httpx_aiohttp import AiohttpTransport

from duis.codes import ACKNOWLEDGED, SUCCESS
from duis.errors import DuisError
from duis.model import Response, ResponseMessage
from services.chassis.time.clock import SystemClock
from stack.connection import Connection
from stack.errors import UNREACHABLE, USAGE, CommandError
from stack.fleets import certify, homes_in
from stack.layout import Stack
from stack.processes import cpu_seconds
from stack.provision import devices_of
from stack.receiver import own_address
from stack.supplier import Supplier
from stack.systems import COS_PARTIES
from stack.taking import taking

ANSWER_SECONDS: Final = 120.0  # after which a change counts as unanswered
MOST: Final = 2**31 - 1  # a threshold that nobody reaches
NOT_ANSWERED: Final = "(no answer)"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Home:
    """A meter, its meter point, and the name of the supplier that is registered for it."""

    meter: str
    mpxn: str
    supplier: str


@dataclass
class LoadReport:
    """What a run did and cost.

    Attributes:
        homes: how many homes took part.
        changes: how many changes were asked for.
        in_flight: how many were under way at most.
        rate: how many were to begin each second; None: as soon as one ended.
        seed: what the homes were drawn by.
        completed: how many devices obeyed.
        refused: how many did not, by the check that refused (or the response code).
        wall_seconds: from the first request to the last answer.
        each_second: how many completed in each second.
        waits_ms: of each completed change, from its request to its answer, milliseconds, sorted.
        cpu_seconds: of each system meanwhile; empty where their processes are not ours to see.
        driver_cpu_seconds: of this process: writing, signing, verifying, HTTP.
    """

    homes: int
    changes: int
    in_flight: int
    rate: float | None
    seed: int
    completed: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    each_second: list[int] = field(default_factory=list)
    waits_ms: list[float] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    driver_cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Completed changes a second."""
        return self.completed / self.wall_seconds if self.wall_seconds else 0.0

    def wait_ms(self, share: float) -> float | None:
        """How long that share of the completed changes waited at most, milliseconds."""
        if not self.waits_ms:
            return None
        return self.waits_ms[min(len(self.waits_ms) - 1, int(share * len(self.waits_ms)))]

    @property
    def cpu_ms_each(self) -> dict[str, float]:
        """CPU milliseconds of each system for one completed change."""
        if not self.completed:
            return {}
        return {name: 1000 * spent / self.completed for name, spent in self.cpu_seconds.items()}

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        told = {name: value for name, value in asdict(self).items() if name != "waits_ms"}
        each = self.cpu_ms_each
        return {
            **told,
            "per_second": self.per_second,
            "wait_ms": {
                "p50": self.wait_ms(0.5),
                "p95": self.wait_ms(0.95),
                "max": self.wait_ms(1),
            },
            "cpu_ms_each": {**each, "all": sum(each.values())} if each else {},
        }


async def load(
    stack: Stack,
    data: Path,
    *,
    homes: int,
    changes: int,
    in_flight: int,
    rate: float | None = None,
    seed: int = 1,
    progress: Progress = lambda _line: None,
) -> LoadReport:
    """Have homes change supplier, many at once.

    Args:
        stack: a running stack.
        data: its data folder, for the suppliers' keys and the devices.
        homes: how many homes take part.
        changes: how many changes to make in all.
        in_flight: how many may be under way; never more than there are homes.
        rate: how many begin each second, as far as `in_flight` lets them; None: all it lets.
        seed: draws the homes and their order.
        progress: told a sentence each second.

    Raises:
        CommandError: there are not so many homes (exit code 2), or a system cannot be reached (4).
    """
    chosen = drawn(homes_of(data, stack), homes, seed)
    report = LoadReport(len(chosen), changes, min(in_flight, len(chosen)), rate, seed)
    suppliers = {name: Supplier.open(data, name) for name in {one.supplier for one in chosen}}
    run = _Run(report, stack, suppliers, progress)
    async with taking(own_address(stack.services["acb"].interface), run.take) as url, run.client():
        with Connection(stack) as connection:
            meters, now = [one.meter for one in chosen], SystemClock().now()
            await asyncio.to_thread(certify, connection, data, meters, now, progress)
            lab = await asyncio.to_thread(Preparation.of, connection, suppliers, url)
            try:
                await run.go(chosen)
            finally:
                await asyncio.to_thread(lab.put_back)
    return report


def homes_of(data: Path, stack: Stack) -> list[Home]:
    """The homes of the ceremony and of fleets, each with the supplier registered from now on."""
    names = {one["participant"]: one["name"] for one in stack.facts["suppliers"]}
    registered = {
        point["mpxn"]: names.get(period["participant"])
        for point in stack.facts["meter_points"]
        for period in point["registrations"]
        if period["effective_to"] is None
    }
    homes = [
        Home(one["eui"], one["mpxn"], supplier)
        for one in devices_of(data)
        if (supplier := registered.get(one["mpxn"])) is not None
    ]
    return homes + [Home(*one) for one in homes_in(data)]


def drawn(homes: Sequence[Home], count: int, seed: int) -> list[Home]:
    """So many of the homes, in an order that the seed gives.

    Raises:
        CommandError: there are not so many.
    """
    if not 0 < count <= len(homes):
        raise CommandError(f"{count} homes asked for, and there are {len(homes)}", USAGE)
    return sorted(homes, key=lambda one: sha256(f"{seed} {one.meter}".encode()).digest())[:count]


@dataclass
class Preparation:
    """What a run changes at the lab ports, and what was there before."""

    connection: Connection
    euis: list[str]
    callbacks: dict[str, str | None]
    thresholds: dict[str, int | None]
    cos_parties: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, connection: Connection, suppliers: dict[str, Supplier], url: str) -> Preparation:
        """Have all answers sent to `url`, a supplier's name at its end; no threshold in the way."""
        names = {one.eui: name for name, one in suppliers.items()}
        euis = sorted(names)
        lab = connection.lab
        users = {
            one["eui"]: one["callback_url"] for one in lab("acb", "GET", "/lab/users")["users"]
        }
        before = cls(
            connection,
            euis,
            {eui: users[eui] for eui in euis if eui in users},
            lab("acb", "GET", "/lab/thresholds")["thresholds"],
            {name: lab(name, "GET", "/lab/thresholds") for name in COS_PARTIES},
        )
        try:
            for eui in before.callbacks:
                _point(connection, eui, f"{url}/{names[eui]}")
            for scope in (*euis, "*"):
                lab("acb", "PUT", f"/lab/thresholds/{scope}", {"most": None})
            for name, held in before.cos_parties.items():
                raised = {**held, "per_requester": MOST, "total": MOST}
                lab(name, "PUT", "/lab/thresholds", raised)
        except BaseException:
            before.put_back()
            raise
        return before

    def put_back(self) -> None:
        """As it was before."""
        lab = self.connection.lab
        for scope in (*self.euis, "*"):
            if scope in self.thresholds:
                lab("acb", "PUT", f"/lab/thresholds/{scope}", {"most": self.thresholds[scope]})
            else:
                lab("acb", "DELETE", f"/lab/thresholds/{scope}")
        for name, held in self.cos_parties.items():
            lab(name, "PUT", "/lab/thresholds", held)
        for eui, url in self.callbacks.items():
            _point(self.connection, eui, url)


def _point(connection: Connection, eui: str, url: str | None) -> None:
    connection.lab("acb", "PUT", f"/lab/users/{eui}/callback", {"callback_url": url})


class _Run:
    """One run: who is under way, and what has come back."""

    def __init__(
        self,
        report: LoadReport,
        stack: Stack,
        suppliers: dict[str, Supplier],
        progress: Progress,
    ) -> None:
        self.report = report
        self.stack = stack
        self.suppliers = suppliers
        self.progress = progress
        self.url = f"{stack.services['acb'].interface}/service-requests"
        self.waiting: dict[str, asyncio.Future[Response]] = {}
        self.refused: Counter[str] = Counter()
        self.ended: list[float] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator[None]:
        """Have a client for the broker's interface."""
        limits = httpx.Limits(max_connections=None, keepalive_expiry=2.0)
        transport = AiohttpTransport(trust_env=False, limits=limits)
        async with httpx.AsyncClient(transport=transport, timeout=30.0, trust_env=False) as http:
            self.http = http
            yield

    async def go(self, homes: Sequence[Home]) -> None:
        """Make all changes."""
        free = deque(homes)
        places = asyncio.Semaphore(self.report.in_flight)
        before, own, began = cpu_seconds(self.stack), time.process_time(), time.monotonic()
        telling = asyncio.create_task(self._tell(began))

        async def one() -> None:
            home = free.popleft()
            try:
                await self._change(home, began)
            finally:
                free.append(home)
                places.release()

        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.report.changes):
                    if self.report.rate is not None:
                        late = began + number / self.report.rate - time.monotonic()
                        await asyncio.sleep(max(0.0, late))
                    await places.acquire()
                    group.create_task(one())
        except* CommandError as errors:
            raise errors.exceptions[0] from None
        finally:
            telling.cancel()
        self._conclude(began, own, before)

    def _conclude(self, began: float, own: float, before: dict[str, float]) -> None:
        report = self.report
        report.wall_seconds = time.monotonic() - began
        report.driver_cpu_seconds = time.process_time() - own
        after = cpu_seconds(self.stack)
        report.cpu_seconds = {name: after[name] - before[name] for name in before if name in after}
        report.refused = dict(self.refused.most_common())
        report.completed = len(self.ended)
        report.waits_ms.sort()
        by_second = Counter(int(at) for at in self.ended)
        report.each_second = [by_second[n] for n in range(int(report.wall_seconds) + 1)]

    async def _change(self, home: Home, began: float) -> None:
        supplier = self.suppliers[home.supplier]
        request_id, document = supplier.change_of_supplier(home.meter, home.mpxn)
        name = str(request_id)
        self.waiting[name] = answer = asyncio.get_running_loop().create_future()
        asked = time.monotonic()
        try:
            refusal = await self._ask(supplier, document)
            if refusal is None:
                async with asyncio.timeout(ANSWER_SECONDS):
                    code = (await answer).code
                refusal = None if code == SUCCESS else await self._why(name, code)
        except TimeoutError:
            refusal = NOT_ANSWERED
        finally:
            self.waiting.pop(name, None)
        if refusal is not None:
            self.refused[refusal] += 1
            return
        ended = time.monotonic()
        self.ended.append(ended - began)
        self.report.waits_ms.append(1000 * (ended - asked))

    async def _ask(self, supplier: Supplier, document: bytes) -> str | None:
        """Post a request; None if the broker took it, else the check that refused it."""
        try:
            answer = await self.http.post(
                self.url, content=document, headers={"content-type": "application/xml"}
            )
        except httpx.TransportError as error:
            raise CommandError(f"acb cannot be reached: {error}", UNREACHABLE) from error
        if check := answer.headers.get("Cos-Check"):
            return str(check)
        if answer.is_error:
            with suppress(ValueError):
                return str(answer.json().get("check") or answer.status_code)
            return str(answer.status_code)
        code = supplier.read(answer.content).code
        return None if code == ACKNOWLEDGED else code

    async def _why(self, request_id: str, code: str) -> str:
        """The check that refused a request that did not end well, or the response code."""
        with suppress(httpx.TransportError, ValueError):
            told = (await self.http.get(f"{self.url}/{request_id}")).json()
            refused = told.get("refused") or {}
            return str(refused.get("check") or code)
        return code

    def take(self, supplier: str, document: bytes) -> None:
        """Hand an answer to whoever waits for it. Alerts, and what is not the broker's, are not."""
        if supplier not in self.suppliers:
            return
        with suppress(DuisError):
            response = self.suppliers[supplier].read(document)
            if isinstance(response.body, ResponseMessage) and response.request_id is not None:
                waits = self.waiting.get(str(response.request_id))
                if waits is not None and not waits.done():
                    waits.set_result(response)

    async def _tell(self, began: float) -> None:
        while True:
            await asyncio.sleep(1.0)
            done, refused = len(self.ended), self.refused.total()
            rate = done / (time.monotonic() - began)
            more = f", {refused} refused" if refused else ""
            self.progress(f"{done + refused} of {self.report.changes}, {rate:.1f} a second{more}")
