"""Commands that go to a device in blocks, and what it says in blocks: heard once, or nothing.

In one file, though long: both directions are tried on the same stand-in of a device, and each
refusal stands beside its twin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from acb.peers.blocks import ROUNDS, BlockWan, Incoming
from acb.peers.outbound import Unreachable, Wan
from acb.rules.block import BLOCK_CHECKS, LIMITS
from gbcs.block_transfer import acknowledge, decode_block, encode_block, is_block, split
from gbcs.codes import Cra
from gbcs.message import decode
from tests.unit.acb.estate import DEVICE, OTHER_DEVICE, Estate
from tests.unit.acb.meters import Meters, recorded
from tests.unit.acb.world import World

SIZE = 500
BLOCKS = f"/lab/devices/{DEVICE}/blocks"


async def switch_on(world: World, size: int | None = SIZE) -> None:
    answer = await world.lab.put(BLOCKS, json={"size": size})
    assert answer.is_success, answer.text


async def obeyed(meters: Meters) -> list[str]:
    """The references of the messages that the device answered."""
    entries = (await meters.lab.get(f"/lab/devices/{DEVICE}/trace")).json()["entries"]
    return [entry["reference"] for entry in entries if entry["kind"] == "answered"]


async def test_a_command_goes_in_blocks_and_so_does_its_answer(
    world: World, meters: Meters
) -> None:
    await switch_on(world, 200)
    before = await meters.cells()

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    assert await recorded(world) == await meters.cells() != before
    assert all(is_block(octets) and len(octets) < 300 for octets in meters.heard)
    blocks = [decode_block(octets) for octets in meters.heard]
    commands = [block for block in blocks if not block.acknowledges]
    assert [block.number for block in commands] == list(range(1, len(commands) + 1))
    answers = [block for block in blocks if block.acknowledges]
    assert [block.acknowledged for block in answers] == list(range(1, len(answers) + 1))
    assert len(answers) > 1
    shown = (await meters.lab.get(BLOCKS)).json()
    assert (shown["hearing"], shown["saying"]) == ([], [])
    trace = await world.parts.base.traces.read(commands[0].transfer.reference)
    assert [e["name"] for e in trace if e["kind"] == "sent"][:2] == [
        f"block-{n}-of-{len(commands)}" for n in (1, 2)
    ]
    assert all(v["outcome"] != "refused" for e in trace for v in e["verdicts"] or ())


@pytest.mark.check
async def test_by_default_messages_are_whole(world: World, meters: Meters) -> None:
    assert (await world.lab.get(BLOCKS)).json() == {"eui": DEVICE, "size": None, "in_force": 0}
    await world.run(world.estate.request())
    assert [is_block(octets) for octets in meters.heard] == [False]


@pytest.mark.parametrize(
    "wan",
    [
        pytest.param({"lose_messages": 2}, marks=pytest.mark.check),
        pytest.param({"lose_answers": 3}, marks=pytest.mark.check),
        pytest.param({"duplicate_messages": 4, "duplicate_answers": 4}, marks=pytest.mark.check),
        pytest.param(
            {"reorder_messages": 2, "reorder_answers": 2, "among": 8, "seed": 3},
            marks=pytest.mark.check,
        ),
        {"lose_messages": 3, "lose_answers": 3, "duplicate_messages": 3, "reorder_messages": 2}
        | {"among": 20, "seed": 1},
    ],
)
async def test_whatever_befalls_the_blocks_record_and_meter_agree(
    world: World, meters: Meters, wan: dict[str, int]
) -> None:
    await switch_on(world, 300)
    assert (await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=wan)).is_success

    told = await world.run(world.estate.request())

    assert told["state"] == "completed"
    assert await recorded(world) == await meters.cells()
    changes = [one for one in await obeyed(meters) if "0253494d00000002:" not in one]
    assert len(changes) == 1


async def test_a_transfer_that_a_crash_cut_off_is_sent_again_and_obeyed_once(
    world: World, meters: Meters
) -> None:
    await switch_on(world, 300)
    deliver, carried = meters.wan.handle_async_request, 0
    cut_off, over = asyncio.Event(), asyncio.Event()

    async def breaks(request: httpx.Request) -> httpx.Response:
        nonlocal carried
        carried += 1
        if carried > 2:
            cut_off.set()
            await over.wait()
            raise httpx.ConnectError("nobody asks any more")
        return await deliver(request)

    meters.wan.handle_async_request = breaks  # type: ignore[method-assign]
    await world.accept(world.estate.request())
    sending = asyncio.create_task(world.settle())
    await asyncio.wait_for(cut_off.wait(), 30)
    sending.cancel()
    first = list(meters.heard)
    meters.wan.handle_async_request = deliver  # type: ignore[method-assign]
    meters.heard.clear()
    again = await world.restarted()
    try:
        await again.parts.base.outbox.start()
        await again.parts.base.outbox.idle(deferred=True)
        assert (await again.told(world.estate.request()))["state"] == "completed"
        assert await recorded(again) == await meters.cells()
        assert meters.heard[0] == first[0], "the same blocks"
        assert len(await obeyed(meters)) == 1
    finally:
        over.set()
        await again.stop()


@pytest.mark.check
async def test_a_meter_that_forgot_half_a_message_is_told_it_again(
    world: World, meters: Meters
) -> None:
    await switch_on(world, 300)
    deliver, carried = meters.wan.handle_async_request, 0

    async def goes_off(request: httpx.Request) -> httpx.Response:
        nonlocal carried
        carried += 1
        if carried == 3:
            for on in (False, True):
                await meters.lab.put(f"/lab/devices/{DEVICE}/power", json={"on": on})
        return await deliver(request)

    meters.wan.handle_async_request = goes_off  # type: ignore[method-assign]
    told = await world.run(world.estate.request())
    assert told["state"] == "completed"
    assert await recorded(world) == await meters.cells()
    assert len(await obeyed(meters)) == 1


@pytest.mark.check
async def test_a_meter_that_refuses_the_message_falls_silent(world: World, meters: Meters) -> None:
    await switch_on(world, 600)
    before = await meters.cells()
    deliver = meters.wan.handle_async_request

    async def spoils(request: httpx.Request) -> httpx.Response:
        block = decode_block(request.content) if is_block(request.content) else None
        if block is None or not block.last or block.acknowledges:
            return await deliver(request)
        data = block.data[:-1] + bytes((block.data[-1] ^ 1,))
        url, frame = request.url, encode_block(replace(block, data=data))
        return await deliver(httpx.Request("POST", url, content=frame, headers=OCTETS))

    meters.wan.handle_async_request = spoils  # type: ignore[method-assign]
    told = await world.run(world.estate.request())
    assert (told["state"], told["refused"]["check"]) == ("failed", "acb.response.received")
    assert await meters.cells() == before == await recorded(world)
    refusals = (await meters.lab.get(f"/lab/devices/{DEVICE}/refusals")).json()["refusals"]
    assert {one["refused"]["check"] for one in refusals} == {"meter.mac"}


OCTETS = {"content-type": "application/octet-stream"}


@pytest.fixture
async def late(world: World) -> bytes:
    """The true answer of a device that answered too late: the request stands as failed."""
    meter, said = world.meter, []

    async def silent(eui: str, octets: bytes) -> None:
        if not said:
            said.append(await type(meter).hear(meter, eui, octets))

    meter.hear = silent  # type: ignore[method-assign]
    told = await world.run(world.estate.request())
    assert told["state"] == "failed"
    assert said[0] is not None
    return bytes(said[0])


def changed(frame: bytes, **changes: Any) -> bytes:
    return encode_block(replace(decode_block(frame), **changes))


def renamed(frame: bytes, **changes: Any) -> bytes:
    """The frame as one of another transfer."""
    block = decode_block(frame)
    return encode_block(replace(block, transfer=replace(block.transfer, **changes)))


async def state(world: World) -> str:
    return str((await world.told(world.estate.request()))["state"])


async def test_an_answer_that_comes_late_in_blocks_is_heard_once(world: World, late: bytes) -> None:
    frames = split(late, 100)
    before = await recorded(world)
    for frame in (*reversed(frames[1:]), *frames[1:]):
        answer = await world.hear(frame)
        assert (answer.status_code, decode_block(answer.content).acknowledged) == (200, 0)
    assert await recorded(world) == before
    answer = await world.hear(frames[0])
    assert (answer.status_code, answer.content) == (204, b"")
    assert await state(world) == "completed"
    assert await recorded(world) != before
    again = [await world.hear(frame) for frame in frames]
    assert {(one.status_code, one.content) for one in again} == {(204, b"")}


async def test_what_blocks_make_is_judged_like_any_other_message(world: World, late: bytes) -> None:
    spoilt = late[:-1] + bytes((late[-1] ^ 1,))
    *_, last = [await world.hear(frame) for frame in split(spoilt, 100)]
    assert (last.status_code, last.json()["check"]) == (403, "acb.response.signature")
    assert await state(world) == "failed"
    # Nobody without keys keeps the true one away by that.
    *_, last = [await world.hear(frame) for frame in split(late, 100)]
    assert last.status_code == 204
    assert await state(world) == "completed"


@dataclass(frozen=True)
class Case:
    """What one check refuses, after `before`, and how; with it off, what the answer is."""

    check: str
    status: int
    before: Callable[[Sequence[bytes]], Sequence[bytes]]
    bad: Callable[[Sequence[bytes]], bytes]
    twin: int = 200


def long(frames: Sequence[bytes]) -> list[bytes]:
    """As many octets of a message as are held."""
    part = bytes(LIMITS.message_octets // 4)
    return [changed(frames[0], number=n, data=part) for n in range(1, 5)]


CASES = [
    Case("frame", 400, lambda f: (), lambda f: f[0] + b"\x00"),
    Case("kind", 400, lambda f: (), lambda f: renamed(f[0], cra=Cra.COMMAND)),
    Case("kind", 400, lambda f: (), lambda f: changed(f[0], data=b"")),
    Case(
        "kind",
        400,
        lambda f: (),
        lambda f: acknowledge(decode_block(f[0]).transfer.back, 1),
        twin=204,
    ),
    Case("device", 403, lambda f: (), lambda f: renamed(f[0], originator="0253494dd00000ff")),
    Case("overlap", 409, lambda f: f[:1], lambda f: changed(f[0], data=b"other")),
    Case("overlap", 409, lambda f: (f[0], f[-1]), lambda f: changed(f[-1], last=False)),
    Case("size", 413, long, lambda f: changed(f[0], number=5, data=b"x")),
    Case("size", 413, lambda f: (), lambda f: changed(f[0], number=LIMITS.blocks + 1)),
    Case(
        "room",
        429,
        lambda f: [renamed(f[0], counter=n) for n in range(LIMITS.open_transfers)],
        lambda f: renamed(f[0], counter=1_000),
    ),
    Case(
        "message",
        400,
        lambda f: [renamed(one, counter=77) for one in f[:-1]],
        lambda f: renamed(f[-1], counter=77),
        twin=204,
    ),
]


QUICK = {"device", "overlap", "room", "message"}
FIRST = {case.check: case for case in reversed(CASES)}
PARAMS = [
    pytest.param(
        case,
        id=f"{case.check}-{number}",
        marks=[] if FIRST[case.check] is case and case.check in QUICK else [pytest.mark.check],
    )
    for number, case in enumerate(CASES)
]
"""Those that guard a true message in every run, the others with the slow tests."""


@pytest.mark.parametrize("case", PARAMS)
async def test_refused_by_name_and_taken_where_that_check_is_off(
    world: World, late: bytes, case: Case
) -> None:
    frames = split(late, 100)
    for frame in case.before(frames):
        assert (await world.hear(frame)).status_code == 200
    record, bad = await recorded(world), case.bad(frames)
    answer = await world.hear(bad)
    assert (answer.status_code, answer.json()["check"]) == (case.status, f"acb.block.{case.check}")
    assert await state(world) == "failed"
    assert await recorded(world) == record
    name = "unreadable block" if case.check == "frame" else decode_block(bad).transfer.reference
    entry = (await world.parts.base.traces.read(name))[-1]
    assert (entry["kind"], entry["name"]) == ("refused", f"acb.block.{case.check}")
    # The twin: the same with that one check off.
    await world.lab.post("/lab/reset")
    await world.lab.put(f"/lab/checks/acb.block.{case.check}", json={"enabled": False})
    for frame in case.before(frames):
        await world.hear(frame)
    assert (await world.hear(bad)).status_code == case.twin
    await world.lab.post("/lab/reset")
    # The true answer is heard all the same, as far as there is room.
    for frame in case.before(frames):
        await world.hear(frame)
    await world.hear(bad)
    if case.check != "room":
        *_, last = [await world.hear(frame) for frame in frames]
        assert last.status_code == 204
        assert await state(world) == "completed"


@pytest.mark.check
async def test_what_only_looks_like_a_block_is_refused_with_the_frame_check_off_too(
    world: World, late: bytes
) -> None:
    await world.lab.put("/lab/checks/acb.block.frame", json={"enabled": False})
    answer = await world.hear(split(late, 100)[0][:60])
    assert (answer.status_code, answer.json()["check"]) == (400, "acb.block.frame")


def test_every_check_has_a_case() -> None:
    """All but the one on acknowledgements, which only an asked device's answer comes to."""
    tried = {f"acb.block.{case.check}" for case in CASES} | {"acb.block.acknowledgement"}
    assert tried == {check.id for check in BLOCK_CHECKS}


