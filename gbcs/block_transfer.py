"""General Block Transfer: a message too big for one frame travels in numbered blocks.

    Routing   DD 09 | CRA (1) | counter (8) | 08 originator | 08 target | 00 | 02 message code | 00
              len | 11 | invocation counter (4)
    Block     E0 | control | block number (2) | acknowledged (2) | len | data

control is 80 last block, 40 streaming, 3F window. Blocks are numbered from 1; put together their
data is the GBCS message. The layout is what the published dissector takes apart
(docs/sources.md#message-layout).

Reconstructions, all in this module: tag E0; about 1,200 octets to a block; what an
acknowledgement looks like (same transfer, the two entities swapped, number 0, no data,
`acknowledged` the highest number up to which every block has come); and who says what when:

- the sender streams its blocks (`split`); the receiver acknowledges each that it takes;
- the sender sends again what an acknowledgement does not cover (`still_to_send`);
- an answer in blocks goes one block at a time: each is sent when the one before it has been
  acknowledged, so its streaming bit is 0.

Putting blocks together again is in gbcs.reassembly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gbcs.codes import Cra
from gbcs.entity import entity_to_bytes
from gbcs.errors import EncodeError, ParseError
from gbcs.message import Message, decode
from gbcs.numbers import unsigned
from gbcs.octets import Octets, length_octets

ASSUMED_BLOCK_SIZE = 1200
"""Octets of message to a block, if nothing else is said (reconstruction)."""

_ROUTING_START = bytes.fromhex("dd09")
_SECURITY_CONTROL = b"\x11"
_BLOCK_TAG = b"\xe0"
_LAST, _STREAMING, _WINDOW = 0x80, 0x40, 0x3F
_MOST_BLOCKS = 0xFFFF


@dataclass(frozen=True, slots=True)
class Transfer:
    """Which transfer a block belongs to: the message's own header, in short."""

    cra: Cra
    counter: int
    originator: str
    recipient: str
    message_code: int

    @property
    def reference(self) -> str:
        """`originator:recipient:counter`, as the message itself is named (gbcs.message)."""
        return f"{self.originator}:{self.recipient}:{self.counter}"

    @property
    def back(self) -> Transfer:
        """The same transfer as its acknowledgements name it: the two entities swapped."""
        return replace(self, originator=self.recipient, recipient=self.originator)


@dataclass(frozen=True, slots=True)
class Block:
    """One frame. `number` and `acknowledged` are 0 to 65535, `window` 0 to 63."""

    transfer: Transfer
    number: int
    data: bytes
    last: bool = False
    streaming: bool = False
    window: int = 0
    acknowledged: int = 0
    invocation_counter: int = 0

    @property
    def acknowledges(self) -> bool:
        """Whether this only says what has come, and carries nothing itself."""
        return self.number == 0 and not self.data


def is_block(data: bytes) -> bool:
    """Whether a frame is a block of a transfer and not a whole message."""
    return data[:2] == _ROUTING_START


def encode_block(block: Block) -> bytes:
    """Write a frame.

    Raises:
        EncodeError: a field does not fit.
    """
    transfer = block.transfer
    control = unsigned(block.window, 6, "window")
    control |= (_LAST if block.last else 0) | (_STREAMING if block.streaming else 0)
    content = b"".join(
        (
            _SECURITY_CONTROL,
            unsigned(block.invocation_counter, 32, "invocation counter").to_bytes(4, "big"),
            _BLOCK_TAG,
            bytes((control,)),
            unsigned(block.number, 16, "block number").to_bytes(2, "big"),
            unsigned(block.acknowledged, 16, "acknowledged block").to_bytes(2, "big"),
            length_octets(len(block.data)),
            block.data,
        )
    )
    return b"".join(
        (
            _ROUTING_START,
            bytes((transfer.cra,)),
            unsigned(transfer.counter, 64, "originator counter").to_bytes(8, "big"),
            b"\x08",
            entity_to_bytes(transfer.originator, "business originator"),
            b"\x08",
            entity_to_bytes(transfer.recipient, "business target"),
            b"\x00\x02",
            unsigned(transfer.message_code, 16, "message code").to_bytes(2, "big"),
            b"\x00",
            length_octets(len(content)),
            content,
        )
    )


