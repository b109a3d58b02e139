"""What a block must pass before a device holds it. Pure functions of evidence.

All of this is a reconstruction, as the blocks themselves are (gbcs.block_transfer). None of it
authenticates anybody: a block proves nothing, and a message that came in blocks goes through every
check that a whole one does. These checks keep what a stranger can send from costing a device more
than a little memory, and from making a message that nobody sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gbcs.block_transfer import Block, Transfer, decode_block
from gbcs.codes import Cra
from gbcs.errors import ParseError
from gbcs.reassembly import Held, Limits, contradiction, excess, malformed, not_as_announced
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "block"
_SOURCE: Final = "reconstruction: docs/sources.md#message-layout, general block transfer"

LIMITS: Final = Limits(
    message_octets=16_384, blocks=256, open_transfers=4, remembered=16, seconds=300.0
)
"""What one device holds at most (reconstruction). No known Command has as many as 6,000 octets."""


@dataclass(frozen=True, slots=True)
class Framed:
    """Octets that begin as a block does."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A block that reached a device, and what the device holds.

    `held` of this block's transfer, which is `complete` or `is_open` or new; `open_transfers` in
    all. `saying`: how many blocks the device's own message has that this acknowledges; None if the
    device is saying no such message.
    """

    block: Block
    eui: str
    held: Held
    is_open: bool
    complete: bool
    open_transfers: int
    saying: int | None = None
    limits: Limits = LIMITS


@dataclass(frozen=True, slots=True)
class Joined:
    """What the blocks of a transfer make together."""

    transfer: Transfer
    message: bytes


def _frame(framed: Framed) -> None:
    try:
        decode_block(framed.data)
    except ParseError as error:
        raise CheckFailed(str(error), "exactly one block") from None


def _device(received: Received) -> None:
    found = received.block.transfer.recipient
    if found != received.eui:
        raise CheckFailed("a block for another device", received.eui, found)


def _kind(received: Received) -> None:
    block = received.block
    expected, what = Cra.COMMAND, "a part of a Command"
    if block.acknowledges:
        expected, what = Cra.RESPONSE, "an acknowledgement of a Response"
    elif why := malformed(block):
        raise CheckFailed(why)
    if block.transfer.cra is not expected:
        raise CheckFailed(f"not {what}", expected.label, block.transfer.cra.label)


def _acknowledgement(received: Received) -> None:
    block, sent = received.block, received.saying
    if sent is None:
        raise CheckFailed("acknowledges what this device is not saying")
    if block.acknowledged > sent:
        raise CheckFailed(
            "acknowledges a block that was never sent", f"at most {sent}", str(block.acknowledged)
        )


def _new(received: Received) -> None:
    if received.complete:
        raise CheckFailed("a block of a message that has been complete before")


def _overlap(received: Received) -> None:
    if why := contradiction(received.block, received.held):
        raise CheckFailed(why)


def _size(received: Received) -> None:
    if why := excess(received.block, received.held, received.limits):
        raise CheckFailed(why)


def _room(received: Received) -> None:
    most = received.limits.open_transfers
    if not received.is_open and received.open_transfers >= most:
        raise CheckFailed(
            "too many messages have begun and are not complete",
            f"at most {most}",
            str(received.open_transfers + 1),
        )


def _message(joined: Joined) -> None:
    if why := not_as_announced(joined.transfer, joined.message):
        raise CheckFailed(why)


def _check(name: str, title: str, run: Any) -> Check[Any]:
    return Check(f"meter.block.{name}", title, _SOURCE, run, section=SECTION)


FRAME: Final = _check("frame", "It is exactly one block", _frame)
DEVICE: Final = _check("device", "It is for this device", _device)
KIND: Final = _check("kind", "It is a part of a Command, or acknowledges a Response", _kind)
ACKNOWLEDGEMENT: Final = _check(
    "acknowledgement", "It acknowledges what this device is saying", _acknowledgement
)
NEW: Final = _check("new", "Its message has not been complete before", _new)
OVERLAP: Final = _check("overlap", "It agrees with the blocks that came before", _overlap)
SIZE: Final = _check("size", "Its message is not too long", _size)
ROOM: Final = _check("room", "There is room for another message", _room)
MESSAGE: Final = _check("message", "The blocks make the message that they announce", _message)

BLOCK_CHECKS: Final[tuple[Check[Any], ...]] = (
    FRAME,
    DEVICE,
    KIND,
    ACKNOWLEDGEMENT,
    NEW,
    OVERLAP,
    SIZE,
    ROOM,
    MESSAGE,
)
