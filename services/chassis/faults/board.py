"""The faults that one party has been told to suffer: armed, counted, recorded, taken back.

Nothing is armed at start, and nothing outlives the process. While something is armed (or a message
is still held back), `Faults.active` is true and every exchange passes through an `UnsafeNetwork`;
else exchanges pass as if none of this were here. Each strike is recorded in audit log,
trace and log before it takes effect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from services.chassis.data.audit import AuditLog
from services.chassis.data.store import Database
from services.chassis.data.trace import Traces
from services.chassis.faults.exchange import ExchangeFacts, ReadReference
from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.orders import FITS, Direction, FaultError, FaultOrder, Kind, Part
from services.chassis.time.clock import LabClock

MOST_LIVE: Final = 100
"""Faults that can strike at one time; as many spent ones are still listed, the latest."""

ANYONE_HOP: Final = "anyone"
"""Who calls, where no system says that it is it."""

_log = structlog.get_logger(__name__)


def _no_reference(_: bytes) -> None:
    """Nothing is a message to a party that reads none."""


class Resigner(Protocol):
    """Signs what this party says anew, with a key that nobody knows. The signed link has one."""

    def request(self, asked: Asked, *, claims_own: bool) -> Asked:
        """A request, signed anew."""
        ...

    def answer(self, asked: Asked, answer: Answer, *, claims_own: bool) -> Answer:
        """An answer, signed anew and bound to its request."""
        ...


@dataclass(slots=True)
class Held:
    """A message that is held back; `gate` lets it go."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)


class UnknownFaultError(Exception):
    """No fault of that identifier has been ordered."""


@dataclass(slots=True)
class Armed:
    """One order, and how far it has come.

    Attributes:
        id: its name here, ``f1`` and on.
        order: what was ordered.
        left: for each of the next that fit, whether it strikes; None: always.
        fired: how often it has struck.
        held: messages it holds back.
        previous: for a stale answer, the last true answer of each route.
    """

    id: str
    order: FaultOrder
    left: deque[bool] | None
    fired: int = 0
    held: list[Held] = field(default_factory=list)
    previous: dict[tuple[str, str, str], Answer] = field(default_factory=dict)

    @property
    def still_to_come(self) -> int | None:
        """How often it will strike yet; None: until it is removed."""
        return None if self.left is None else sum(self.left)

    @property
    def live(self) -> bool:
        """Whether it can strike, or holds something back."""
        return self.still_to_come != 0 or bool(self.held)

    def strikes(self, exchange: ExchangeFacts) -> bool:
        """Whether it strikes this one; counts it."""
        if self.order.kind is Kind.STALE_ANSWER and exchange.route not in self.previous:
            return False
        if self.left is None:
            return True
        return bool(self.left) and self.left.popleft()


