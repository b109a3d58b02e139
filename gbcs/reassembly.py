"""Putting the blocks of a General Block Transfer together, through loss, repeats and disorder.

Nothing here authenticates: whoever can send a frame can spoil a transfer. What comes out is a
message like any other, still to be verified.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from gbcs.block_transfer import Block, Transfer, decode_block, transfer_of
from gbcs.errors import GbcsError, ParseError
from gbcs.message import decode


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reassembler holds at most.

    Attributes:
        message_octets: octets of one message.
        blocks: blocks of one message.
        open_transfers: messages begun and not complete; the one longest untouched makes room.
        remembered: completed messages whose late duplicates are still recognised.
    """

    message_octets: int = 65_536
    blocks: int = 1_024
    open_transfers: int = 64
    remembered: int = 1_024


@dataclass(slots=True)
class _Open:
    """A transfer begun and not complete."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    octets: int = 0
    last: int | None = None


class Reassembler:
    """Puts blocks together, whatever order they come in and however often.

    A block that contradicts one already held (other data under the same number, a second last
    block, a number beyond the last) is refused and what is held stays; a transfer that grows past
    its limits is refused and forgotten.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._open: OrderedDict[Transfer, _Open] = OrderedDict()
        self._complete: OrderedDict[Transfer, None] = OrderedDict()

    def add(self, frame: bytes) -> bytes | None:
        """Take one frame; give the message if this completes it, otherwise None.

        Raises:
            ParseError: the frame is no block, contradicts what is held, goes past a limit, or
                completes something that is not the message its routing header announced.
        """
        block = decode_block(frame)
        transfer = block.transfer
        if transfer in self._complete:
            return None
        held = self._open.get(transfer) or _Open()
        self._check(block, held)
        if block.number not in held.pieces:
            held.pieces[block.number] = block.data
            held.octets += len(block.data)
        if block.last:
            held.last = block.number
        self._keep(transfer, held)
        if held.last is None or len(held.pieces) != held.last:
            return None
        del self._open[transfer]
        return self._finish(transfer, held)

    def received_upto(self, transfer: Transfer) -> int:
        """The highest number up to which every block has come; 0 if none or unknown."""
        held = self._open.get(transfer) or _Open()
        upto = 0
        while upto + 1 in held.pieces:
            upto += 1
        return upto

    @property
    def open_transfers(self) -> tuple[Transfer, ...]:
        """The transfers begun and not complete, longest untouched first."""
        return tuple(self._open)

    def forget(self, transfer: Transfer) -> None:
        """Drop what is held of a transfer."""
        self._open.pop(transfer, None)

    def _check(self, block: Block, held: _Open) -> None:
        number = block.number
        if number == 0 or not block.data:
            raise ParseError("a block of a message has a number from 1 and data")
        before = held.pieces.get(number)
        if before is not None and before != block.data:
            raise ParseError(f"block {number} came before with other data")
        highest = max(held.pieces, default=0)
        last = held.last
        if block.last and (last or number) != number:
            raise ParseError(f"block {number} claims to be last, as block {last} did")
        if block.last and number < highest:
            raise ParseError(f"block {number} claims to be last, but block {highest} came")
        if last is not None and (number > last or (number == last and not block.last)):
            raise ParseError(f"block {number} contradicts the last block, {last}")
        octets = held.octets + (0 if before is not None else len(block.data))
        if number > self._limits.blocks or octets > self._limits.message_octets:
            self.forget(block.transfer)
            raise ParseError("the transfer grows past its limits")

    def _keep(self, transfer: Transfer, held: _Open) -> None:
        self._open[transfer] = held
        self._open.move_to_end(transfer)
        if len(self._open) > self._limits.open_transfers:
            self._open.popitem(last=False)

    def _finish(self, transfer: Transfer, held: _Open) -> bytes:
        message = b"".join(held.pieces[number] for number in sorted(held.pieces))
        try:
            announced = transfer_of(decode(message))
        except GbcsError as error:
            raise ParseError(f"the blocks do not make a message: {error.reason}") from None
        if announced != transfer:
            raise ParseError("the blocks make another message than their routing header says")
        self._complete[transfer] = None
        if len(self._complete) > self._limits.remembered:
            self._complete.popitem(last=False)
        return message