def decode_block(data: bytes) -> Block:
    """Read one whole frame, strictly.

    Raises:
        ParseError: it is not exactly one block.
    """
    octets = Octets(bytes(data))
    transfer = _decode_routing(octets)
    at = octets.at
    length = octets.length("routing header")
    if length != octets.left:
        raise ParseError(f"routing header: says {length} octets follow, {octets.left} do", at)
    octets.expect(_SECURITY_CONTROL, "security control")
    invocation_counter = octets.number(4, "invocation counter")
    octets.expect(_BLOCK_TAG, "block tag")
    control = octets.octet("block control")
    number = octets.number(2, "block number")
    acknowledged = octets.number(2, "acknowledged block")
    content = octets.take(octets.length("block data"), "block data")
    octets.end("block")
    return Block(
        transfer,
        number,
        content,
        last=bool(control & _LAST),
        streaming=bool(control & _STREAMING),
        window=control & _WINDOW,
        acknowledged=acknowledged,
        invocation_counter=invocation_counter,
    )


def first_frame(data: bytes) -> bytes:
    """The frame with which `data` begins, whatever comes after it.

    Raises:
        ParseError: it begins with no block.
    """
    octets = Octets(bytes(data))
    _decode_routing(octets)
    octets.take(octets.length("routing header"), "block")
    frame = bytes(data[: octets.at])
    decode_block(frame)
    return frame


def cut(data: bytes) -> tuple[bytes, ...]:
    """Frames that follow each other without anything between them, one by one.

    Raises:
        ParseError: what is there is not exactly some whole frames.
    """
    frames = [first_frame(data)]
    at = len(frames[0])
    while at < len(data):
        frames.append(first_frame(data[at:]))
        at += len(frames[-1])
    return tuple(frames)


def split(
    message: bytes, block_size: int = ASSUMED_BLOCK_SIZE, *, streaming: bool = True
) -> tuple[bytes, ...]:
    """The frames of a message, in order, each with at most `block_size` octets of it.

    `streaming`: whether the next is sent without waiting for the acknowledgement of this.

    Raises:
        ParseError: `message` is not a GBCS message.
        EncodeError: the block size is below 1, or there would be more than 65535 blocks.
    """
    if block_size < 1:
        raise EncodeError("a block has at least one octet")
    transfer = transfer_of(decode(message))
    pieces = [message[i : i + block_size] for i in range(0, len(message), block_size)]
    if len(pieces) > _MOST_BLOCKS:
        raise EncodeError(f"{len(pieces)} blocks are more than {_MOST_BLOCKS}")
    return tuple(
        encode_block(
            Block(transfer, number, piece, last=number == len(pieces), streaming=streaming)
        )
        for number, piece in enumerate(pieces, 1)
    )


def transfer_of(message: Message) -> Transfer:
    """The transfer in which a message travels."""
    header = message.header
    return Transfer(
        header.cra, header.counter, header.originator, header.recipient, message.message_code
    )


def acknowledge(transfer: Transfer, upto: int) -> bytes:
    """The receiver's frame saying that every block up to number `upto` has come.

    Raises:
        EncodeError: the number does not fit.
    """
    return encode_block(Block(transfer.back, 0, b"", last=True, acknowledged=upto))


def still_to_send(frames: Sequence[bytes], acknowledgement: bytes) -> tuple[bytes, ...]:
    """The frames (as `split` made them) that an acknowledgement does not cover.

    Raises:
        ParseError: not a block, not an acknowledgement of this transfer, or one of blocks that
            were never sent.
    """
    if not frames:
        return ()
    transfer = decode_block(frames[0]).transfer
    answer = decode_block(acknowledgement)
    if answer.transfer != transfer.back or answer.data:
        raise ParseError("not an acknowledgement of this transfer")
    if answer.acknowledged > len(frames):
        raise ParseError(f"acknowledges block {answer.acknowledged} of {len(frames)}")
    return tuple(frames[answer.acknowledged :])


def _decode_routing(octets: Octets) -> Transfer:
    octets.expect(_ROUTING_START, "routing header")
    at = octets.at
    flag = octets.octet("CRA flag")
    if flag not in (Cra.COMMAND, Cra.RESPONSE, Cra.ALERT):
        raise ParseError(f"CRA flag {flag:02x} is none of command, response, alert", at)
    counter = octets.number(8, "originator counter")
    octets.expect(b"\x08", "business originator length")
    originator = octets.take(8, "business originator").hex()
    octets.expect(b"\x08", "business target length")
    recipient = octets.take(8, "business target").hex()
    octets.expect(b"\x00\x02", "date-time and other information length")
    code = octets.number(2, "message code")
    octets.expect(b"\x00", "key information")
    return Transfer(Cra(flag), counter, originator, recipient, code)
