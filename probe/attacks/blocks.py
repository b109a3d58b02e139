"""Blocks (General Block Transfer): what anybody can say who reaches a device, or the broker's WAN.

A block proves nothing. What blocks make together is judged like a whole message; what is tried here
is to cost the receiver more than a little memory, to make a message that nobody sent, or to make
it forget one that somebody did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from gbcs.block_transfer import Block, Transfer, encode_block, split
from gbcs.codes import Cra
from probe.attacks.lying_devices import post_message
from probe.attacks.making import attack_row
from probe.forge.gbcs import Forge
from probe.forge.services import meter
from probe.model import BROKER_CHECKS, METER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import World

W, R = Rung.WIRE, Rung.RECORDING
ANY = "a connection to the interface, nothing else"
RECORDED = "a finished command, recorded on its way to the device"
TOO_MANY = 1025
"""More blocks than either receiver holds of one message."""
OPEN = 4
"""Messages that a receiver holds half of, at most, of one device."""

Frames = Callable[[World], Sequence[bytes]]
"""What is sent, in order; the last of it must be refused."""


def to_meter(world: World, counter: int = 1, cra: Cra = Cra.COMMAND, to: str = "") -> Transfer:
    """A transfer to the device, of a message that nobody need have written."""
    return Transfer(cra, counter, world.eui("ecos_party"), to or meter(world), 0x0107)


def to_broker(
    world: World, counter: int = 1, cra: Cra = Cra.RESPONSE, by: str = ""
) -> Transfer:  # fmt: skip
    """A transfer from the device."""
    return Transfer(cra, counter, by or meter(world), world.eui("ecos_party"), 0x0107)


Start = Callable[..., Transfer]


def block(
    transfer: Transfer, number: int = 1, data: bytes = b"x" * 40, *, last: bool = False
) -> bytes:
    """One block."""
    return encode_block(Block(transfer, number, data, last=last))


def cut(start: Start) -> Frames:
    """A frame cut short."""
    return lambda w: (block(start(w))[:-1],)


def numberless(start: Start) -> Frames:
    """Data without a number."""
    return lambda w: (block(start(w), 0),)


def otherwise(start: Start) -> Frames:
    """The same block twice, with other data."""
    return lambda w: (block(start(w), 2), block(start(w), 2, b"y" * 40))


def past_the_end(start: Start) -> Frames:
    """A block after the last one."""
    return lambda w: (block(start(w), 2, last=True), block(start(w), 3))


def endless(start: Start) -> Frames:
    """A block of a number that no message has."""
    return lambda w: (block(start(w), TOO_MANY),)


def many(start: Start) -> Frames:
    """More messages begun than fit."""
    return lambda w: tuple(block(start(w, number)) for number in range(1, OPEN + 2))


def renamed(start: Start, message: Callable[[World], bytes]) -> Frames:
    """A message in blocks that say they are of another message."""

    def make(world: World) -> Sequence[bytes]:
        whole = message(world)
        half = len(whole) // 2
        transfer = replace(start(world), counter=9)
        return (block(transfer, 1, whole[:half]), block(transfer, 2, whole[half:], last=True))

    return make


def command(world: World) -> bytes:
    """A finished command."""
    return Forge("ecos").octets(world)


def twice(world: World) -> Sequence[bytes]:
    """A command in blocks, and its first block once more."""
    frames = split(command(world), 700)
    return (*frames, frames[0])


def acknowledges(transfer: Callable[[World], Transfer], upto: int = 1) -> Frames:
    """An acknowledgement of what is not being said."""
    return lambda w: (encode_block(Block(transfer(w), 0, b"", last=True, acknowledged=upto)),)


METER: tuple[tuple[str, str, Rung, str, Frames, str], ...] = (
    ("cut", "a block cut short", W, ANY, cut(to_meter), "frame"),
    ("other-device", "a block for another device", W, ANY,
     lambda w: (block(to_meter(w, to=w.meter("tcos_party"))),), "device"),
    ("response", "a block of a response", W, ANY,
     lambda w: (block(to_meter(w, cra=Cra.RESPONSE)),), "kind"),
    ("no-number", "a block without a number", W, ANY, numberless(to_meter), "kind"),
    ("acknowledgement", "an acknowledgement of what it does not say", W, ANY,
     acknowledges(lambda w: to_meter(w, cra=Cra.RESPONSE)), "acknowledgement"),
    ("again", "a block of a command that it has executed", R, RECORDED, twice, "new"),
    ("otherwise", "the same block with other data", W, ANY, otherwise(to_meter), "overlap"),
    ("past-the-end", "a block after the last one", W, ANY, past_the_end(to_meter), "overlap"),
    ("endless", "a block of a message without end", W, ANY, endless(to_meter), "size"),
    ("many", "the beginnings of more messages than it holds", W, ANY, many(to_meter), "room"),
    ("renamed", "a command in blocks of another name", R, RECORDED, renamed(to_meter, command),
     "message"),
)  # fmt: skip


def response(world: World) -> bytes:
    """Something that is a message: a command, in the device's name."""
    return command(world)


BROKER: tuple[tuple[str, str, Rung, str, Frames, str], ...] = (
    ("cut", "a block cut short", W, ANY, cut(to_broker), "frame"),
    ("command", "a block of a command", W, ANY,
     lambda w: (block(to_broker(w, cra=Cra.COMMAND)),), "kind"),
    ("no-number", "a block without a number", W, ANY, numberless(to_broker), "kind"),
    ("unknown", "a block of a device that nobody has", W, ANY,
     lambda w: (block(to_broker(w, by="0253494ddddddddd")),), "device"),
    ("otherwise", "the same block with other data", W, ANY, otherwise(to_broker), "overlap"),
    ("past-the-end", "a block after the last one", W, ANY, past_the_end(to_broker), "overlap"),
    ("endless", "a block of a message without end", W, ANY, endless(to_broker), "size"),
    ("many", "the beginnings of more messages than it holds", W, ANY, many(to_broker), "room"),
    ("renamed", "a message in blocks of another name", R, RECORDED, renamed(to_broker, response),
     "message"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, rung, holds, frames, check in METER:
        yield attack_row(
            f"block.meter.{name}", f"To the meter: {title}", rung, METER_CHECKS, holds,
            at_meter(frames), Refusal("meter_sim", f"meter.block.{check}"), "meter", "block",
            prepares=True,
        )  # fmt: skip
    for name, title, rung, holds, frames, check in BROKER:
        yield attack_row(
            f"block.acb.{name}", f"Where devices report: {title}", rung, BROKER_CHECKS, holds,
            at_broker(frames), Refusal("acb", f"acb.block.{check}"), "acb", "block", prepares=True,
        )  # fmt: skip


def at_meter(frames: Frames) -> Callable[[World], Observed]:
    """Say them to the device."""

    def act(world: World) -> Observed:
        *before, last = frames(world)
        for frame in before:
            world.to_meter(meter(world), frame)
        world.compare_from_here()
        return world.send_to_meter(meter(world), last)

    return act


def at_broker(frames: Frames) -> Callable[[World], Observed]:
    """Post them where devices report."""

    def act(world: World) -> Observed:
        *before, last = frames(world)
        for frame in before:
            seen = post_message(world, frame)
            if seen.refused_by is not None:
                raise ValueError(f"an earlier block was refused: {seen}")
        world.compare_from_here()
        return post_message(world, last)

    return act
