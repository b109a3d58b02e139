"""Messages in blocks (General Block Transfer): what a device hears and says a piece at a time.

    block of a Command  ──▶   held; answered by an acknowledgement of what has come
    the last missing    ──▶   the message goes where a whole one goes (meter_sim.steps.workflow)
    acknowledgement     ──▶   the next block of the device's answer

Decided here, as a reconstruction:

- A refused block draws no answer, as a refused message draws none. One that contradicts what is
  held, or makes the message too long, takes the whole transfer with it: whoever can send a block
  can spoil a transfer, but not so that the honest sender cannot begin again at once.
- A transfer is remembered as complete only if its message was answered. So nobody without keys can
  keep the true message away by sending another one under its name first.
- Half a message lives in memory alone, is given up some time after its last block, and is gone
  when the device's power goes, or the process. The sender sees that from the acknowledgements.
- A Command that came in blocks is answered in blocks if the answer is longer than one: the
  device's own block size, or the largest block of the Command if that is smaller. Each block of
  the answer goes when the one before it has been acknowledged, and again when asked for again. A
  Command that came whole is answered whole. An Alert longer than the device's own block size goes
  in blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from gbcs.block_transfer import (
    Block,
    Transfer,
    acknowledge,
    decode_block,
    first_frame,
    is_block,
    split,
    transfer_of,
)
from gbcs.codes import Cra
from gbcs.errors import ParseError
from gbcs.message import decode
from meter_sim.device import block_checks as checks
from meter_sim.device.block_checks import Framed, Joined, Received
from meter_sim.device.model import NotUnderstood
from meter_sim.device.reception import CONTENT_TYPE, DEVICE_KNOWN, Reception
from meter_sim.steps.power import Power, PowerLost
from meter_sim.steps.workflow import Workflow, reference_of
from meter_sim.store.devices import DeviceStore
from meter_sim.store.history import Refusal
from meter_sim.wan.block_transfers import Saying, Talk
from services.chassis.checks import CheckRun, Refused
from services.chassis.foundation import Foundation
from services.chassis.log import note

DEVICES_IN_MEMORY: Final = 1_024
"""Devices of this process that are in the middle of something; the one longest quiet makes room."""

ANSWERS_HELD: Final = 4
"""Answers a device is saying at once; the oldest makes room."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a block: what the device says to it, or the message it completed."""

    block: Block
    said: bytes | None = None
    message: bytes | None = None
    largest: int = 0


