"""Blocks as objects a person can read and edit, and back; several put together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from gbcs.block_transfer import acknowledge, cut, decode_block, encode_block, first_frame, split
from gbcs.errors import EncodeError, ParseError
from gbcs.message import Message, encode
from gbcs.text.blocks import put_together
from gbcs.text.describe import build, describe


@pytest.fixture
def octets(command: Message) -> bytes:
    return encode(command)


@pytest.fixture
def frames(octets: bytes) -> tuple[bytes, ...]:
    return split(octets, 300)


def test_a_block_is_shown_and_written_again(frames: tuple[bytes, ...], command: Message):
    shown = describe(frames[1])
    assert shown["block"] == {
        "number": 2,
        "last": False,
        "streaming": True,
        "window": 0,
        "acknowledged": 0,
        "invocation_counter": 0,
        "data": decode_block(frames[1]).data.hex(),
    }
    assert (shown["message_code"], shown["cra"]) == ("0x0107", "command")
    assert shown["originator_counter"] == command.header.counter
    assert shown["reencoded_identical"] is True
    assert "signature" not in shown
    assert build(json.loads(json.dumps(shown))) == frames[1]


def test_an_acknowledgement_is_shown_and_written_again(frames: tuple[bytes, ...]):
    said = acknowledge(decode_block(frames[0]).transfer, 2)
    shown = describe(said)
    assert (shown["block"]["data"], shown["block"]["acknowledged"]) == ("", 2)
    assert build(shown) == said


@pytest.mark.parametrize(
    "changes",
    [
        {"last": 1},
        {"number": -1},
        {"number": 1 << 16},
        {"data": "xx"},
        {"more": 1},
        {"window": None},
    ],
)
def test_what_is_no_description_of_a_block_is_refused(frames: tuple[bytes, ...], changes: Any):
    shown = describe(frames[0])
    with pytest.raises(EncodeError):
        build({**shown, "block": {**shown["block"], **changes}})
    with pytest.raises(EncodeError):
        build({**shown, "signature": "absent"})


def test_frames_that_follow_each_other_are_cut(frames: tuple[bytes, ...]):
    assert cut(b"".join(frames)) == frames
    assert first_frame(frames[0] + b"whatever") == frames[0]
    for wrong in (b"", b"".join(frames)[:-1], frames[0] + b"\x00", b"nonsense"):
        with pytest.raises(ParseError):
            cut(wrong)


def test_blocks_are_put_together(octets: bytes, frames: tuple[bytes, ...]):
    transfer = decode_block(frames[0]).transfer
    said = acknowledge(transfer, 1)
    assert put_together([*reversed(frames), frames[0], said]).message == octets
    assert put_together([frames[0], frames[3]]).missing == (2, 3)
    assert put_together([said]) == put_together([])
    other = encode_block(replace(decode_block(frames[1]), transfer=replace(transfer, counter=1)))
    with pytest.raises(ParseError, match="blocks of 2 messages"):
        put_together([frames[0], other])
    with pytest.raises(ParseError, match="other data"):
        put_together([frames[0], encode_block(replace(decode_block(frames[0]), data=b"x"))])


def cos(*words: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["gbcs", *words], input=text)


def test_the_command_shows_a_block_and_the_message_that_blocks_make(
    octets: bytes, frames: tuple[bytes, ...], tmp_path: Path
):
    files = []
    for number, frame in enumerate(frames):
        path = tmp_path / f"{number}.{'hex' if number else 'bin'}"
        path.write_bytes(frame.hex().encode() if number else frame)
        files.append(str(path))
    alone = cos("decode", files[1])
    assert alone.exit_code == 0, alone.output
    assert "number" in alone.output
    together = cos("decode", *files, "--json")
    assert together.exit_code == 0, together.output
    told = json.loads(together.output)
    assert told.pop("came_in_blocks") == len(frames)
    assert told == describe(octets)
    assert "blocks" in cos("decode", *files).output
    some = cos("decode", files[0], files[2])
    assert some.exit_code == 0
    assert "missing: 2" in some.output
    last_missing = json.loads(cos("decode", *files[:2], "--json").output)
    assert (len(last_missing["blocks"]), last_missing["missing"]) == (2, [])


def test_the_command_writes_blocks(octets: bytes, tmp_path: Path):
    described = describe(octets)
    for words, more in (((), {"blocks": 500}), (("--blocks", "500"), {})):
        made = cos("build", "-", *words, text=json.dumps({**described, **more}))
        assert made.exit_code == 0, made.output
        assert [bytes.fromhex(line) for line in made.output.split()] == list(split(octets, 500))
        assert json.loads(cos("decode", "-", "--json", text=made.output).output)["payload"]
    binary = cos("build", "-", "--binary", "--blocks", "500", text=json.dumps(described))
    (tmp_path / "blocks").write_bytes(binary.stdout_bytes)
    assert cos("decode", str(tmp_path / "blocks")).exit_code == 0


@pytest.mark.parametrize("size", ['"5"', "0", "true"])
def test_the_command_writes_no_nonsense(octets: bytes, size: str):
    described = {**describe(octets), "blocks": json.loads(size)}
    assert cos("build", "-", text=json.dumps(described)).exit_code == 2
    assert cos("build", "-", text="5").exit_code == 2


def test_the_command_takes_one_message(octets: bytes, frames: tuple[bytes, ...], tmp_path: Path):
    files = [tmp_path / "whole", tmp_path / "block", tmp_path / "broken"]
    for path, data in zip(files, (octets, frames[0], frames[0][:50]), strict=True):
        path.write_bytes(data)
    for wrong in ((files[0], files[0]), (files[0], files[1]), (files[2],)):
        assert cos("decode", *map(str, wrong)).exit_code == 2
