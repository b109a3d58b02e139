"""The network between a party and a device, which may be told to misbehave.

A lost Command and a lost answer look alike to the sender, and both look like a device that says
nothing. Misbehaving is a loud act of the lab: it is audited when ordered, logged and traced each
time it happens, and undone by reset, which also loses what is still on its way. It concerns the
network only; a device never learns of it, and checks what it hears as always.

- delayed: what was sent is carried on when the devices' clock has come that far;
- overtaken (reorder): it is carried on after the next one the same way has arrived;
- duplicated: it arrives twice.

Of a message that travels in blocks, each block is carried by itself, and so is each
acknowledgement of one: what may befall a message befalls a block (meter_sim.wan.blocks).

Whoever sent a message that is held back gets silence at once. An answer that comes late, or twice,
is posted where Alerts go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from meter_sim.steps.outbound import AlertPush
from meter_sim.steps.workflow import reference_of
from meter_sim.wan.blocks import Blocks
from meter_sim.wan.disturbances import Disturbances, Knob, WanOrder, Way
from services.chassis.checks import Refused
from services.chassis.foundation import Foundation

_log = structlog.get_logger(__name__)
_QUIET = Disturbances(WanOrder())


@dataclass(frozen=True, slots=True)
class Carried:
    """Something on its way: until `due`, or where that is None, until the next one has arrived."""

    eui: str
    way: Way
    data: bytes
    subject: str
    content_type: str = ""
    due: datetime | None = None


class Wan:
    """Carries octets to devices and back.

    Args:
        base: the chassis.
        devices: what they make of a message or a block.
        push: how late answers leave.
    """

    def __init__(self, base: Foundation, devices: Blocks, push: AlertPush) -> None:
        self._base = base
        self._devices = devices
        self._push = push
        self._ordered: dict[str, Disturbances] = {}
        self._carried: list[Carried] = []
        self._when_held: list[Callable[[], None]] = []

    def when_held(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever something is held back until a time."""
        self._when_held.append(callback)

    async def carry(self, eui: str, data: bytes, content_type: str) -> bytes | None:
        """Take octets to a device: what it says, or None if nothing comes back.

        Raises:
            Refused: no such device is installed, or what came is not octets.
        """
        knob, subject = self.disturbances(eui).next(Way.MESSAGES), reference_of(eui, data)
        if knob is Knob.LOSE:
            await self._happened(subject, "lost", "the message never reached the device")
            return None
        if knob in (Knob.DELAY, Knob.REORDER):
            await self._hold(knob, Carried(eui, Way.MESSAGES, data, subject, content_type))
            return None
        said = await self._back(eui, subject, await self._devices.receive(eui, data, content_type))
        if knob is Knob.DUPLICATE:
            await self._happened(subject, "duplicated", "the message arrived twice")
            await self._arrive(Carried(eui, Way.MESSAGES, data, subject, content_type))
        for one in self._take(eui, Way.MESSAGES):
            await self._arrive(one)
        return said

    async def release_due(self) -> int:
        """Carry on with everything whose time has come; how many that were."""
        now = self._base.clock.now()
        due = [one for one in self._carried if one.due is not None and one.due <= now]
        for one in sorted(due, key=lambda one: one.due or now):
            if one in self._carried:  # not lost meanwhile
                self._carried.remove(one)
                await self._arrive(one)
        return len(due)

    def next_due(self) -> datetime | None:
        """When the next one held back is to arrive; None if none is."""
        return min((one.due for one in self._carried if one.due is not None), default=None)

    def disturbances(self, eui: str) -> Disturbances:
        """What is still to happen on the way to and from a device."""
        return self._ordered.get(eui, _QUIET)

    def held(self, eui: str) -> int:
        """How many messages and answers of a device are on their way."""
        return sum(one.eui == eui for one in self._carried)

    def order(self, eui: str, order: WanOrder) -> None:
        """Misbehave like that from now on."""
        self._ordered[eui] = Disturbances(order)
        _log.warning("the WAN will misbehave", device=eui, **self._ordered[eui].left())

    def forget(self, eui: str) -> None:
        """Misbehave no more for this device, and lose what is on its way."""
        self._ordered.pop(eui, None)
        self._carried = [one for one in self._carried if one.eui != eui]

    async def recover(self) -> None:
        """Misbehave no more, and lose what is on its way."""
        self._ordered.clear()
        lost, self._carried = self._carried, []
        for one in lost:
            await self._happened(one.subject, "lost", "the network was reset")

    async def _back(self, eui: str, subject: str, said: bytes | None) -> bytes | None:
        """Take an answer back to whoever asked: what arrives there now."""
        if said is None:
            return None
        knob = self.disturbances(eui).next(Way.ANSWERS)
        if knob is Knob.LOSE:
            await self._happened(subject, "lost", "the device's answer was lost on its way back")
            return None
        if knob in (Knob.DELAY, Knob.REORDER):
            await self._hold(knob, Carried(eui, Way.ANSWERS, said, subject))
            return None
        if knob is Knob.DUPLICATE:
            await self._happened(subject, "duplicated", "the answer will arrive twice")
            await self._say_late(eui, said)
        for one in self._take(eui, Way.ANSWERS):
            await self._arrive(one)
        return said

    async def _hold(self, knob: Knob, one: Carried) -> None:
        due = None
        if knob is Knob.DELAY:
            wait = timedelta(seconds=self.disturbances(one.eui).delay_seconds)
            due = self._base.clock.now() + wait
        self._carried.append(replace(one, due=due))
        until = "until the next has arrived" if due is None else f"until {due.isoformat()}"
        await self._happened(one.subject, "held back", until)
        for callback in self._when_held:
            callback()

    def _take(self, eui: str, way: Way) -> list[Carried]:
        """Those that were waiting to be overtaken by the one that is passing now."""
        taken = [
            one for one in self._carried if one.due is None and (one.eui, one.way) == (eui, way)
        ]
        self._carried = [one for one in self._carried if one not in taken]
        return taken

    async def _arrive(self, one: Carried) -> None:
        """Bring what was held back, or comes twice, to where it was going."""
        said: bytes | None = one.data
        if one.way is Way.MESSAGES:
            try:
                said = await self._devices.receive(one.eui, one.data, one.content_type)
            except Refused as refused:  # the device was scrapped, or these are no octets
                await self._happened(one.subject, "lost", refused.detail)
                return
        if said is not None:
            await self._say_late(one.eui, said)

    async def _say_late(self, device: str, said: bytes) -> None:
        async with self._base.database.begin() as conn:
            await self._push.put_late(conn, device, said)

    async def _happened(self, subject: str, kind: str, summary: str) -> None:
        _log.warning("on the WAN", message=subject, what=kind, detail=summary)
        await self._base.traces.record(subject, kind, summary=summary)
