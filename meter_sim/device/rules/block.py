"""What a block must pass before a device holds it. Pure functions of evidence.

All of this is a reconstruction, as the blocks themselves are (gbcs.block_transfer). None of it
authenticates anybody: a block proves nothing, and a message that came in blocks goes through every
check that a whole one does. These checks keep what a stranger can send from costing a device more
than a little memory, and from making a message that nobody sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gbcs.block_transfer import Block, Transfer, decode_block
from gbcs.codes import Cra
from gbcs.errors import ParseError
from gbcs.reassembly import Held, Limits, contradiction, excess, malformed, not_as_announced
from services.chassis.checks import CheckFailed, check

SECTION: Final = "block"
_SOURCE: Final = "reconstruction: docs/sources.md#message-layout, general block transfer"

LIMITS: Final = Limits(
    message_octets=16_384, blocks=256, open_transfers=4, remembered=16, seconds=300.0
)
"""What one device holds at most (reconstruction). No known Command has as many as 6,000 octets."""


@dataclass(frozen=True, slots=True)
class ReceivedBlock:
    """A block that reached a device, and what the device holds.

    `held` of this block's transfer, which is `complete` or `is_open` or new; `open_transfers` in
    all. `response_blocks`: how many blocks the response has that this acknowledges; None if the
    device is sending no such response.
    """

    block: Block
    eui: str
    held: Held
    is_open: bool
    complete: bool
    open_transfers: int
    response_blocks: int | None = None
    limits: Limits = LIMITS


@dataclass(frozen=True, slots=True)
class JoinedBlocks:
    """What the blocks of a transfer make together."""

    transfer: Transfer
    message: bytes


@check("meter.block.frame", source=_SOURCE)
def frame(data: bytes) -> None:
    """It is exactly one block."""
    try:
        decode_block(data)
    except ParseError as error:
        raise CheckFailed(str(error), "exactly one block") from None


@check("meter.block.device", source=_SOURCE)
def device(received: ReceivedBlock) -> None:
    """It is for this device."""
    found = received.block.transfer.recipient
    if found != received.eui:
        raise CheckFailed("a block for another device", received.eui, found)


@check("meter.block.kind", source=_SOURCE)
def kind(received: ReceivedBlock) -> None:
    """It is a part of a Command, or acknowledges a Response."""
    block = received.block
    expected, what = Cra.COMMAND, "a part of a Command"
    if block.acknowledges:
        expected, what = Cra.RESPONSE, "an acknowledgement of a Response"
    elif why := malformed(block):
        raise CheckFailed(why)
    if block.transfer.cra is not expected:
        raise CheckFailed(f"not {what}", expected.label, block.transfer.cra.label)


@check("meter.block.acknowledgement", source=_SOURCE)
def acknowledgement(received: ReceivedBlock) -> None:
    """It acknowledges what this device is saying."""
    block, sent = received.block, received.response_blocks
    if sent is None:
        raise CheckFailed("acknowledges what this device is not saying")
    if block.acknowledged > sent:
        raise CheckFailed(
            "acknowledges a block that was never sent", f"at most {sent}", str(block.acknowledged)
        )


@check("meter.block.new", source=_SOURCE)
def new(received: ReceivedBlock) -> None:
    """Its message has not been complete before."""
    if received.complete:
        raise CheckFailed("a block of a message that has been complete before")


@check("meter.block.overlap", source=_SOURCE)
def overlap(received: ReceivedBlock) -> None:
    """It agrees with the blocks that came before."""
    if why := contradiction(received.block, received.held):
        raise CheckFailed(why)


@check("meter.block.size", source=_SOURCE)
def size(received: ReceivedBlock) -> None:
    """Its message is not too long."""
    if why := excess(received.block, received.held, received.limits):
        raise CheckFailed(why)


@check("meter.block.room", source=_SOURCE)
def room(received: ReceivedBlock) -> None:
    """There is room for another message."""
    most = received.limits.open_transfers
    if not received.is_open and received.open_transfers >= most:
        raise CheckFailed(
            "too many messages have begun and are not complete",
            f"at most {most}",
            str(received.open_transfers + 1),
        )


@check("meter.block.message", source=_SOURCE)
def message(joined: JoinedBlocks) -> None:
    """The blocks make the message that they announce."""
    if why := not_as_announced(joined.transfer, joined.message):
        raise CheckFailed(why)