@pytest.mark.check
async def test_a_late_acknowledgement_is_without_effect(world: World, late: bytes) -> None:
    command = replace(decode_block(split(late, 100)[0]).transfer.back, cra=Cra.COMMAND)
    answer = await world.hear(acknowledge(command, 3))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await state(world) == "failed"


@pytest.mark.check
async def test_half_an_answer_is_given_up_in_time_and_by_reset(world: World, late: bytes) -> None:
    frames = split(late, 100)
    clock = world.parts.base.clock
    for forgets in ("time", "reset", "restart"):
        for frame in frames[:-1]:
            await world.hear(frame)
        if forgets == "time":
            clock.step(type(clock.now() - clock.now())(seconds=LIMITS.seconds + 1))
        elif forgets == "reset":
            await world.lab.post("/lab/reset")
        else:
            world.parts.blocks.forget_device(DEVICE)
        answer = await world.hear(frames[-1])
        assert decode_block(answer.content).acknowledged == 0, forgets
        await world.lab.post("/lab/reset")


async def test_switching_blocks_on_and_off(world: World) -> None:
    async def put(size: Any, eui: str = DEVICE) -> httpx.Response:
        return await world.lab.put(f"/lab/devices/{eui}/blocks", json={"size": size})

    assert (await put(600)).json() == {"eui": DEVICE, "size": 600, "in_force": 600}
    assert (await put(0)).json() == {"eui": DEVICE, "size": 0, "in_force": 0}
    assert (await put(None)).json() == {"eui": DEVICE, "size": None, "in_force": 0}
    for size in (63, -1, 65_536, "600"):
        assert (await put(size)).status_code == 422
    assert (await put(600, "0253494dd00000ff")).status_code == 404
    assert (await world.lab.get("/lab/devices/0253494dd00000ff/blocks")).status_code == 404


