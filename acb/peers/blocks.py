"""Messages in blocks (General Block Transfer), to devices and from them.

Nothing here is stored. A transfer that a crash cuts off is begun again with the same blocks, since
the outbox sends the same command again: a device that still holds some says so, one that has acted
on the whole refuses them. Half a message of a device is gone with the process, and the device, or
the network, sends it again.

Going out, the sender streams the blocks and then sends again what the acknowledgements do not
cover. If they go back, the device has dropped what it held (it refused the message, or lost its
power); that counts as no answer (`acb.steps.deliver`).
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from acb.checks import PARTY
from acb.peers.outbound import Unreachable, Wan
from acb.rules import block as rules
from acb.rules.block import (
    LIMITS,
    SECTION,
    BlockEvidence,
    FrameEvidence,
    MessageEvidence,
    Outgoing,
)
from acb.store import records
from acb.store.block_sizes import find_block_size
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
from gbcs.errors import ParseError
from gbcs.message import decode
from gbcs.reassembly import Assembly
from services.chassis.checks import CheckRun, Refused
from services.chassis.context import ServiceContext

DEVICES_IN_MEMORY: Final = 1_024
"""Devices of which something is held; the one silent for longest is forgotten."""

ROUNDS: Final = 3
"""Rounds without progress before a device that is sent blocks, or sends them, counts as silent."""


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What became of a block: the message that it completed, or what to reply, if anything."""

    block: Block
    reply: bytes | None = None
    message: bytes | None = None


class Incoming:
    """Puts the blocks together that devices send, asked and unasked.

    Args:
        base: the chassis.
    """

    def __init__(self, base: ServiceContext) -> None:
        self._base = base
        self._held: OrderedDict[str, Assembly] = OrderedDict()

    async def take(
        self, frame: bytes, asked: str | None = None, sending: Outgoing | None = None
    ) -> BlockOutcome:
        """Judge a block and hold it.

        Args:
            frame: what came.
            asked: the device that it answers; None if it came unasked.
            sending: what is being sent to that device in blocks.

        Raises:
            Refused: a check of section "block" said no. What contradicts is forgotten with what it
                contradicts, so that the true sender may begin again.
        """
        base = self._base
        # Who sent a block is not known before the message is complete and judged: its trace counts
        # against the unauthenticated quota. An answer comes no oftener than a device is asked.
        kept = asked is not None or base.audit.unauthenticated.admit(len(frame))
        run = base.book.start(_name(frame), section=SECTION)
        try:
            run.apply(rules.frame, FrameEvidence(frame))
            block = _block_in(frame, run)
            async with base.database.connect() as conn:
                known = await records.find_device(conn, block.transfer.originator) is not None
            taken = self._judge(block, known, asked, sending, run)
        except Refused as refused:
            if kept:
                await self._trace(frame, run, refused)
            raise
        if kept:
            await self._trace(frame, run)
        return taken

    def _judge(
        self,
        block: Block,
        known: bool,
        asked: str | None,
        sending: Outgoing | None,
        run: CheckRun,
    ) -> BlockOutcome:
        """Nothing is awaited between judging and holding."""
        transfer = block.transfer
        held = self._held.get(transfer.originator) or Assembly(LIMITS)
        now = self._base.clock.now().timestamp()
        held.expire(now)
        received = BlockEvidence(
            block,
            known,
            asked,
            held.held(transfer),
            is_open=transfer in held.open_transfers,
            open_transfers=len(held.open_transfers),
            sending=sending,
        )
        run.apply(rules.kind, received)
        run.apply(rules.device, received)
        if block.acknowledges:
            if asked is None:
                run.skip(rules.acknowledgement, "it came late: nobody acts on it")
            else:
                run.apply(rules.acknowledgement, received)
            return self._set_aside(BlockOutcome(block), run, "it only acknowledges")
        run.skip(rules.acknowledgement, "it carries a part of a message")
        if held.is_complete(transfer):
            return self._set_aside(BlockOutcome(block), run, "its message was heard before")
        try:
            run.apply(rules.overlap, received)
            run.apply(rules.size, received)
        except Refused:
            held.forget(transfer)
            raise
        run.apply(rules.room, received)
        held = self._of(transfer.originator)
        last = block.number if block.last else received.held.last
        message = held.put(block, now)
        if message is None:
            run.skip(rules.message, "not all of it has come")
            run.approve()
            return BlockOutcome(block, acknowledge(transfer, held.held(transfer).upto))
        run.apply(rules.message, MessageEvidence(transfer, message))
        joined: MessageEvidence = run.approve().evidence
        held.remember(joined.transfer)
        return BlockOutcome(block, acknowledge(transfer, last or 0), joined.message)

    def forget(self, transfer: Transfer) -> None:
        """Hear this message again if it comes again: what came was refused."""
        self._of(transfer.originator).forget(transfer)

    def forget_device(self, eui: str) -> None:
        """Know nothing of a device's messages any more: it is another one now."""
        self._held.pop(eui, None)

    async def recover(self) -> None:
        """Know nothing of any device's messages any more."""
        self._held.clear()

    def _set_aside(self, taken: BlockOutcome, run: CheckRun, why: str) -> BlockOutcome:
        for check in (rules.overlap, rules.size, rules.room, rules.message):
            run.skip(check, why)
        run.approve()
        return taken

    def _of(self, device: str) -> Assembly:
        held = self._held.setdefault(device, Assembly(LIMITS))
        self._held.move_to_end(device)
        if len(self._held) > DEVICES_IN_MEMORY:
            self._held.popitem(last=False)
        return held

    async def _trace(self, frame: bytes, run: CheckRun, refused: Refused | None = None) -> None:
        transfer = _transfer(frame)
        what = "block"
        if transfer is not None:
            block = decode_block(frame)
            what = "acknowledgement" if block.acknowledges else f"block-{block.number}"
        await self._base.traces.record(
            run.subject,
            "received" if refused is None else "refused",
            sender=None if transfer is None else transfer.originator,
            receiver=PARTY,
            name=what if refused is None else refused.check,
            summary="" if refused is None else refused.detail,
            message=frame,
            gbcs_ref=None if transfer is None else transfer.reference,
            verdicts=run.verdicts(),
        )


