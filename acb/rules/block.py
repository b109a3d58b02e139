"""What a block from a device must pass before the broker holds it. Pure functions of evidence.

All of this is a reconstruction, as the blocks themselves are (gbcs.block_transfer). A block is
not authenticated: what blocks make together goes through every check that a whole message does
(sections `response`, `read_back` and those of the other services).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gbcs.block_transfer import Block, Transfer, decode_block
from gbcs.codes import Cra
from gbcs.errors import ParseError
from gbcs.reassembly import Held, Limits, contradiction, excess, malformed, not_as_announced
from services.chassis.checks import Check, CheckFailed, check

SECTION: Final = "block"
_SOURCE: Final = "reconstruction: docs/sources.md#message-layout, general block transfer"

LIMITS: Final = Limits(
    message_octets=65_536, blocks=1_024, open_transfers=4, remembered=64, seconds=300.0
)
"""What is held at most of one device's messages (reconstruction)."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The broker's own transfer to a device, and how many blocks it has."""

    transfer: Transfer
    blocks: int


@dataclass(frozen=True, slots=True)
class FrameEvidence:
    """Octets that begin as a block does."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BlockEvidence:
    """A block that came from a device, and what is held of its transfer.

    Attributes:
        block: the block.
        known: whether the device that it names is in the inventory.
        asked: the device that was spoken to; None if the block came unasked.
        held: what came of its message before; `is_open` if anything did.
        open_transfers: messages of this device begun and not complete.
        sending: what the broker is sending to the device in blocks at this moment.
    """

    block: Block
    known: bool
    asked: str | None
    held: Held
    is_open: bool
    open_transfers: int
    sending: Outgoing | None = None
    limits: Limits = LIMITS


@dataclass(frozen=True, slots=True)
class MessageEvidence:
    """What the blocks of a transfer make together."""

    transfer: Transfer
    message: bytes


@check("acb.block.frame", source=_SOURCE, status=400)
def frame(framed: FrameEvidence) -> None:
    """It is exactly one block."""
    try:
        decode_block(framed.data)
    except ParseError as error:
        raise CheckFailed(str(error), "exactly one block") from None


@check("acb.block.kind", source=_SOURCE, status=400)
def kind(received: BlockEvidence) -> None:
    """It is a part of a response or alert, or acknowledges."""
    block, cra = received.block, received.block.transfer.cra
    if block.acknowledges:
        if cra is not Cra.COMMAND:
            raise CheckFailed("a device acknowledges commands", Cra.COMMAND.label, cra.label)
        return
    if why := malformed(block):
        raise CheckFailed(why)
    if cra is Cra.COMMAND:
        raise CheckFailed("a device says responses and alerts", "response or alert", cra.label)


@check("acb.block.device", source=_SOURCE)
def device(received: BlockEvidence) -> None:
    """It is from the device asked, or one that is known."""
    found = received.block.transfer.originator
    if received.asked is not None and found != received.asked:
        raise CheckFailed("a block of another device than was asked", received.asked, found)
    if not received.known:
        raise CheckFailed("no such device in the inventory", None, found)


@check("acb.block.acknowledgement", source=_SOURCE)
def acknowledgement(received: BlockEvidence) -> None:
    """It acknowledges what is being sent."""
    block, sending = received.block, received.sending
    if sending is None or block.transfer != sending.transfer.back:
        raise CheckFailed("acknowledges what is not being sent")
    if block.acknowledged > sending.blocks:
        raise CheckFailed(
            "acknowledges a block that was never sent",
            f"at most {sending.blocks}",
            str(block.acknowledged),
        )


@check("acb.block.overlap", source=_SOURCE, status=409)
def overlap(received: BlockEvidence) -> None:
    """It agrees with the blocks that came before."""
    if why := contradiction(received.block, received.held):
        raise CheckFailed(why)


@check("acb.block.size", source=_SOURCE, status=413)
def size(received: BlockEvidence) -> None:
    """Its message is not too long."""
    if why := excess(received.block, received.held, received.limits):
        raise CheckFailed(why)


@check("acb.block.room", source=_SOURCE, status=429)
def room(received: BlockEvidence) -> None:
    """There is room for another message."""
    most = received.limits.open_transfers
    if not received.is_open and received.open_transfers >= most:
        raise CheckFailed(
            "too many messages of this device have begun and are not complete",
            f"at most {most}",
            str(received.open_transfers + 1),
        )


@check("acb.block.message", source=_SOURCE, status=400)
def message(joined: MessageEvidence) -> None:
    """The blocks make the message that they announce."""
    if why := not_as_announced(joined.transfer, joined.message):
        raise CheckFailed(why)


BLOCK_CHECKS: Final[tuple[Check[Any], ...]] = (
    frame,
    kind,
    device,
    acknowledgement,
    overlap,
    size,
    room,
    message,
)
"""In the order in which they are made."""
