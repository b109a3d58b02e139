"""A block of a General Block Transfer as a JSON object, and back; several, put together.

message_code, use_case, cra,
originator, recipient, originator_counter   of the message that it is a part of
block       object: number, last, streaming, window, acknowledged, invocation_counter,
            data (hexadecimal; "" for an acknowledgement)
reencoded_identical   whether decoding and encoding gives the same octets
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gbcs.block_transfer import Block, Transfer, decode_block, encode_block
from gbcs.codes import USE_CASES, Cra
from gbcs.errors import EncodeError, ParseError
from gbcs.numbers import to_json
from gbcs.reassembly import Reassembler
from gbcs.text.fields import Fields


@dataclass(frozen=True, slots=True)
class PutTogether:
    """What blocks make: the message, or if some are missing, which (as far as is known)."""

    message: bytes | None
    missing: tuple[int, ...]


def describe_block(frame: bytes) -> dict[str, Any]:
    """One block as an object.

    Raises:
        ParseError: the octets are not exactly one block.
    """
    block = decode_block(frame)
    transfer = block.transfer
    return {
        "message_code": f"0x{transfer.message_code:04x}",
        "use_case": USE_CASES.get(transfer.message_code, "unknown"),
        "cra": transfer.cra.label,
        "originator": transfer.originator,
        "recipient": transfer.recipient,
        "originator_counter": to_json(transfer.counter),
        "block": {
            "number": block.number,
            "last": block.last,
            "streaming": block.streaming,
            "window": block.window,
            "acknowledged": block.acknowledged,
            "invocation_counter": block.invocation_counter,
            "data": block.data.hex(),
        },
        "reencoded_identical": encode_block(block) == frame,
    }


def build_block(description: dict[str, Any]) -> bytes:
    """The octets of an object as describe_block gives it.

    Raises:
        EncodeError: the object does not describe a block.
    """
    fields = Fields(description, "block")
    transfer = Transfer(
        fields.label("cra", Cra),
        fields.number("originator_counter"),
        fields.text("originator"),
        fields.text("recipient"),
        fields.hexadecimal_number("message_code"),
    )
    inner = fields.inner("block")
    flags = {name: inner.take(name) for name in ("last", "streaming")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise EncodeError("block: last and streaming are true or false")
    block = Block(
        transfer,
        inner.number("number"),
        inner.hexadecimal("data") if inner.has("data") else b"",
        window=inner.number("window"),
        acknowledged=inner.number("acknowledged"),
        invocation_counter=inner.number("invocation_counter"),
        **flags,
    )
    inner.take("data")
    inner.done()
    for name in ("use_case", "reencoded_identical"):
        fields.take(name)
    fields.done()
    return encode_block(block)


def put_together(frames: Sequence[bytes]) -> PutTogether:
    """The message that blocks make, in whatever order and however often they are given.

    Acknowledgements among them are passed over.

    Raises:
        ParseError: one is no block, two contradict each other, or they are of several messages.
    """
    reassembler = Reassembler()
    blocks = [decode_block(frame) for frame in frames]
    parts = [(b, f) for b, f in zip(blocks, frames, strict=True) if not b.acknowledges]
    transfers = {block.transfer for block, _ in parts}
    if len(transfers) > 1:
        names = ", ".join(sorted(transfer.reference for transfer in transfers))
        raise ParseError(f"blocks of {len(transfers)} messages: {names}")
    message: bytes | None = None
    for _, frame in parts:
        message = reassembler.add(frame) or message
    missing = () if message or not parts else reassembler.missing(parts[0][0].transfer)
    return PutTogether(message, missing)