@pytest.mark.check
async def test_a_device_is_provisioned_with_its_block_size_or_without(world: World) -> None:
    device = world.estate.devices[DEVICE]
    order = {
        "eui": DEVICE,
        "device_type": device["device_type"],
        "mpxns": [device["mpxn"]],
        "certificates": device["certificates"],
        "cells": device["cells"],
    }
    assert (await world.lab.post("/lab/devices", json=order | {"block_size": 700})).is_success
    assert (await world.lab.get(BLOCKS)).json()["size"] == 700
    assert (await world.lab.post("/lab/devices", json=order | {"block_size": 7})).status_code == 422
    assert (await world.lab.post("/lab/devices", json=order)).is_success
    assert (await world.lab.get(BLOCKS)).json()["size"] is None


Script = Callable[[bytes], Awaitable[bytes | None]]


class Scripted(Wan):
    """A network that says what a test wants said."""

    def __init__(self, script: Callable[[bytes], bytes | None]) -> None:
        self.script = script
        self.heard: list[bytes] = []

    async def deliver(self, device: str, command: bytes) -> bytes | None:
        self.heard.append(command)
        return self.script(command)


def block_wan(
    world: World, script: Callable[[bytes], bytes | None], size: int | None = SIZE
) -> tuple[BlockWan, Scripted]:
    wan = Scripted(script)
    return BlockWan(world.parts.base, wan, Incoming(world.parts.base), size), wan