class BlockWan:
    """The network that devices are reached by, whole messages and blocks alike.

    Args:
        base: the chassis.
        wan: what carries octets.
        incoming: what puts the blocks of answers together.
        size: the block size for devices whose record names none; None: whole messages.
    """

    def __init__(
        self, base: ServiceContext, wan: Wan, incoming: Incoming, size: int | None
    ) -> None:
        self._base = base
        self._wan = wan
        self._incoming = incoming
        self._size = size

    async def deliver(self, device: str, command: bytes) -> bytes | None:
        """Send a command; the device's response, or None if it does not answer.

        Raises:
            acb.peers.outbound.Unreachable: the network or the device could not be reached.
        """
        size = await self.size_of(device)
        if not size or len(command) <= size:
            answer = await self._wan.deliver(device, command)
            return await self._complete_answer(device, answer, None)
        frames = split(command, size)
        sending = Outgoing(transfer_of(decode(command)), len(frames))
        return await self._stream(device, frames, sending)

    async def size_of(self, device: str) -> int | None:
        """A device's block size: its record's, else the setting's; 0 or None: whole messages."""
        async with self._base.database.connect() as conn:
            recorded = await find_block_size(conn, device)
        return self._size if recorded is None else recorded

    async def _stream(
        self, device: str, frames: tuple[bytes, ...], sending: Outgoing
    ) -> bytes | None:
        upto = quiet = 0
        while quiet < ROUNDS:
            before = upto
            for number, frame in enumerate(frames, 1):
                if number <= upto and number < len(frames):
                    continue
                answer = await self._send(device, frame, number, sending)
                if answer is None:
                    continue
                if not is_block(answer):
                    return answer
                taken = await self._take(answer, device, sending)
                if taken is None:
                    continue
                if not taken.block.acknowledges:
                    return await self._collect(device, taken)
                if taken.block.acknowledged < upto:
                    return None  # it holds less than it did
                upto = taken.block.acknowledged
            quiet = 0 if upto > before else quiet + 1
        return None

    async def _send(
        self, device: str, frame: bytes, number: int, sending: Outgoing
    ) -> bytes | None:
        name = sending.transfer.reference
        await self._base.traces.record(
            name,
            "sent",
            sender=PARTY,
            receiver=device,
            name=f"block-{number}-of-{sending.blocks}",
            message=frame,
            gbcs_ref=name,
        )
        return await self._wan.deliver(device, frame)

    async def _complete_answer(
        self, device: str, answer: bytes | None, sending: Outgoing | None
    ) -> bytes | None:
        """What a device answered to a whole message, which may be the first block of its answer."""
        if answer is None or not is_block(answer):
            return answer
        taken = await self._take(answer, device, sending)
        return None if taken is None else await self._collect(device, taken)

    async def _collect(self, device: str, first: BlockOutcome) -> bytes | None:
        """Acknowledge block by block until the answer is complete; None if it does not become so.

        If it is completed elsewhere meanwhile, by blocks that the network carried late, it was
        heard there (`acb.api`), and here the device has fallen silent.
        """
        taken, quiet = first, 0
        while taken.reply is not None and quiet < ROUNDS:
            if taken.message is not None:
                with contextlib.suppress(Unreachable):  # it will stop by itself
                    await self._wan.deliver(device, taken.reply)
                return taken.message
            answer = await self._wan.deliver(device, taken.reply)
            if answer is not None and not is_block(answer):
                return answer
            following = None if answer is None else await self._take(answer, device, None)
            if following is None or following.reply in (None, taken.reply):
                quiet += 1
            else:
                quiet = 0
            taken = taken if following is None else following
        return None

    async def _take(
        self, answer: bytes, device: str, sending: Outgoing | None
    ) -> BlockOutcome | None:
        try:
            return await self._incoming.take(answer, device, sending)
        except Refused:  # traced; the device may as well have said nothing
            return None


def _name(frame: bytes) -> str:
    transfer = _transfer(frame)
    return "unreadable block" if transfer is None else transfer.reference


def _transfer(frame: bytes) -> Transfer | None:
    try:
        return decode_block(frame).transfer
    except ParseError:
        return None


def _block_in(frame: bytes, run: CheckRun) -> Block:
    try:
        return decode_block(frame)
    except ParseError:
        pass  # only where the frame check is off
    try:
        return decode_block(first_frame(frame))
    except ParseError as error:
        raise Refused(
            party=run.book.party,
            check=rules.frame.id,
            title=rules.frame.title,
            detail=str(error),
            status=400,
        ) from None
