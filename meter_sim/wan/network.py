"""The network between a party and a device, which the lab may have lose, delay, repeat and reorder.

What befalls a message is a fault of the chassis like any other (`services.chassis.faults`), of
direction ``device``: counted, seeded, audited, traced, undone by reset. What differs is that nobody
waits for a device: whoever sent a message that is lost or held back gets silence at once, which is
also what a device that says nothing looks like. A device never learns of it, and checks what it
hears as always.

- delayed: what was sent is carried on when the devices' clock has come that far;
- reordered: it is carried on after the next one the same way has arrived;
- duplicated: it arrives twice.

Of a message that travels in blocks, each block is carried by itself, and so is each
acknowledgement of one: what may befall a message befalls a block (meter_sim.wan.blocks).

An answer that comes late, or twice, is posted where Alerts go. Reset loses what is still on its
way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from meter_sim.steps.outbound import AlertPush
from meter_sim.steps.workflow import reference_of
from meter_sim.wan.blocks import Blocks
from services.chassis.checks import Refused
from services.chassis.context import ServiceContext
from services.chassis.faults.board import Armed
from services.chassis.faults.exchange import ExchangeFacts
from services.chassis.faults.orders import Direction, Kind, Part

HOP: Final = "wan"
"""What faults call the network to the devices."""

_HELD_BACK: Final = (Kind.DELAY, Kind.REORDER)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """A message, or an answer, that is held back."""

    eui: str
    part: Part
    kind: Kind
    subject: str


class Wan:
    """Carries octets to devices and back.

    Args:
        base: the chassis.
        devices: what they make of a message or a block.
        push: how late answers leave.
    """

    def __init__(self, base: ServiceContext, devices: Blocks, push: AlertPush) -> None:
        self._base = base
        self._faults = base.faults
        self._devices = devices
        self._push = push
        self._on_the_way: dict[asyncio.Task[None], OnItsWay] = {}
        base.faults.know(Direction.DEVICE, [HOP])

    async def carry(self, eui: str, data: bytes, content_type: str) -> bytes | None:
        """Take octets to a device: its answer, or None if nothing comes back.

        Raises:
            Refused: no such device is installed, or what came is not octets.
        """
        exchange = ExchangeFacts(
            Direction.DEVICE, HOP, "POST", f"/devices/{eui}/messages", (), data, eui
        )
        arrive = partial(self._arrive, eui, data, content_type)
        fault = await self._faults.struck(Part.REQUEST, exchange)
        kind = None if fault is None else fault.order.kind
        if kind is Kind.DROP:
            return None
        if fault is not None and kind in _HELD_BACK:
            self._hold(fault, exchange, arrive)
            return None
        answer = await self._devices.receive(eui, data, content_type)
        if answer is not None:
            answer = await self._back(eui, exchange, answer)
        if kind is Kind.DUPLICATE:
            await arrive()
        await self._passed(Part.REQUEST, exchange)
        return answer

    def on_the_way(self, eui: str) -> int:
        """How many messages and answers of a device are held back."""
        return sum(one.eui == eui for one in self._on_the_way.values())

    def forget(self, eui: str) -> None:
        """Let nothing befall what goes to this device any more, and lose what is on its way."""
        for task in [task for task, one in self._on_the_way.items() if one.eui == eui]:
            del self._on_the_way[task]
            task.cancel()
        self._faults.forget(eui)

    async def recover(self) -> None:
        """Lose what is on its way. The faults themselves are undone by the chassis."""
        lost = list(self._on_the_way.values())
        await self.stop()
        for one in lost:
            await self._lost(one.subject, "the network was reset")

    async def stop(self) -> None:
        """Carry on with nothing that is held back."""
        late = list(self._on_the_way)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _back(self, eui: str, exchange: ExchangeFacts, answer: bytes) -> bytes | None:
        """Take an answer back to whoever asked: what arrives there now."""
        fault = await self._faults.struck(Part.ANSWER, exchange)
        kind = None if fault is None else fault.order.kind
        if kind is Kind.DROP:
            return None
        if fault is not None and kind in _HELD_BACK:
            self._hold(fault, exchange, partial(self._answer_late, eui, answer))
            return None
        if kind is Kind.DUPLICATE:
            await self._answer_late(eui, answer)
        await self._passed(Part.ANSWER, exchange)
        return answer

    def _hold(
        self, fault: Armed, exchange: ExchangeFacts, arrive: Callable[[], Awaitable[None]]
    ) -> None:
        async def later(released: Awaitable[None]) -> None:
            await released
            await arrive()

        eui = exchange.device or ""
        task = asyncio.create_task(later(self._faults.hold(fault)))
        what = OnItsWay(eui, fault.order.part, fault.order.kind, reference_of(eui, exchange.body))
        self._on_the_way[task] = what
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        one = self._on_the_way.pop(task, None)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("lost on the WAN", message=one and one.subject, exc_info=error)

    async def _passed(self, part: Part, exchange: ExchangeFacts) -> None:
        """Bring those on their way that waited for this one to pass."""
        self._faults.passed(part, exchange)
        overtaken = (exchange.device, part, Kind.REORDER)
        late = [
            task
            for task, one in self._on_the_way.items()
            if (one.eui, one.part, one.kind) == overtaken
        ]
        await asyncio.gather(*late)

    async def _arrive(self, eui: str, data: bytes, content_type: str) -> None:
        """Bring a message that was held back, or comes twice, to its device."""
        try:
            answer = await self._devices.receive(eui, data, content_type)
        except Refused as refused:  # the device was scrapped, or these are no octets
            await self._lost(reference_of(eui, data), refused.detail)
            return
        if answer is not None:
            await self._answer_late(eui, answer)

    async def _answer_late(self, eui: str, answer: bytes) -> None:
        async with self._base.database.begin() as conn:
            await self._push.put_late(conn, eui, answer)

    async def _lost(self, subject: str, why: str) -> None:
        _log.warning("lost on the WAN", message=subject, detail=why)
        await self._base.traces.record(subject, "lost", summary=why)
