"""A Command that arrives in blocks is obeyed as a whole one is, or nothing changes.

In one file, though long: one table of cases serves both the refusals and their twins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gbcs.block_transfer import Block, acknowledge, decode_block, encode_block, split, transfer_of
from gbcs.codes import Cra
from gbcs.message import decode
from gbcs.payloads.credentials import decode_alert
from gbcs.reassembly import Reassembler
from meter_sim.checks import BLOCK
from meter_sim.device.rules.block import LIMITS
from tests.unit.meter_sim.estate import DEVICE, NOW, SUPPLIER_A, SUPPLIER_B, TCOS, Estate
from tests.unit.meter_sim.running import Running

SUPPLIER = "supplier/digitalSignature/management"
BLOCKS = f"/lab/devices/{DEVICE}/blocks"
OTHER = "0253494dd0000002"
SIZE = 600


@pytest.fixture
def command(estate: Estate) -> bytes:
    return estate.command().data


@pytest.fixture
def frames(command: bytes) -> tuple[bytes, ...]:
    made = split(command, SIZE)
    assert len(made) > 2
    return made


def changed(frame: bytes, **changes: Any) -> bytes:
    return encode_block(replace(decode_block(frame), **changes))


def renamed(frame: bytes, **changes: Any) -> bytes:
    """The frame as one of another transfer."""
    block = decode_block(frame)
    return encode_block(replace(block, transfer=replace(block.transfer, **changes)))


async def supplier(meters: Running) -> str:
    return str((await meters.device())["cells"][SUPPLIER]["subject"])


async def refused(meters: Running) -> list[str]:
    found = (await meters.get(f"/lab/devices/{DEVICE}/refusals"))["refusals"]
    return [one["refused"]["check"] for one in found]


async def send_all(meters: Running, frames: Sequence[bytes]) -> list[bytes]:
    """What the device said to each, silence as nothing."""
    return [(await meters.send(frame)).content for frame in frames]


def acknowledged(said: bytes) -> int:
    block = decode_block(said)
    assert block.acknowledges
    return block.acknowledged


async def test_blocks_are_acknowledged_and_the_message_is_obeyed(
    meters: Running, frames: tuple[bytes, ...]
):
    await meters.install()
    *acknowledgements, answer = await send_all(meters, frames)
    assert [acknowledged(said) for said in acknowledgements] == list(range(1, len(frames)))
    assert decode(answer).header.counter == 6001
    assert await supplier(meters) == SUPPLIER_B
    assert await refused(meters) == []
    trace = (await meters.get(f"/lab/trace/{TCOS}:{DEVICE}:6001"))["entries"]
    heard = [entry for entry in trace if entry["name"].startswith("block ")]
    assert [entry["name"] for entry in heard] == [f"block {n + 1}" for n in range(len(frames))]
    assert {v["check"] for v in heard[0]["verdicts"]} == {check.id for check in BLOCK}
    assert trace[-1]["kind"] == "sent"
    assert (await meters.get("/lab/audit/verify"))["intact"] is True
    assert (await meters.get(BLOCKS))["hearing"] == []


@pytest.mark.check
async def test_the_answer_is_that_to_the_same_message_whole(
    meters: Running, estate: Estate, frames: tuple[bytes, ...], command: bytes, tmp_path: Path
):
    await meters.install()
    said = (await send_all(meters, frames))[-1]
    (tmp_path / "other").mkdir()
    whole = await Running.start(estate, tmp_path / "other")
    try:
        await whole.install()
        answer = (await whole.send(command)).content
        assert replace(decode(said), signature=None) == replace(decode(answer), signature=None)
        assert await whole.device() == await meters.device()
    finally:
        await whole.stop()


@pytest.mark.check
async def test_order_and_repeats_do_not_matter(meters: Running, frames: tuple[bytes, ...]):
    await meters.install()
    said = await send_all(meters, [*reversed(frames[1:]), *frames[1:], frames[0]])
    assert [acknowledged(one) for one in said[:-1]] == [0] * (len(said) - 1)
    assert decode(said[-1]).header.cra is Cra.RESPONSE
    assert await supplier(meters) == SUPPLIER_B
    assert await refused(meters) == []


@pytest.mark.check
async def test_nothing_changes_while_a_block_is_missing(meters: Running, frames: tuple[bytes, ...]):
    await meters.install()
    before = await meters.device()
    assert acknowledged((await send_all(meters, [frames[0], *frames[2:]]))[-1]) == 1
    assert await meters.device() == before
    (hearing,) = (await meters.get(BLOCKS))["hearing"]
    assert hearing["reference"] == f"{TCOS}:{DEVICE}:6001"
    assert hearing["came"] == [1, *range(3, len(frames) + 1)]
    assert decode((await send_all(meters, [frames[1]]))[0]).header.counter == 6001


@dataclass(frozen=True)
class Case:
    """What one check refuses, after `before`; with it off, what the device then says."""

    check: str
    before: Callable[[tuple[bytes, ...]], Sequence[bytes]]
    bad: Callable[[tuple[bytes, ...]], bytes]
    twin: Callable[[tuple[bytes, ...], bytes], bool]


def others(frames: tuple[bytes, ...]) -> list[bytes]:
    """As many transfers begun as a device has room for."""
    return [renamed(frames[0], counter=n) for n in range(1, LIMITS.open_transfers + 1)]


def long(frames: tuple[bytes, ...]) -> list[bytes]:
    """As much of a message as a device holds, but for the last octets."""
    most = LIMITS.message_octets
    return [changed(frames[0], number=n + 1, data=bytes(most // 4)) for n in range(4)]


def acks(upto: int) -> Callable[[tuple[bytes, ...], bytes], bool]:
    return lambda _, said: acknowledged(said) == upto


def silent(_: tuple[bytes, ...], said: bytes) -> bool:
    return said == b""


def answers(_: tuple[bytes, ...], said: bytes) -> bool:
    return decode(said).header.cra is Cra.RESPONSE


CASES = [
    Case("frame", lambda f: (), lambda f: f[0] + b"\x00", acks(1)),
    Case("device", lambda f: (), lambda f: renamed(f[0], recipient=OTHER), acks(1)),
    Case("kind", lambda f: (), lambda f: renamed(f[0], cra=Cra.ALERT), acks(1)),
    Case("kind", lambda f: (), lambda f: changed(f[0], number=0), acks(0)),
    Case("kind", lambda f: (), lambda f: changed(f[0], data=b""), acks(1)),
    Case(
        "acknowledgement",
        lambda f: (),
        lambda f: acknowledge(replace(decode_block(f[0]).transfer.back, cra=Cra.RESPONSE), 1),
        silent,
    ),
    Case("new", lambda f: f, lambda f: f[0], acks(1)),
    Case("overlap", lambda f: f[:1], lambda f: changed(f[0], data=b"other"), acks(1)),
    Case("overlap", lambda f: (f[0], f[-1]), lambda f: changed(f[-1], last=False), acks(1)),
    Case("overlap", lambda f: f[-1:], lambda f: changed(f[0], number=len(f) + 1), acks(0)),
    Case("size", long, lambda f: changed(f[0], number=5, data=b"x"), acks(5)),
    Case("size", lambda f: (), lambda f: changed(f[0], number=LIMITS.blocks + 1), acks(0)),
    Case("room", others, lambda f: f[0], acks(1)),
    Case(
        "message",
        lambda f: [renamed(one, counter=7) for one in f[:-1]],
        lambda f: renamed(f[-1], counter=7),
        answers,
    ),
]


FIRST = {case.check: case for case in reversed(CASES)}
PARAMS = [
    pytest.param(
        case,
        id=f"{case.check}-{number}",
        marks=[] if FIRST[case.check] is case else [pytest.mark.check],
    )
    for number, case in enumerate(CASES)
]
"""The first of each check in every run, the others with the slow tests."""


@pytest.mark.parametrize("case", PARAMS)
async def test_refused_in_silence_by_name_and_taken_where_that_check_is_off(
    meters: Running, frames: tuple[bytes, ...], case: Case
):
    await meters.install()
    await send_all(meters, case.before(frames))
    before = await meters.device()
    answer = await meters.send(case.bad(frames))
    assert (answer.status_code, answer.content) == (204, b"")
    assert await refused(meters) == [f"meter.block.{case.check}"]
    after = await meters.device()
    assert (after["cells"], after["counters"]) == (before["cells"], before["counters"])
    assert after["log"][-1]["check"] == f"meter.block.{case.check}"

    # The twin: the same with that one check off.
    await scrap(meters)
    await meters.switch(f"meter.block.{case.check}", enabled=False)
    await send_all(meters, case.before(frames))
    said = (await meters.send(case.bad(frames))).content
    assert case.twin(frames, said)
    assert await refused(meters) == []


def test_every_check_has_a_case():
    assert {f"meter.block.{case.check}" for case in CASES} == {check.id for check in BLOCK}


@pytest.mark.check
async def test_what_only_looks_like_a_block_is_refused_with_the_frame_check_off_too(
    meters: Running, frames: tuple[bytes, ...]
):
    await meters.install()
    await meters.switch("meter.block.frame", enabled=False)
    assert (await meters.send(frames[0][:60])).status_code == 204
    assert await refused(meters) == ["meter.block.frame"]


@pytest.mark.check
async def test_behind_the_device_check_stands_the_messages_own(meters: Running, estate: Estate):
    await meters.install()
    await meters.switch("meter.block.device", enabled=False)
    said = await send_all(meters, split(estate.command(device=OTHER).data, SIZE))
    assert said[-1] == b""
    assert await refused(meters) == ["meter.recipient"]
    assert await supplier(meters) == SUPPLIER_A


async def test_a_message_that_came_in_blocks_is_judged_like_any_other(
    meters: Running, command: bytes
):
    await meters.install()
    spoilt = command[:-1] + bytes((command[-1] ^ 1,))
    assert (await send_all(meters, split(spoilt, SIZE)))[-1] == b""
    assert await refused(meters) == ["meter.mac"]
    assert await supplier(meters) == SUPPLIER_A


async def test_nobody_without_keys_keeps_the_true_message_away(
    meters: Running, command: bytes, frames: tuple[bytes, ...]
):
    """A stranger's message under the true one's name comes first, whole and in pieces."""
    await meters.install()
    await send_all(meters, split(command[:-1] + bytes((command[-1] ^ 1,)), SIZE))
    assert await refused(meters) == ["meter.mac"]
    await meters.send(changed(frames[1], data=b"poison"))
    assert (await send_all(meters, frames[:2]))[1] == b""
    assert (await refused(meters))[-1] == "meter.block.overlap"
    assert answers(frames, (await send_all(meters, frames))[-1])
    assert await supplier(meters) == SUPPLIER_B


@pytest.mark.check
async def test_what_was_answered_is_not_heard_again(meters: Running, frames: tuple[bytes, ...]):
    await meters.install()
    await send_all(meters, frames)
    before = await meters.device()
    assert set(await send_all(meters, frames)) == {b""}
    assert set(await refused(meters)) == {"meter.block.new"}
    assert (await meters.device())["counters"] == before["counters"]


@pytest.mark.check
async def test_the_twin_a_device_that_forgets_is_still_held_by_the_counter(
    meters: Running, frames: tuple[bytes, ...]
):
    await meters.install()
    await meters.switch("meter.block.new", enabled=False)
    await send_all(meters, frames)
    again = await send_all(meters, frames)
    assert [acknowledged(one) for one in again[:-1]] == list(range(1, len(frames)))
    assert again[-1] == b""
    assert await refused(meters) == ["meter.counter"]


async def test_half_a_message_is_given_up_in_time(meters: Running, frames: tuple[bytes, ...]):
    await meters.install()
    await send_all(meters, frames[:-1])
    meters.service.base.clock.set(NOW + timedelta(seconds=LIMITS.seconds))
    assert len((await meters.get(BLOCKS))["hearing"]) == 1
    meters.service.base.clock.set(NOW + timedelta(seconds=LIMITS.seconds + 1))
    assert (await meters.get(BLOCKS))["hearing"] == []
    assert acknowledged((await send_all(meters, frames[-1:]))[0]) == 0
    assert answers(frames, (await send_all(meters, frames[:-1]))[-1])


async def test_a_device_that_loses_power_forgets_half_a_message(
    meters: Running, frames: tuple[bytes, ...]
):
    await meters.install()
    await send_all(meters, frames[:-1])
    power = f"/lab/devices/{DEVICE}/power"
    await meters.lab.put(power, json={"on": False})
    assert await send_all(meters, frames[-1:]) == [b""]
    await meters.lab.put(power, json={"on": True})
    assert (await meters.get(BLOCKS))["hearing"] == []
    assert answers(frames, (await send_all(meters, frames))[-1])


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("refusal stored", marks=pytest.mark.check),
        pytest.param("state stored", marks=pytest.mark.check),
        "committed",
    ],
)
async def test_power_that_goes_at_a_block_leaves_the_old_device_or_the_new(
    meters: Running, frames: tuple[bytes, ...], step: str
):
    await meters.install()
    first = [changed(frames[0], number=0)] if step == "refusal stored" else []
    power = f"/lab/devices/{DEVICE}/power"
    await meters.lab.put(power, json={"off_after_step": step})
    assert (await send_all(meters, [*first, *frames]))[-1] == b""
    assert (await meters.get(power))["on"] is False
    await meters.lab.put(power, json={"on": True})
    done = step == "committed"
    assert await supplier(meters) == (SUPPLIER_B if done else SUPPLIER_A)
    assert (await send_all(meters, frames))[-1] == b"" if done else True
    assert await supplier(meters) == SUPPLIER_B or not done


async def test_a_process_that_starts_again_holds_nothing_and_obeys_once(
    meters: Running, estate: Estate, frames: tuple[bytes, ...], tmp_path: Path
):
    await meters.install()
    await send_all(meters, frames[:-1])
    await meters.service.stop()
    again = await Running.start(estate, tmp_path)
    try:
        assert acknowledged((await send_all(again, frames[-1:]))[0]) == 0
        assert answers(frames, (await send_all(again, frames[:-1]))[-1])
        assert set(await send_all(again, frames)) == {b""}
        assert (await again.device())["counters"]["credentials"] == {"transitionalCoS": 6001}
    finally:
        await again.stop()


@pytest.mark.check
async def test_reset_and_scrapping_forget_half_messages_and_sizes(
    meters: Running, frames: tuple[bytes, ...]
):
    for forget in (lambda: meters.lab.post("/lab/reset"), lambda: scrap(meters)):
        await meters.install()
        await meters.lab.put(BLOCKS, json={"size": 100})
        await send_all(meters, frames[:1])
        await forget()
        shown = await meters.get(BLOCKS)
        assert (shown["hearing"], shown["size"]) == ([], 1200)


async def scrap(meters: Running) -> None:
    await meters.lab.delete(f"/lab/devices/{DEVICE}")
    await meters.install()


async def test_nonsense_is_not_ordered(meters: Running):
    await meters.install()
    for order in ({"size": 63}, {"size": 65_536}, {"size": "100"}, {"blocks": 1}):
        assert (await meters.lab.put(BLOCKS, json=order)).status_code == 422
    assert (await meters.get(BLOCKS))["size"] == 1200
    nobody = await meters.lab.put(f"/lab/devices/{OTHER}/blocks", json={"size": 64})
    assert nobody.status_code == 404


@pytest.mark.check
async def test_a_block_is_octets_for_a_device_that_is_there(
    meters: Running, frames: tuple[bytes, ...]
):
    assert (await meters.send(frames[0])).json()["check"] == "meter.device.known"
    await meters.install()
    answer = await meters.wan.post(
        f"/devices/{DEVICE}/messages", content=frames[0], headers={"content-type": "text/plain"}
    )
    assert answer.json()["check"] == "meter.request.content_type"
    assert (await meters.get(BLOCKS))["hearing"] == []


async def answer_in_blocks(meters: Running, frames: tuple[bytes, ...], size: int = 100) -> bytes:
    """Have the device answer in blocks; its first."""
    await meters.install()
    assert (await meters.lab.put(BLOCKS, json={"size": size})).status_code == 200
    return (await send_all(meters, frames))[-1]


async def test_an_answer_longer_than_a_block_goes_in_blocks(
    meters: Running, frames: tuple[bytes, ...]
):
    said: bytes | None = await answer_in_blocks(meters, frames)
    reassembler, message, count = Reassembler(), None, 0
    while said:
        count += 1
        block = decode_block(said)
        assert (block.number, block.streaming, len(block.data) <= 100) == (count, False, True)
        message = reassembler.add(said)
        said = (await send_all(meters, [acknowledge(block.transfer, count)]))[0]
    assert message is not None
    assert decode(message).header.counter == 6001
    assert (await meters.get(BLOCKS))["saying"] == []
    assert await refused(meters) == []


async def test_a_block_of_an_answer_is_said_again_until_it_is_acknowledged(
    meters: Running, frames: tuple[bytes, ...]
):
    first = await answer_in_blocks(meters, frames)
    transfer = decode_block(first).transfer
    # The answer's first block was lost: the sender sends its last block again.
    assert await send_all(meters, [frames[-1], frames[0]]) == [first, first]
    second = (await send_all(meters, [acknowledge(transfer, 1)]))[0]
    assert decode_block(second).number == 2
    # So was the second: it acknowledges the first again, or sends again.
    assert await send_all(meters, [acknowledge(transfer, 1), frames[-1]]) == [second, second]
    # Who has lost what came before begins anew.
    assert await send_all(meters, [acknowledge(transfer, 0)]) == [first]
    assert (await meters.get(BLOCKS))["saying"][0]["acknowledged"] == 0
    assert (await meters.device())["counters"]["credentials"] == {"transitionalCoS": 6001}


async def test_an_acknowledgement_of_more_than_was_said_is_refused(
    meters: Running, frames: tuple[bytes, ...]
):
    first = await answer_in_blocks(meters, frames)
    blocks = (await meters.get(BLOCKS))["saying"][0]["blocks"]
    too_many = acknowledge(decode_block(first).transfer, blocks + 1)
    assert await send_all(meters, [too_many]) == [b""]
    assert await refused(meters) == ["meter.block.acknowledgement"]
    await meters.switch("meter.block.acknowledgement", enabled=False)
    await send_all(meters, [too_many])
    assert (await meters.get(BLOCKS))["saying"] == []


@pytest.mark.check
async def test_an_answer_nobody_asks_for_is_given_up(meters: Running, frames: tuple[bytes, ...]):
    await answer_in_blocks(meters, frames)
    meters.service.base.clock.set(NOW + timedelta(seconds=LIMITS.seconds + 1))
    assert await send_all(meters, frames[-1:]) == [b""]
    assert await refused(meters) == ["meter.block.new"]


@pytest.mark.check
async def test_the_smaller_block_size_of_both_counts(meters: Running, command: bytes):
    await meters.install()
    said = (await send_all(meters, split(command, 200)))[-1]
    assert len(decode_block(said).data) == 200


@pytest.mark.check
async def test_a_whole_command_is_answered_whole(meters: Running, command: bytes):
    await meters.install()
    await meters.lab.put(BLOCKS, json={"size": 64})
    assert decode((await meters.send(command)).content).header.cra is Cra.RESPONSE


@pytest.mark.check
async def test_a_device_says_only_so_many_answers_at_once(meters: Running, estate: Estate):
    await meters.install()
    await meters.lab.put(BLOCKS, json={"size": 100})
    for counter in range(6001, 6007):
        await send_all(meters, split(estate.command(counter=counter).data, SIZE))
    saying = (await meters.get(BLOCKS))["saying"]
    assert [one["reference"].rpartition(":")[2] for one in saying] == [
        "6003",
        "6004",
        "6005",
        "6006",
    ]


async def pending(meters: Running, estate: Estate) -> None:
    """A Command for ten minutes from now."""
    later = (NOW + timedelta(minutes=10)).strftime("%Y%m%d%H%M%SZ")
    dated = estate.command().with_fields(execution_date_time=later)
    assert (await meters.send(dated.data)).status_code == 200


async def test_an_alert_longer_than_a_block_goes_in_blocks(meters: Running, estate: Estate):
    await meters.install()
    await meters.lab.put(BLOCKS, json={"size": 100})
    await pending(meters, estate)
    meters.alert_status = 204
    meters.service.base.clock.set(NOW + timedelta(minutes=10))
    await meters.settled()
    assert len(meters.alerts) > 2
    reassembler = Reassembler()
    message = [reassembler.add(frame) for frame in meters.alerts][-1]
    assert message is not None
    assert decode_alert(decode(message).payload).outcome.authorising_counter == 6001


@pytest.mark.parametrize(
    ("status", "again"), [(409, True), pytest.param(403, False, marks=pytest.mark.check)]
)
async def test_an_alert_in_blocks_is_said_until_all_of_it_was_taken(
    meters: Running, estate: Estate, status: int, *, again: bool
):
    await meters.install()
    await meters.lab.put(BLOCKS, json={"size": 100})
    await pending(meters, estate)
    meters.alert_status = status
    meters.service.base.clock.set(NOW + timedelta(minutes=10))
    await meters.settled()
    (item,) = await meters.service.base.outbox.list()
    assert item["state"] == ("waiting" if again else "dead")
    assert item["lane"] == f"device:{DEVICE}"
    meters.alert_status = 204
    meters.alerts.clear()
    await meters.service.base.outbox.idle(deferred=again)
    assert bool(meters.alerts) is again


@pytest.mark.check
async def test_every_block_goes_its_own_way_through_the_network(
    meters: Running, frames: tuple[bytes, ...]
):
    """The first is lost, the second overtaken, the third twice there; the sender sends again."""
    await meters.install()
    wan = {"lose_messages": 1, "duplicate_messages": 1, "reorder_messages": 1}
    assert (await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=wan)).status_code == 200
    said = await send_all(meters, [frames[0], frames[1], frames[2]])
    assert said[0] == b""
    assert (await meters.get(f"/lab/devices/{DEVICE}/wan"))["on_the_way"] in (0, 1)
    rest = await send_all(meters, [*frames[2:], *frames])
    assert any(one and not one.startswith(b"\xdd\x09") for one in rest)
    assert await supplier(meters) == SUPPLIER_B
    counters = (await meters.device())["counters"]
    assert counters["credentials"] == {"transitionalCoS": 6001}


@pytest.mark.check
async def test_a_block_that_comes_late_completes_the_message_late(
    meters: Running, frames: tuple[bytes, ...]
):
    """The answer has nobody to go back to by then: it goes where Alerts go."""
    await meters.install()
    wan = {"delay_messages": 1, "delay_seconds": 60}
    await meters.lab.put(f"/lab/devices/{DEVICE}/wan", json=wan)
    said = await send_all(meters, frames)
    assert [acknowledged(one) for one in said[1:]] == [0] * (len(frames) - 1)
    assert await supplier(meters) == SUPPLIER_A
    meters.service.base.clock.set(NOW + timedelta(seconds=60))
    while not meters.alerts:
        meters.alerted.clear()
        await asyncio.wait_for(meters.alerted.wait(), 10)
    assert decode(meters.alerts[0]).header.counter == 6001
    assert await supplier(meters) == SUPPLIER_B


@pytest.mark.check
async def test_two_senders_at_once_have_it_done_once(meters: Running, frames: tuple[bytes, ...]):
    await meters.install()
    said = await asyncio.gather(*(meters.send(f) for f in (*frames, *frames, *frames)))
    whole = [one.content for one in said if one.content and one.content[:2] != b"\xdd\x09"]
    assert len(whole) == 1
    assert await supplier(meters) == SUPPLIER_B


def test_an_answer_belongs_to_the_transfer_turned_round(estate: Estate):
    command = transfer_of(decode(estate.command().data))
    assert command.back.back == command
    assert command.reference == f"{TCOS}:{DEVICE}:6001"
    assert encode_block(Block(command.back, 0, b"", last=True, acknowledged=2)) == acknowledge(
        command, 2
    )
