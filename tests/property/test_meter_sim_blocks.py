"""Whatever befalls blocks on their way, the exact message is obeyed once or nothing changes."""

from __future__ import annotations

import asyncio
import tempfile
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from gbcs.block_transfer import Block, decode_block, encode_block, is_block, split
from gbcs.codes import Cra
from gbcs.message import decode
from meter_sim.checks import BLOCK
from meter_sim.device.rules.block import LIMITS
from tests.unit.meter_sim.estate import DEVICE, SUPPLIER_A, SUPPLIER_B, Estate
from tests.unit.meter_sim.running import Running

ESTATE = Estate()
COMMAND = ESTATE.command().data
SIZE = 400
FRAMES = split(COMMAND, SIZE)
SUPPLIER = "supplier/digitalSignature/management"
NAMES = {check.id for check in BLOCK} | {"meter.counter", "meter.mac", "meter.inner"}
NAMES |= {"meter.frame", "meter.signature"}

arrivals = st.lists(st.sampled_from(FRAMES), max_size=4 * len(FRAMES))
"""Some of them, in any order, any of them any number of times: loss, disorder, repeats."""


@st.composite
def foreign(draw: Any) -> bytes:
    """A frame of a stranger's: an honest one with one thing changed, or octets changed."""
    frame = draw(st.sampled_from(FRAMES))
    block = decode_block(frame)
    kind = draw(st.sampled_from(["data", "number", "last", "transfer", "octets", "acknowledged"]))
    changes: dict[str, Any] = {}
    if kind == "octets":
        at = draw(st.integers(0, len(frame) - 1))
        return frame[:at] + bytes((frame[at] ^ draw(st.integers(1, 255)),)) + frame[at + 1 :]
    if kind == "data":
        changes["data"] = draw(st.binary(max_size=2 * SIZE))
    elif kind == "number":
        changes["number"] = draw(st.integers(0, LIMITS.blocks + 2))
    elif kind == "last":
        changes["last"] = not block.last
    elif kind == "acknowledged":
        changes = {"number": 0, "data": b"", "acknowledged": draw(st.integers(0, 9))}
    else:
        counter = draw(st.integers(0, LIMITS.open_transfers - 2))  # so that there is room
        changes["transfer"] = replace(
            block.transfer, counter=counter, cra=draw(st.sampled_from(Cra))
        )
    return encode_block(Block(**{**{f: getattr(block, f) for f in Block.__slots__}, **changes}))


async def sent(frames: list[bytes], folder: Path) -> None:
    """Send them, then the honest blocks as a sender does who has heard nothing."""
    meters = await Running.start(ESTATE, folder)
    try:
        await meters.install()
        said = [(await meters.send(frame)).content for frame in frames]
        await judge(meters, said, whole=False)
        said += [(await meters.send(frame)).content for frame in (*FRAMES, *FRAMES)]
        await judge(meters, said, whole=True)
    finally:
        await meters.stop()


async def judge(meters: Running, said: list[bytes], *, whole: bool) -> None:
    """Changed by the exact message once and answered once, or as it was; refusals have names."""
    answers = [one for one in said if one and not is_block(one)]
    device = await meters.device()
    entries = (await meters.get(f"/lab/devices/{DEVICE}/trace"))["entries"]
    obeyed = [b64decode(one["heard"]) for one in entries if one["kind"] == "answered"]
    assert obeyed == [COMMAND] * len(obeyed)
    assert len(obeyed) == len(answers) <= 1
    assert device["cells"][SUPPLIER]["subject"] == (SUPPLIER_B if obeyed else SUPPLIER_A)
    assert device["counters"]["credentials"] == ({"transitionalCoS": 6001} if obeyed else {})
    assert {decode(one).header.counter for one in answers} <= {6001}
    assert {one["refused"]["check"] for one in entries if one["kind"] == "refused"} <= NAMES
    shown = await meters.get(f"/lab/devices/{DEVICE}/blocks")
    assert len(shown["hearing"]) <= LIMITS.open_transfers
    assert all(one["octets"] <= LIMITS.message_octets for one in shown["hearing"])
    if whole:
        assert obeyed, "nobody without keys keeps the true message away, while there is room"


@settings(max_examples=examples(4), deadline=None)
@given(arrivals)
def test_loss_repeats_and_disorder(frames: list[bytes]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(sent(frames, Path(folder)))


@pytest.mark.check
@pytest.mark.timeout(300)
@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.one_of(st.sampled_from(FRAMES), foreign()), max_size=3 * len(FRAMES)))
def test_with_a_stranger_among_them(frames: list[bytes]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(sent(frames, Path(folder)))