@pytest.fixture
def command(world: World) -> bytes:
    """A finished command as a CoS Party would have signed it (what is in it does not matter)."""
    return world.parties["tcos_party"].signed(world.estate.request(), 500)


@pytest.mark.check
async def test_the_setting_counts_where_the_record_is_silent(world: World, command: bytes) -> None:
    blocks, wan = block_wan(world, lambda _: b"\xdf whole")
    assert await blocks.deliver(DEVICE, command) == b"\xdf whole"
    assert is_block(wan.heard[0])
    await switch_on(world, 0)
    await blocks.deliver(DEVICE, command)
    assert wan.heard[1] == command
    assert await blocks.deliver(DEVICE, command[:SIZE]) == b"\xdf whole"


async def test_silence_ends(world: World, command: bytes) -> None:
    frames = split(command, SIZE)
    blocks, wan = block_wan(world, lambda _: None)
    assert await blocks.deliver(DEVICE, command) is None
    assert wan.heard == [*frames] * ROUNDS


async def test_only_what_is_missing_is_sent_again(world: World, command: bytes) -> None:
    frames = split(command, SIZE)
    held: set[int] = set()
    dropped = {2}

    def device(frame: bytes) -> bytes | None:
        block = decode_block(frame)
        if block.number in dropped:
            dropped.remove(block.number)
            return None
        held.add(block.number)
        if len(held) == len(frames):
            return b"\xdf done"
        upto = next(n for n in range(len(frames)) if n + 1 not in held)
        return acknowledge(block.transfer, upto)

    blocks, wan = block_wan(world, device)
    assert await blocks.deliver(DEVICE, command) == b"\xdf done"
    numbers = [decode_block(frame).number for frame in wan.heard]
    assert numbers == [*range(1, len(frames) + 1), 2]


