"""Putting the blocks of a General Block Transfer together, through loss, repeats and disorder.

Nothing here authenticates: whoever can send a frame can spoil a transfer. What comes out is a
message like any other, still to be verified.

`Assembly` holds and judges nothing; `malformed`, `contradiction`, `excess` and `not_as_announced`
say what may be wrong with a block, so that a party can make checks of them. `Reassembler` is both
together, for whoever only wants the message.
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
        seconds: how long a message that is not complete is kept after its last block
        (reconstruction).
    """

    message_octets: int = 65_536
    blocks: int = 1_024
    open_transfers: int = 64
    remembered: int = 1_024
    seconds: float = 300.0


@dataclass(slots=True)
class Held:
    """What has come of a transfer. `touched` is when, by the clock of whoever holds it."""

    pieces: dict[int, bytes] = field(default_factory=dict)
    last: int | None = None
    touched: float = 0.0

    @property
    def octets(self) -> int:
        """Octets of the message held."""
        return sum(len(piece) for piece in self.pieces.values())

    @property
    def upto(self) -> int:
        """The highest number up to which every block has come; 0 if none."""
        upto = 0
        while upto + 1 in self.pieces:
            upto += 1
        return upto

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers below the highest known that have not come."""
        highest = max(self.pieces, default=0) if self.last is None else self.last
        return tuple(n for n in range(1, highest + 1) if n not in self.pieces)

    @property
    def whole(self) -> bytes | None:
        """The message, if every block up to the last has come."""
        if self.last is None or self.missing:
            return None
        return b"".join(self.pieces[number] for number in range(1, self.last + 1))


def malformed(block: Block) -> str | None:
    """Why this is no block of a message; None if it is one."""
    if block.number == 0 or not block.data:
        return "a block of a message has a number from 1 and data"
    return None


def contradiction(block: Block, held: Held) -> str | None:
    """What in the block cannot be true together with what is held; None if it can."""
    number, last = block.number, held.last
    before = held.pieces.get(number)
    if before is not None and before != block.data:
        return f"block {number} came before with other data"
    highest = max(held.pieces, default=0)
    if block.last and (last or number) != number:
        return f"block {number} claims to be last, as block {last} did"
    if block.last and number < highest:
        return f"block {number} claims to be last, but block {highest} came"
    if last is not None and (number > last or (number == last and not block.last)):
        return f"block {number} contradicts the last block, {last}"
    return None


def excess(block: Block, held: Held, limits: Limits) -> str | None:
    """Which limit of one message the block would pass; None if none."""
    known = len(held.pieces.get(block.number, b""))
    octets = held.octets - known + len(block.data)
    if block.number > limits.blocks:
        return f"the transfer grows past its limits: more than {limits.blocks} blocks"
    if octets > limits.message_octets:
        return f"the transfer grows past its limits: more than {limits.message_octets} octets"
    return None


def not_as_announced(transfer: Transfer, message: bytes) -> str | None:
    """Why the octets put together are not the message of that transfer; None if they are."""
    try:
        announced = transfer_of(decode(message))
    except GbcsError as error:
        return f"the blocks do not make a message: {error.reason}"
    if announced != transfer:
        return "the blocks make another message than their routing header says"
    return None


class Assembly:
    """What has come of each transfer: it holds and forgets, and judges nothing.

    `at`, wherever it is asked for, is the holder's time in seconds.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: OrderedDict[Transfer, Held] = OrderedDict()
        self._complete: OrderedDict[Transfer, None] = OrderedDict()

    def held(self, transfer: Transfer) -> Held:
        """What is held of a transfer; nothing, if it is not open."""
        return self._open.get(transfer) or Held()

    def is_complete(self, transfer: Transfer) -> bool:
        """Whether the message was completed, as far as is remembered."""
        return transfer in self._complete

    @property
    def open_transfers(self) -> tuple[Transfer, ...]:
        """The transfers begun and not complete, longest untouched first."""
        return tuple(self._open)

    def put(self, block: Block, at: float = 0.0) -> bytes | None:
        """Hold a block, in place of one of the same number; the octets, if that completes them.

        What is complete is held no longer. Where there is no room, the transfer longest untouched
        is forgotten.
        """
        held = self._open.pop(block.transfer, None) or Held()
        held.pieces[block.number] = block.data
        held.touched = at
        if block.last:
            held.last = block.number
        whole = held.whole
        if whole is None:
            self._open[block.transfer] = held
            if len(self._open) > self.limits.open_transfers:
                self._open.popitem(last=False)
        return whole

    def remember(self, transfer: Transfer) -> None:
        """Recognise from now on what comes late of a transfer that was completed."""
        self._complete[transfer] = None
        self._complete.move_to_end(transfer)
        if len(self._complete) > self.limits.remembered:
            self._complete.popitem(last=False)

    def forget(self, transfer: Transfer) -> None:
        """Drop what is held of a transfer, and that it ever was complete."""
        self._open.pop(transfer, None)
        self._complete.pop(transfer, None)

    def expire(self, at: float) -> tuple[Transfer, ...]:
        """Drop what nothing has come of for too long, by a clock set forward or back; what it was.

        A transfer touched in a future that is no more would otherwise never end.
        """
        limit = self.limits.seconds
        old = tuple(t for t, held in self._open.items() if abs(at - held.touched) > limit)
        for transfer in old:
            del self._open[transfer]
        return old


class Reassembler:
    """Puts blocks together, whatever order they come in and however often.

    A block that contradicts one already held (other data under the same number, a second last
    block, a number beyond the last) is refused and what is held stays; a transfer that grows past
    its limits is refused and forgotten.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._assembly = Assembly(limits or Limits())

    def add(self, frame: bytes) -> bytes | None:
        """Take one frame; give the message if this completes it, otherwise None.

        Raises:
            ParseError: the frame is no block, contradicts what is held, goes past a limit, or
                completes something that is not the message its routing header announced.
        """
        block = decode_block(frame)
        transfer = block.transfer
        if self._assembly.is_complete(transfer):
            return None
        held = self._assembly.held(transfer)
        wrong = malformed(block) or contradiction(block, held)
        if wrong is not None:
            raise ParseError(wrong)
        too_much = excess(block, held, self._assembly.limits)
        if too_much is not None:
            self.forget(transfer)
            raise ParseError(too_much)
        message = self._assembly.put(block)
        if message is None:
            return None
        other = not_as_announced(transfer, message)
        if other is not None:
            raise ParseError(other)
        self._assembly.remember(transfer)
        return message

    def received_upto(self, transfer: Transfer) -> int:
        """The highest number up to which every block has come; 0 if none or unknown."""
        return self._assembly.held(transfer).upto

    def missing(self, transfer: Transfer) -> tuple[int, ...]:
        """The numbers below the highest known that have not come; none if nothing is known."""
        return self._assembly.held(transfer).missing

    @property
    def open_transfers(self) -> tuple[Transfer, ...]:
        """The transfers begun and not complete, longest untouched first."""
        return self._assembly.open_transfers

    def forget(self, transfer: Transfer) -> None:
        """Drop what is held of a transfer."""
        self._assembly.forget(transfer)
