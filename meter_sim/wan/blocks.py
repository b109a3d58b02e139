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
from meter_sim.device.model import NotUnderstood
from meter_sim.device.rules import block as checks
from meter_sim.device.rules.block import JoinedBlocks, ReceivedBlock
from meter_sim.steps.power import Power, PowerLost
from meter_sim.steps.workflow import Workflow, reference_of
from meter_sim.wan.block_transfers import BlockTransfers, ResponseBlocks
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.chassis.log import note

DEVICES_IN_MEMORY: Final = 1_024
"""Devices of this process that are in the middle of something; the one longest quiet makes room."""

ANSWERS_HELD: Final = 4
"""Responses a device is sending at once; the oldest makes room."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a block: what the device answers, or the message it completed."""

    block: Block
    response: bytes | None = None
    message: bytes | None = None
    largest: int = 0


class Blocks:
    """Hears what the WAN brings: whole messages pass, blocks are put together.

    Args:
        base: the chassis.
        workflow: what happens to a message.
        power: which devices are off.
        size: a device's own block size, unless the lab gave it another.
    """

    def __init__(self, base: ServiceContext, workflow: Workflow, power: Power, size: int) -> None:
        self._base = base
        self._workflow = workflow
        self._power = power
        self._size = size
        self._sizes: dict[str, int] = {}
        self._under_way: OrderedDict[str, BlockTransfers] = OrderedDict()
        power.when_off(self.forget_transfers)

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
            return None if taken is None else taken.response
        return await self._complete(eui, taken, taken.message, content_type)

    async def _hear(
        self, conn: StoreConnection, eui: str, data: bytes, content_type: str
    ) -> Taken | None:
        state = await self._workflow.reached(conn, eui, content_type)
        name = reference_of(eui, data)
        if state is None:
            return None
        if not self._power.is_on(eui):
            await self._base.traces.record(name, "off", summary="no power", message=data, conn=conn)
            return None
        run = self._base.book.start(name, section=checks.SECTION)
        try:
            taken = self._take(eui, data, run)
        except (Refused, NotUnderstood) as error:
            await self._workflow.refused(conn, state, data, run, error)
            return None
        await self._trace(conn, name, taken, data, run)
        return taken

    def _take(self, eui: str, data: bytes, run: CheckRun) -> Taken:
        """Judge a block and hold it. Nothing is awaited between the two.

        Raises:
            Refused: a check said no.
            NotUnderstood: the frame check is off, and this is no block at all.
        """
        run.apply(checks.frame, data)
        block, transfers = _block_in(data), self._transfers(eui)
        transfers.expire(self._now)
        received = self._received(block, eui, transfers)
        run.apply(checks.device, received)
        run.apply(checks.kind, received)
        if block.acknowledges:
            run.apply(checks.acknowledgement, received)
            return self._acknowledged(_approve(run, received, "it only acknowledges"), transfers)
        run.skip(checks.acknowledgement, "it carries a part of a message")
        response = transfers.responses.get(_answer_to(block.transfer))
        if response is not None:
            approved = _approve(run, received, "the answer to its message is being said")
            return Taken(approved.evidence.block, response.next)
        run.apply(checks.new, received)
        try:
            run.apply(checks.overlap, received)
            run.apply(checks.size, received)
        except Refused:
            transfers.incoming.forget(block.transfer)
            raise
        run.apply(checks.room, received)
        largest = max(map(len, (*received.held.pieces.values(), block.data)))
        message = transfers.incoming.put(block, self._now)
        if message is None:
            run.skip(checks.message, "not all of it has come")
            taken = run.judge(received).evidence.block
            upto = transfers.incoming.held(taken.transfer).upto
            return Taken(taken, acknowledge(taken.transfer, upto))
        whole = run.judge(JoinedBlocks(block.transfer, message)).evidence
        return Taken(block, message=whole.message, largest=largest)

    def _acknowledged(self, approved: Approved[ReceivedBlock], transfers: BlockTransfers) -> Taken:
        block = approved.evidence.block
        response = transfers.responses.get(block.transfer.back)
        if response is None:  # only with checks off
            return Taken(block)
        response.upto, response.touched = block.acknowledged, self._now  # who hears it knows best
        if response.upto >= len(response.frames):
            del transfers.responses[block.transfer.back]
            return Taken(block)
        return Taken(block, response.next)

    def _received(self, block: Block, eui: str, transfers: BlockTransfers) -> ReceivedBlock:
        transfer, incoming = block.transfer, transfers.incoming
        response = transfers.responses.get(transfer.back)
        return ReceivedBlock(
            block,
            eui,
            incoming.held(transfer),
            is_open=transfer in incoming.open_transfers,
            complete=incoming.is_complete(transfer),
            open_transfers=len(incoming.open_transfers),
            response_blocks=None if response is None else len(response.frames),
        )

    async def _complete(
        self, eui: str, taken: Taken, message: bytes, content_type: str
    ) -> bytes | None:
        """Have the device hear the message, and begin to say its answer."""
        incoming, transfer = self._transfers(eui).incoming, taken.block.transfer
        incoming.remember(transfer)
        response = None
        try:
            response = await self._workflow.receive(eui, message, content_type)
        finally:
            if response is None:  # refused, or aborted: the same blocks may come again
                incoming.forget(transfer)
        size = min(self.size_of(eui), taken.largest)
        if response is None or len(response) <= size:
            return response
        frames, responses = split(response, size, streaming=False), self._transfers(eui).responses
        responses[transfer_of(decode(response))] = ResponseBlocks(frames, touched=self._now)
        if len(responses) > ANSWERS_HELD:
            responses.popitem(last=False)
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
        transfers = self._under_way.get(eui) or BlockTransfers()
        transfers.expire(self._now)
        incoming = transfers.incoming
        hearing = [(t, incoming.held(t)) for t in incoming.open_transfers]
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
                for t, one in transfers.responses.items()
            ],
        }

    def forget(self, eui: str) -> None:
        """Know nothing of this device any more."""
        self._sizes.pop(eui, None)
        self.forget_transfers(eui)

    def forget_transfers(self, eui: str) -> None:
        """Lose what the device is in the middle of: its power is gone."""
        self._under_way.pop(eui, None)

    async def recover(self) -> None:
        """Lose what every device is in the middle of, and give each its usual block size."""
        self._sizes.clear()
        self._under_way.clear()

    @property
    def _now(self) -> float:
        return self._base.clock.now().timestamp()

    def _transfers(self, eui: str) -> BlockTransfers:
        transfers = self._under_way.setdefault(eui, BlockTransfers())
        self._under_way.move_to_end(eui)
        if len(self._under_way) > DEVICES_IN_MEMORY:
            self._under_way.popitem(last=False)
        return transfers

    async def _trace(
        self, conn: StoreConnection, name: str, taken: Taken, data: bytes, run: CheckRun
    ) -> None:
        transfer, number = taken.block.transfer, taken.block.number
        what = "block acknowledged" if taken.block.acknowledges else f"block {number}"
        record: Callable[..., Any] = self._base.traces.record
        both = {"sender": transfer.originator, "receiver": transfer.recipient, "conn": conn}
        await record(name, "received", name=what, message=data, verdicts=run.verdicts(), **both)
        if taken.response is not None:
            back = {"sender": transfer.recipient, "receiver": transfer.originator, "conn": conn}
            response = decode_block(taken.response)
            upto = f"has come up to block {response.acknowledged}"
            summary = upto if response.acknowledges else f"block {response.number} of the answer"
            await record(
                name, "sent", name="block", summary=summary, message=taken.response, **back
            )
        note(verdict="block taken")


def _approve(run: CheckRun, received: ReceivedBlock, why: str) -> Approved[ReceivedBlock]:
    """Set the checks aside that are about holding a block, and approve it."""
    for check in (checks.new, checks.overlap, checks.size, checks.room, checks.message):
        run.skip(check, why)
    return run.judge(received)


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
        raise NotUnderstood(checks.frame.id, str(error)) from None