async def test_a_device_that_holds_less_than_it_did_has_begun_anew(
    world: World, command: bytes
) -> None:
    transfer, acks = decode_block(split(command, SIZE)[0]).transfer, [2, 0]
    blocks, wan = block_wan(world, lambda _: acknowledge(transfer, acks.pop(0)))
    assert await blocks.deliver(DEVICE, command) is None
    assert len(wan.heard) == 2


@pytest.mark.parametrize("what", ["too many", "another transfer"])
async def test_an_acknowledgement_of_what_was_not_sent_is_refused(
    world: World, command: bytes, what: str
) -> None:
    frames = split(command, SIZE)
    transfer = decode_block(frames[0]).transfer
    false = acknowledge(transfer, len(frames) + 1)
    if what == "another transfer":
        false = acknowledge(replace(transfer, counter=1), 1)
    blocks, wan = block_wan(world, lambda _: false)
    assert await blocks.deliver(DEVICE, command) is None
    assert wan.heard == [*frames] * ROUNDS, "as if nothing had been said"
    trace = await world.parts.base.traces.read(decode_block(false).transfer.reference)
    assert {e["name"] for e in trace if e["kind"] == "refused"} == {"acb.block.acknowledgement"}
    # Believed, it would have blocks left out.
    await world.lab.put("/lab/checks/acb.block.acknowledgement", json={"enabled": False})
    wan.heard.clear()
    assert await blocks.deliver(DEVICE, command) is None
    assert wan.heard != [*frames] * ROUNDS


