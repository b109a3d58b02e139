"""General Block Transfer: frames, acknowledgements and putting blocks together again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gbcs.block_transfer import (
    Block,
    acknowledge,
    decode_block,
    encode_block,
    is_block,
    split,
    still_to_send,
    transfer_of,
)
from gbcs.errors import EncodeError, ParseError
from gbcs.message import Message, decode, encode
from gbcs.reassembly import Limits, Reassembler


@pytest.fixture
def octets(command: Message) -> bytes:
    return encode(command)


@pytest.fixture
def frames(octets: bytes) -> tuple[bytes, ...]:
    return split(octets, 300)


def test_a_frame_by_hand(command: Message):
    block = Block(transfer_of(command), 2, b"data", streaming=True, window=6, acknowledged=1)
    frame = encode_block(replace(block, invocation_counter=9))
    parts = [
        "dd09010000000000001771",
        "08" + command.header.originator,
        "08" + command.header.recipient,
        "00 020107 00",
        "10 11 00000009",
        "e0 46 0002 0001 04" + b"data".hex(),
    ]
    assert frame == bytes.fromhex(" ".join(parts))
    assert decode_block(frame) == replace(block, invocation_counter=9)
    assert is_block(frame)


def test_a_whole_message_is_no_block(octets: bytes):
    assert not is_block(octets)
    with pytest.raises(ParseError, match="routing header"):
        decode_block(octets)


def test_a_block_is_no_message(frames: Any):
    with pytest.raises(ParseError, match="MAC header"):
        decode(frames[0])


@pytest.mark.parametrize("size", [1, 7, 300, 1200, 100_000])
def test_split_and_put_together(octets: bytes, size: int):
    frames = split(octets, size)
    assert len(frames) == -(-len(octets) // size)
    assert [decode_block(frame).number for frame in frames] == list(range(1, len(frames) + 1))
    assert [decode_block(frame).last for frame in frames] == [False] * (len(frames) - 1) + [True]
    reassembler = Reassembler(Limits(blocks=10_000))
    results = [reassembler.add(frame) for frame in frames]
    assert results == [None] * (len(frames) - 1) + [octets]
    assert reassembler.open_transfers == ()


def test_what_split_writes(octets: bytes, command: Message):
    (frame,) = split(octets, len(octets))
    assert decode_block(frame) == Block(transfer_of(command), 1, octets, last=True, streaming=True)
    first, _ = split(octets, len(octets) - 1)
    assert decode_block(first) == Block(transfer_of(command), 1, octets[:-1], streaming=True)
    default = split(encode(replace(command, payload=bytes(3000))))
    assert [len(decode_block(f).data) for f in default[:2]] == [1200, 1200]
    assert decode_block(acknowledge(transfer_of(command), 3)).last


def test_a_block_says_no_more_than_it_must(command: Message):
    plain = decode_block(encode_block(Block(transfer_of(command), 1, b"x")))
    assert not plain.last
    assert not plain.streaming
    assert (plain.window, plain.acknowledged, plain.invocation_counter) == (0, 0, 0)


@pytest.mark.parametrize("number", [0, 2**64 - 1])
def test_counters_of_64_bits(command: Message, number: int):
    transfer = replace(transfer_of(command), counter=number, message_code=0xFFFF)
    block = Block(transfer, 65_535, b"x", window=63, invocation_counter=2**32 - 1)
    assert decode_block(encode_block(block)) == block


@pytest.mark.parametrize("changes", [{"counter": 2**64}, {"message_code": 2**16}])
def test_a_transfer_that_cannot_be_written_is_refused(command: Message, changes: Any):
    transfer = replace(transfer_of(command), **changes)
    with pytest.raises(EncodeError):
        encode_block(Block(transfer, 1, b"x"))


def test_only_messages_are_split():
    with pytest.raises(ParseError):
        split(b"nonsense")


@pytest.mark.parametrize("size", [0, -1])
def test_a_block_has_octets(octets: bytes, size: int):
    with pytest.raises(EncodeError, match="at least one octet"):
        split(octets, size)


def test_more_blocks_than_numbers(command: Message):
    long = encode(replace(command, payload=bytes(70_000)))
    with pytest.raises(EncodeError, match="more than 65535"):
        split(long, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"number": 65_536}, "block number"),
        ({"number": -1}, "block number"),
        ({"window": 64}, "window"),
        ({"acknowledged": 65_536}, "acknowledged"),
        ({"invocation_counter": 2**32}, "invocation counter"),
    ],
)
def test_what_cannot_be_written_is_refused(frames: Any, changes: Any, reason: str):
    with pytest.raises(EncodeError, match=reason):
        encode_block(replace(decode_block(frames[0]), **changes))


def test_every_shorter_frame_and_one_octet_more_are_refused(frames: Any):
    frame = frames[-1]
    for size in range(len(frame)):
        with pytest.raises(ParseError):
            decode_block(frame[:size])
    with pytest.raises(ParseError, match="octets follow"):
        decode_block(frame + b"\x00")


@pytest.mark.parametrize(
    ("at", "octet", "reason"),
    [
        (2, 0, "CRA flag"),
        (11, 7, "business originator"),
        (20, 9, "business target"),
        (29, 12, "date-time"),
        (30, 3, "date-time"),
        (33, 1, "key information"),
        (37, 0x31, "security control"),
        (42, 0xE1, "block tag"),
    ],
)
def test_a_frame_has_one_form(frames: Any, at: Any, octet: Any, reason: str):
    frame = frames[0][:at] + bytes((octet,)) + frames[0][at + 1 :]
    with pytest.raises(ParseError, match=reason):
        decode_block(frame)


def test_a_lost_block_is_sent_again(octets: bytes, frames: Any):
    reassembler = Reassembler()
    transfer = decode_block(frames[0]).transfer
    for frame in (frames[0], frames[1], frames[3]):
        assert reassembler.add(frame) is None
    assert reassembler.received_upto(transfer) == 2
    answer = acknowledge(transfer, reassembler.received_upto(transfer))
    again = still_to_send(frames, answer)
    assert again == frames[2:]
    assert [reassembler.add(frame) for frame in again][-1] == octets
    assert still_to_send(frames, acknowledge(transfer, len(frames))) == ()
    assert still_to_send((), b"") == ()


def test_an_acknowledgement_goes_the_other_way(frames: Any):
    transfer = decode_block(frames[0]).transfer
    answer = decode_block(acknowledge(transfer, 3))
    assert answer.transfer.originator == transfer.recipient
    assert answer.transfer.recipient == transfer.originator
    assert (answer.number, answer.data, answer.acknowledged) == (0, b"", 3)


def test_other_acknowledgements_are_refused(frames: Any):
    transfer = decode_block(frames[0]).transfer
    with pytest.raises(ParseError, match="acknowledges block"):
        still_to_send(frames, acknowledge(transfer, len(frames) + 1))
    with pytest.raises(ParseError, match="not an acknowledgement of this transfer"):
        still_to_send(frames, acknowledge(replace(transfer, counter=1), 1))
    with pytest.raises(ParseError, match="not an acknowledgement of this transfer"):
        still_to_send(frames, frames[0])


def test_order_and_repeats_do_not_matter(octets: bytes, frames: Any):
    reassembler = Reassembler()
    arrived = [*reversed(frames[1:]), *frames[2:], frames[0]]
    assert [reassembler.add(frame) for frame in arrived][-1] == octets


def test_late_repeats_open_nothing(octets: bytes, frames: Any):
    reassembler = Reassembler()
    assert [reassembler.add(frame) for frame in frames][-1] == octets
    assert [reassembler.add(frame) for frame in frames] == [None] * len(frames)
    assert reassembler.open_transfers == ()


def changed(frame: bytes, **changes: object) -> bytes:
    return encode_block(replace(decode_block(frame), **changes))  # type: ignore[arg-type]


def test_contradictions_are_refused_and_what_is_held_stays(octets: bytes, frames: Any):
    last = len(frames)
    wrong = [
        (changed(frames[0], data=b"other"), "other data"),
        (changed(frames[1], last=True), "claims to be last"),
        (changed(frames[-1], number=last + 1), "claims to be last"),
        (changed(frames[1], number=last + 1), "contradicts the last block"),
        (changed(frames[-1], last=False), "contradicts the last block"),
        (changed(frames[1], number=0), "number from 1"),
        (changed(frames[1], data=b""), "number from 1 and data"),
        (b"nonsense", "routing header"),
    ]
    reassembler = Reassembler()
    reassembler.add(frames[-1])
    reassembler.add(frames[0])
    for frame, reason in wrong:
        with pytest.raises(ParseError, match=reason):
            reassembler.add(frame)
    assert [reassembler.add(frame) for frame in frames[1:]][-2] == octets


def test_a_last_block_below_one_that_came_is_refused(frames: Any):
    reassembler = Reassembler()
    reassembler.add(frames[2])
    with pytest.raises(ParseError, match="but block 3 came"):
        reassembler.add(changed(frames[1], last=True))


@pytest.mark.parametrize("limits", [Limits(message_octets=700), Limits(blocks=2)])
def test_a_transfer_past_its_limits_is_refused_and_forgotten(frames: Any, limits: Any):
    reassembler = Reassembler(limits)
    reassembler.add(frames[0])
    reassembler.add(frames[1])
    with pytest.raises(ParseError, match="past its limits"):
        reassembler.add(frames[2])
    assert reassembler.open_transfers == ()


def test_limits_are_reached_before_they_are_passed(octets: bytes, frames: Any):
    exact = Limits(message_octets=len(octets), blocks=len(frames))
    for limits, fits in (
        (exact, True),
        (replace(exact, message_octets=len(octets) - 1), False),
        (replace(exact, blocks=len(frames) - 1), False),
    ):
        reassembler = Reassembler(limits)
        for frame in frames[:-1]:
            assert reassembler.add(frame) is None
            assert reassembler.add(frame) is None
        if fits:
            assert reassembler.add(frames[-1]) == octets
        else:
            with pytest.raises(ParseError, match="past its limits"):
                reassembler.add(frames[-1])


def test_received_upto_stops_at_the_first_gap(octets: bytes):
    frames = split(octets, 100)
    reassembler = Reassembler()
    transfer = decode_block(frames[0]).transfer
    for number in (1, 2, 3, 5, 6):
        reassembler.add(frames[number - 1])
    assert reassembler.received_upto(transfer) == 3


def test_the_longest_untouched_transfer_makes_room(frames: Any):
    reassembler = Reassembler(Limits(open_transfers=2))
    first = decode_block(frames[0])
    transfers = [replace(first.transfer, counter=counter) for counter in (1, 2, 3)]
    for transfer in (transfers[0], transfers[1], transfers[0], transfers[2]):
        reassembler.add(encode_block(replace(first, transfer=transfer)))
    assert reassembler.open_transfers == (transfers[0], transfers[2])


def test_the_memory_of_finished_transfers_has_an_end(command: Message):
    reassembler = Reassembler(Limits(remembered=1))
    messages = [encode(replace(command, header=replace(command.header, counter=c))) for c in (1, 2)]
    for message in messages:
        assert reassembler.add(split(message, 10_000)[0]) == message
    assert reassembler.add(split(messages[1], 10_000)[0]) is None
    assert reassembler.add(split(messages[0], 10_000)[0]) == messages[0]


def test_blocks_that_make_no_message_are_refused_and_may_be_sent_again(octets: bytes, frames: Any):
    reassembler = Reassembler()
    spoilt = changed(frames[-1], data=decode_block(frames[-1]).data + b"\x00")
    for frame in frames[:-1]:
        reassembler.add(frame)
    with pytest.raises(ParseError, match="do not make a message"):
        reassembler.add(spoilt)
    assert [reassembler.add(frame) for frame in frames][-1] == octets


def test_blocks_that_make_another_message_are_refused(command: Message, octets: bytes):
    block = decode_block(split(octets, 10_000)[0])
    other = replace(block, transfer=replace(block.transfer, counter=1))
    with pytest.raises(ParseError, match="another message"):
        Reassembler().add(encode_block(other))


def test_a_transfer_can_be_forgotten(frames: Any):
    reassembler = Reassembler()
    reassembler.add(frames[0])
    transfer = decode_block(frames[0]).transfer
    reassembler.forget(transfer)
    reassembler.forget(transfer)
    assert reassembler.received_upto(transfer) == 0
