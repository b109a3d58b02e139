"""What holds blocks, and what says what is wrong with one: apart, so that parties can decide."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gbcs.block_transfer import Block, decode_block, split, transfer_of
from gbcs.message import Message, encode
from gbcs.reassembly import (
    Assembly,
    Held,
    Limits,
    contradiction,
    excess,
    malformed,
    not_as_announced,
)


@pytest.fixture
def blocks(command: Message) -> list[Block]:
    return [decode_block(frame) for frame in split(encode(command), 300)]


def test_it_holds_whatever_it_is_given_and_the_last_one_counts(
    blocks: list[Block], command: Message
):
    assembly = Assembly(Limits())
    assembly.put(replace(blocks[0], data=b"other"))
    for block in blocks[:-1]:
        assert assembly.put(block) is None
    held = assembly.held(blocks[0].transfer)
    assert (held.upto, held.missing, held.last) == (len(blocks) - 1, (), None)
    assert held.octets == 300 * (len(blocks) - 1)
    assert assembly.put(blocks[-1]) == encode(command)
    assert assembly.open_transfers == ()
    assert not assembly.is_complete(blocks[0].transfer), "that is for its holder to say"


def test_what_is_missing_is_known_up_to_the_highest(blocks: list[Block]):
    held = Held({1: b"a", 4: b"d"})
    assert (held.missing, held.upto, held.whole) == ((2, 3), 1, None)
    held.last = 6
    assert held.missing == (2, 3, 5, 6)
    assert Held().missing == ()


@pytest.mark.parametrize(
    ("at", "old"), [(110.0, False), (110.1, True), (90.0, False), (89.9, True)]
)
def test_what_nothing_has_come_of_is_dropped_also_when_the_clock_goes_back(
    blocks: list[Block], at: float, *, old: bool
):
    assembly = Assembly(Limits(seconds=10))
    assembly.put(blocks[0], at=50.0)
    assembly.put(blocks[1], at=100.0)
    transfer = blocks[0].transfer
    assert assembly.expire(at) == ((transfer,) if old else ())
    assert assembly.open_transfers == (() if old else (transfer,))


def test_the_memory_of_what_was_complete_has_an_end_and_can_be_lost(blocks: list[Block]):
    assembly = Assembly(Limits(remembered=2))
    transfers = [replace(blocks[0].transfer, counter=n) for n in range(3)]
    for transfer in (transfers[0], transfers[1], transfers[0], transfers[2]):
        assembly.remember(transfer)
    assert [assembly.is_complete(t) for t in transfers] == [True, False, True]
    assembly.forget(transfers[0])
    assert not assembly.is_complete(transfers[0])


def test_what_is_wrong_with_a_block_is_said_without_holding_it(
    blocks: list[Block], command: Message
):
    first, transfer = blocks[0], transfer_of(command)
    held = Held({1: first.data})
    assert malformed(first) is None
    assert contradiction(first, held) is None
    assert excess(first, held, Limits(blocks=1, message_octets=300)) is None
    assert not_as_announced(transfer, encode(command)) is None
    assert "number from 1" in str(malformed(replace(first, number=0)))
    assert "other data" in str(contradiction(replace(first, data=b"x"), held))
    assert "299 octets" in str(excess(first, held, Limits(message_octets=299)))
    assert "1 blocks" in str(excess(blocks[1], held, Limits(blocks=1)))
    assert "do not make" in str(not_as_announced(transfer, b"x"))
    assert "another" in str(not_as_announced(replace(transfer, counter=1), encode(command)))
    assert held == Held({1: first.data})