class Blocks:
    """Hears what the WAN brings: whole messages pass, blocks are put together.

    Args:
        base: the chassis.
        devices: the devices' store.
        workflow: what happens to a message.
        power: which devices are off.
        size: a device's own block size, unless the lab gave it another.
    """

    def __init__(
        self, base: Foundation, devices: DeviceStore, workflow: Workflow, power: Power, size: int
    ) -> None:
        self._base = base
        self._devices = devices
        self._workflow = workflow
        self._power = power
        self._size = size
        self._sizes: dict[str, int] = {}
        self._talks: OrderedDict[str, Talk] = OrderedDict()
        power.when_off(self.forget_talk)

    async def receive(self, eui: str, data: bytes, content_type: str) -> bytes | None:
        """Let a device hear a message or a block of one: what it says, or None for silence.

        Raises:
            Refused: no such device is installed, or what came is not octets.
        """
        if not is_block(data):
            return await self._workflow.receive(eui, data, content_type)
        try:
            async with self._base.database.begin() as conn:
                taken = await self._hear(conn, eui, data, content_type)
        except PowerLost as lost:
            await self._workflow.went_off(eui, reference_of(eui, data), lost.step)
            return None
        if taken is None or taken.message is None:
            return None if taken is None else taken.said
        return await self._complete(eui, taken, taken.message, content_type)

    async def _hear(
        self, conn: AsyncConnection, eui: str, data: bytes, content_type: str
    ) -> Taken | None:
        state = await self._devices.load(conn, eui)
        reception = self._base.book.start(eui, section="reception")
        reception.apply(DEVICE_KNOWN, Reception(state is not None, content_type))
        reception.apply(CONTENT_TYPE, Reception(state is not None, content_type))
        reception.approve()
        name = reference_of(eui, data)
        if state is None:
            return None
        if not self._power.is_on(eui):
            await self._base.traces.record(name, "off", summary="no power", message=data, conn=conn)
            return None
        run = self._base.book.start(name, section=checks.SECTION)
        try:
            taken = self._take(eui, data, run)
        except Refused as refused:
            told = {key: getattr(refused, key) for key in ("expected", "found")}
            refusal = Refusal(refused.check, refused.title, refused.detail, **told)
            await self._workflow.refuse_block(conn, state, data, run, refusal)
            return None
        except NotUnderstood as lost:
            refusal = Refusal(lost.check, checks.FRAME.title, lost.detail)
            await self._workflow.refuse_block(conn, state, data, run, refusal)
            return None
        await self._trace(conn, name, taken, data, run)
        return taken

    def _take(self, eui: str, data: bytes, run: CheckRun) -> Taken:
        """Judge a block and hold it. Nothing is awaited between the two.

        Raises:
            Refused: a check said no.
            NotUnderstood: the frame check is off, and this is no block at all.
        """
        run.apply(checks.FRAME, Framed(data))
        block, talk = _block_in(data), self._talk(eui)
        talk.expire(self._now)
        received = self._received(block, eui, talk)
        run.apply(checks.DEVICE, received)
        run.apply(checks.KIND, received)
        if block.acknowledges:
            return self._acknowledged(block, talk, received, run)
        run.skip(checks.ACKNOWLEDGEMENT, "it carries a part of a message")
        said_again = talk.saying.get(_answer_to(block.transfer))
        if said_again is not None:
            _set_aside(run, "the answer to its message is being said")
            return Taken(block, said_again.next)
        run.apply(checks.NEW, received)
        try:
            run.apply(checks.OVERLAP, received)
            run.apply(checks.SIZE, received)
        except Refused:
            talk.heard.forget(block.transfer)
            raise
        run.apply(checks.ROOM, received)
        largest = max(map(len, (*received.held.pieces.values(), block.data)))
        message = talk.heard.put(block, self._now)
        if message is None:
            run.skip(checks.MESSAGE, "not all of it has come")
            run.approve()
            upto = talk.heard.held(block.transfer).upto
            return Taken(block, acknowledge(block.transfer, upto))
        run.apply(checks.MESSAGE, Joined(block.transfer, message))
        run.approve()
        return Taken(block, message=message, largest=largest)

    def _acknowledged(self, block: Block, talk: Talk, received: Received, run: CheckRun) -> Taken:
        run.apply(checks.ACKNOWLEDGEMENT, received)
        _set_aside(run, "it only acknowledges")
        saying = talk.saying.get(block.transfer.back)
        if saying is None:  # only with checks off
            return Taken(block)
        saying.upto, saying.touched = block.acknowledged, self._now  # who hears it knows best
        if saying.upto >= len(saying.frames):
            del talk.saying[block.transfer.back]
            return Taken(block)
        return Taken(block, saying.next)

    def _received(self, block: Block, eui: str, talk: Talk) -> Received:
        transfer, heard = block.transfer, talk.heard
        saying = talk.saying.get(transfer.back)
        return Received(
            block,
            eui,
            heard.held(transfer),
            is_open=transfer in heard.open_transfers,
            complete=heard.is_complete(transfer),
            open_transfers=len(heard.open_transfers),
            saying=None if saying is None else len(saying.frames),
        )

    async def _complete(
        self, eui: str, taken: Taken, message: bytes, content_type: str
    ) -> bytes | None:
        """Have the device hear the message, and begin to say its answer."""
        heard, transfer = self._talk(eui).heard, taken.block.transfer
        heard.remember(transfer)
        said = None
        try:
            said = await self._workflow.receive(eui, message, content_type)
        finally:
            if said is None:  # refused, or aborted: the same blocks may come again
                heard.forget(transfer)
        size = min(self.size_of(eui), taken.largest)
        if said is None or len(said) <= size:
            return said
        frames, talk = split(said, size, streaming=False), self._talk(eui)
        talk.saying[transfer_of(decode(said))] = Saying(frames, touched=self._now)
        if len(talk.saying) > ANSWERS_HELD:
            talk.saying.popitem(last=False)
        return frames[0]

    def size_of(self, eui: str) -> int:
        """A device's own block size, in octets of message."""
        return self._sizes.get(eui, self._size)

    def set_size(self, eui: str, size: int) -> None:
        """Give a device another block size, until the next reset."""
        self._sizes[eui] = size

    def alert_frames(self, alert: bytes) -> tuple[bytes, ...]:
        """How a device says an Alert: whole, or in blocks if it is longer than one."""
        if is_block(alert):
            return (alert,)
        header = decode(alert).header
        size = self.size_of(header.originator)
        if header.cra is not Cra.ALERT or len(alert) <= size:
            return (alert,)
        return split(alert, size)

    def shown(self, eui: str) -> dict[str, Any]:
        """What a device is in the middle of hearing and saying."""
        talk = self._talks.get(eui) or Talk()
        talk.expire(self._now)
        hearing = [(t, talk.heard.held(t)) for t in talk.heard.open_transfers]
        return {
            "eui": eui,
            "size": self.size_of(eui),
            "hearing": [
                {
                    "reference": transfer.reference,
                    "came": sorted(held.pieces),
                    "last": held.last,
                    "octets": held.octets,
                }
                for transfer, held in hearing
            ],
            "saying": [
                {"reference": t.reference, "blocks": len(one.frames), "acknowledged": one.upto}
                for t, one in talk.saying.items()
            ],
        }

    def forget(self, eui: str) -> None:
        """Know nothing of this device any more."""
        self._sizes.pop(eui, None)
        self.forget_talk(eui)

    def forget_talk(self, eui: str) -> None:
        """Lose what the device is in the middle of: its power is gone."""
        self._talks.pop(eui, None)

    async def recover(self) -> None:
        """Lose what every device is in the middle of, and give each its usual block size."""
        self._sizes.clear()
        self._talks.clear()

    @property
    def _now(self) -> float:
        return self._base.clock.now().timestamp()

    def _talk(self, eui: str) -> Talk:
        talk = self._talks.setdefault(eui, Talk())
        self._talks.move_to_end(eui)
        if len(self._talks) > DEVICES_IN_MEMORY:
            self._talks.popitem(last=False)
        return talk

    async def _trace(
        self, conn: AsyncConnection, name: str, taken: Taken, data: bytes, run: CheckRun
    ) -> None:
        transfer, number = taken.block.transfer, taken.block.number
        what = "block acknowledged" if taken.block.acknowledges else f"block {number}"
        record: Callable[..., Any] = self._base.traces.record
        both = {"sender": transfer.originator, "receiver": transfer.recipient, "conn": conn}
        await record(name, "received", name=what, message=data, verdicts=run.verdicts(), **both)
        if taken.said is not None:
            back = {"sender": transfer.recipient, "receiver": transfer.originator, "conn": conn}
            said = decode_block(taken.said)
            upto = f"has come up to block {said.acknowledged}"
            summary = upto if said.acknowledges else f"block {said.number} of the answer"
            await record(name, "sent", name="block", summary=summary, message=taken.said, **back)
        note(verdict="block taken")


def _set_aside(run: CheckRun, why: str) -> None:
    """Set the checks aside that are about holding a block."""
    for check in (checks.NEW, checks.OVERLAP, checks.SIZE, checks.ROOM, checks.MESSAGE):
        run.skip(check, why)
    run.approve()


def _answer_to(transfer: Transfer) -> Transfer:
    """The transfer in which a Command is answered."""
    return replace(transfer.back, cra=Cra.RESPONSE)


def _block_in(data: bytes) -> Block:
    try:
        return decode_block(data)
    except ParseError:
        pass  # only where the frame check is off
    try:
        return decode_block(first_frame(data))
    except ParseError as error:
        raise NotUnderstood(checks.FRAME.id, str(error)) from None