@pytest.mark.check
async def test_another_devices_answer_is_not_taken_for_this_ones(
    world: World, command: bytes, late: bytes
) -> None:
    of_another = renamed(split(late, 100)[0], originator=OTHER_DEVICE)
    blocks, _ = block_wan(world, lambda _: of_another)
    assert await blocks.deliver(DEVICE, command) is None
    name = decode_block(of_another).transfer.reference
    trace = await world.parts.base.traces.read(name)
    assert {e["name"] for e in trace} == {"acb.block.device"}


def saying(answer: bytes, *, deaf: int = 0) -> Callable[[bytes], bytes | None]:
    """A device that answers in blocks, and `deaf` times does not hear an acknowledgement."""
    frames, left = split(answer, 100, streaming=False), [deaf]

    def device(frame: bytes) -> bytes | None:
        block = decode_block(frame) if is_block(frame) else None
        if block is None or not block.acknowledges:
            return frames[0]
        if left[0]:
            left[0] -= 1
            return None
        return frames[block.acknowledged] if block.acknowledged < len(frames) else None

    return device


@pytest.mark.parametrize(("deaf", "heard"), [(ROUNDS - 1, True), (ROUNDS, False)])
async def test_an_answer_is_asked_for_block_by_block(
    world: World, command: bytes, late: bytes, deaf: int, *, heard: bool
) -> None:
    blocks, _ = block_wan(world, saying(late, deaf=deaf))
    assert await blocks.deliver(DEVICE, command) == (late if heard else None)


@pytest.mark.check
async def test_an_answer_in_blocks_to_a_whole_command_is_heard_too(
    world: World, command: bytes, late: bytes
) -> None:
    blocks, _ = block_wan(world, saying(late), size=None)
    assert await blocks.deliver(DEVICE, command) == late


@pytest.mark.check
async def test_an_answer_that_was_complete_is_not_lost_with_the_last_acknowledgement(
    world: World, command: bytes, late: bytes
) -> None:
    device, count = saying(late), len(split(late, 100))

    def breaks(frame: bytes) -> bytes | None:
        if is_block(frame) and decode_block(frame).acknowledged == count:
            raise Unreachable("the network is down")
        return device(frame)

    blocks, _ = block_wan(world, breaks)
    assert await blocks.deliver(DEVICE, command) == late
    # And what was heard once is not heard again.
    assert await blocks.deliver(DEVICE, command) is None


@pytest.mark.check
async def test_a_device_may_say_the_rest_whole(world: World, command: bytes, late: bytes) -> None:
    first = split(late, 100)[0]
    blocks, _ = block_wan(
        world, lambda f: late if is_block(f) and decode_block(f).acknowledges else first
    )
    assert await blocks.deliver(DEVICE, command) == late
    assert decode(late).header.originator == DEVICE


@pytest.mark.check
async def test_devices_out_of_mind_make_room(world: World, estate: Estate, late: bytes) -> None:
    """A stranger who names devices that are not there has nothing held, and pushes nobody out."""
    frames = split(late, 100)
    await world.hear(frames[0])
    for number in range(3):
        answer = await world.hear(renamed(frames[0], originator=f"0253494dffff{number:04x}"))
        assert answer.status_code == 403
    assert set(world.parts.blocks._held) == {DEVICE}
    assert estate.devices