class Faults:
    """What one party has been told to suffer."""

    def __init__(
        self, party: str, database: Database, audit: AuditLog, traces: Traces, clock: LabClock
    ) -> None:
        self.party = party
        self.active = False
        self.resigner: Resigner | None = None
        self.reference: ReadReference = _no_reference
        self.hops: dict[Direction, set[str]] = {d: set() for d in Direction}
        self._database = database
        self._audit = audit
        self._traces = traces
        self._clock = clock
        self._armed: dict[str, Armed] = {}
        self._count = 0
        self._moved = asyncio.Event()
        clock.on_change(self._clock_moved)

    def know(self, direction: Direction, hops: Iterable[str]) -> None:
        """Say who calls, or who is called, so that an order for anyone else can be refused."""
        self.hops[direction] |= set(hops)

    def examine(self, order: FaultOrder) -> None:
        """Refuse an order that could never strike here.

        Raises:
            FaultError: naming the rule.
        """
        if sum(armed.live for armed in self._armed.values()) >= MOST_LIVE:
            raise FaultError("many", "remove some first", f"at most {MOST_LIVE} at one time")
        known = sorted(self.hops[order.direction])
        if not known:
            raise FaultError("hop", f"{self.party} has no {order.direction} calls")
        if order.hop is not None and order.hop not in known:
            raise FaultError("hop", f"{order.hop} is no {order.direction} hop here", str(known))
        if order.kind is Kind.OLD_KEY and self.resigner is None:
            raise FaultError("old_key", f"{self.party} signs nothing on the link")

    def arm(self, order: FaultOrder) -> Armed:
        """Have it strike from now on. `examine` it first."""
        self._count += 1
        spent = [armed.id for armed in self._armed.values() if not armed.live]
        for fault_id in spent[:-MOST_LIVE]:
            del self._armed[fault_id]
        drawn = order.drawn()
        armed = Armed(f"f{self._count}", order, None if drawn is None else deque(drawn))
        self._armed[armed.id] = armed
        self.active = True
        _log.warning(
            "a fault is ARMED: this party is weakened",
            party=self.party,
            fault=armed.id,
            kind=order.kind.value,
        )
        return armed

    def find(self, fault_id: str) -> Armed:
        """The fault of that identifier.

        Raises:
            UnknownFaultError: there is none.
        """
        try:
            return self._armed[fault_id]
        except KeyError:
            raise UnknownFaultError(f"{self.party} has no fault {fault_id}") from None

    def remove(self, fault_id: str) -> Armed:
        """Undo an order; what it holds back is carried on.

        Raises:
            UnknownFaultError: there is none.
        """
        removed = self.find(fault_id)
        del self._armed[fault_id]
        self._let_go(removed)
        removed.left = deque()
        _log.warning("a fault was removed", party=self.party, fault=fault_id)
        self._settle()
        return removed

    def release(self, fault_id: str) -> int:
        """Carry on what a fault holds back; how many messages that were.

        Raises:
            UnknownFaultError: there is none.
        """
        released = self._let_go(self.find(fault_id))
        self._settle()
        return released

    def clear(self) -> int:
        """Undo every order; how many there were."""
        ids = list(self._armed)
        for fault_id in ids:
            self.remove(fault_id)
        return len(ids)

    def replace(self, device: str, orders: Iterable[FaultOrder]) -> None:
        """Have these befall what is carried to and from a device, and no others any more.

        What is held back already goes on waiting.

        Raises:
            FaultError: one of them could never strike here.
        """
        wanted = list(orders)
        for order in wanted:
            self.examine(order)
        for armed in self.carried_to(device):
            armed.left = deque()
        for order in wanted:
            self.arm(order)
        self._settle()

    def forget(self, device: str) -> None:
        """Undo what was ordered of one device; what it holds back is for the caller to lose."""
        for armed in self.carried_to(device):
            del self._armed[armed.id]
        self._settle()

    def carried_to(self, device: str) -> list[Armed]:
        """The faults ordered of what is carried to and from this one device."""
        return [
            armed
            for armed in self._armed.values()
            if armed.order.direction is Direction.DEVICE and armed.order.match.device == device
        ]

    def weakened(self) -> list[str]:
        """Those that can strike or hold something back, as the lab port says it."""
        return [f"fault:{armed.id}" for armed in self._armed.values() if armed.live]

    def listed(self) -> list[Armed]:
        """Every fault that was ordered and not removed, spent ones too."""
        return list(self._armed.values())

    def describe(self) -> dict[str, Any]:
        """What could be ordered here: hops, and where each kind can happen."""
        ways = [d for d in Direction if d is not Direction.DEVICE or self.hops[d]]
        kinds = {
            kind.value: sorted(f"{d} {p}" for d, p in FITS[kind] if d in ways)
            for kind in Kind
            if kind is not Kind.OLD_KEY or self.resigner is not None
        }
        return {"hops": {d.value: sorted(self.hops[d]) for d in ways}, "kinds": kinds}

    # What whoever carries messages asks for: `UnsafeNetwork`, and a network to devices.

    async def struck(self, part: Part, exchange: ExchangeFacts) -> Armed | None:
        """The fault that strikes this message, if any; recorded before it does."""
        armed = self.take(part, exchange)
        if armed is not None:
            await self.record(armed, exchange)
        return armed

    def take(self, part: Part, exchange: ExchangeFacts) -> Armed | None:
        """The fault that strikes this message, if any: the oldest of those that do."""
        for armed in self._armed.values():
            order = armed.order
            if order.part is part and order.addresses(exchange) and armed.strikes(exchange):
                armed.fired += 1
                return armed
        return None

    async def record(self, armed: Armed, exchange: ExchangeFacts) -> None:
        """Say that it strikes, before it does."""
        order, subject = armed.order, exchange.subject(self.reference)
        facts = {
            "fault": armed.id,
            "kind": order.kind.value,
            "direction": order.direction.value,
            "part": order.part.value,
            "hop": exchange.hop,
            "method": exchange.method,
            "path": exchange.path,
            "number": armed.fired,
        }
        _log.warning("a fault STRIKES", party=self.party, subject=subject, **facts)
        of = "" if order.times is None else f" of {order.times}"
        ends = (exchange.hop, self.party)
        if (order.direction is Direction.INBOUND) is not (order.part is Part.REQUEST):
            ends = (self.party, exchange.hop)
        async with self._database.begin() as conn:
            await self._audit.append(conn, "lab.fault.fired", subject, facts)
            await self._traces.record(
                subject,
                "fault",
                sender=ends[0],
                receiver=ends[1],
                name=f"fault.{order.kind}",
                summary=f"fault {armed.id}: {order.kind} of the {order.direction} {order.part}, "
                f"{exchange.method} {exchange.path} ({armed.fired}{of})",
                conn=conn,
            )

    def hold(self, armed: Armed, patience: float | None = None) -> Awaitable[None]:
        """Hold a message back from now on; awaited until it is released, overtaken or due.

        Args:
            armed: the fault that holds it.
            patience: seconds after which whoever waits for it gives up; None: never.

        Raises:
            TimeoutError: it was given up.
        """
        due = None
        if armed.order.seconds is not None:
            due = self._clock.now() + timedelta(seconds=armed.order.seconds)
        held = Held()
        armed.held.append(held)
        return self._held(armed, held, due, patience)

    async def _held(
        self, armed: Armed, held: Held, due: datetime | None, patience: float | None
    ) -> None:
        try:
            async with asyncio.timeout(patience):
                while not held.gate.is_set():
                    left = None if due is None else (due - self._clock.now()).total_seconds()
                    if left is not None and left <= 0:
                        break
                    standing = self._clock.mode == "held"
                    await self._until(held.gate, None if standing else left)
        finally:
            if held in armed.held:
                armed.held.remove(held)
            self._settle()

    def passed(self, part: Part, exchange: ExchangeFacts) -> None:
        """A message has arrived: those it has overtaken may follow."""
        for armed in self._armed.values():
            order = armed.order
            if order.kind is Kind.REORDER and order.part is part and order.addresses(exchange):
                self._let_go(armed)
        self._settle()

    def keep(self, exchange: ExchangeFacts, answer: Answer) -> None:
        """Remember a true answer, for a fault that will give it again."""
        for armed in self._armed.values():
            if armed.order.kind is Kind.STALE_ANSWER and armed.order.addresses(exchange):
                armed.previous[exchange.route] = answer

    async def _until(self, gate: asyncio.Event, left: float | None) -> None:
        """Until the gate opens, the clock is moved, or that many seconds have passed."""
        waits = [asyncio.ensure_future(one.wait()) for one in (gate, self._moved)]
        try:
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await one

    def _clock_moved(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _let_go(self, armed: Armed) -> int:
        released, armed.held = armed.held, []
        for one in released:
            one.gate.set()
        return len(released)

    def _settle(self) -> None:
        """Say so once nothing is armed any more."""
        if self.active and not any(armed.live for armed in self._armed.values()):
            self.active = False
            _log.warning("no fault is armed any more", party=self.party)
