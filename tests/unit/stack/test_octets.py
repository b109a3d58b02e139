"""The forms in which people have octets."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.app import app
from gbcs.codes import Cra
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from stack.octets import NotOctets, octets_of

MESSAGE = encode(
    Message(
        GroupingHeader(
            Cra.COMMAND, 7, "90b3d51f30010000", "00db1234567890a0", OtherInformation(0x0027)
        ),
        bytes(range(40)),
        b"",
    )
)


def xxd(octets: bytes, size: int = 2) -> str:
    """What `xxd -g SIZE` prints."""
    lines = []
    for at in range(0, len(octets), 16):
        line = octets[at : at + 16]
        columns = " ".join(line[i : i + size].hex() for i in range(0, len(line), size))
        text = "".join(chr(o) if 32 <= o < 127 else "." for o in line)
        lines.append(f"{at:08x}: {columns:<39}  {text}")
    return "\n".join(lines) + "\n"


def wrapped(text: str, width: int) -> str:
    return "\n".join(text[at : at + width] for at in range(0, len(text), width)) + "\n"


FORMS = {
    "binary": MESSAGE,
    "hex": MESSAGE.hex().encode(),
    "upper case, wrapped": wrapped(MESSAGE.hex().upper(), 60).encode(),
    "spaces": MESSAGE.hex(" ").encode(),
    "colons": MESSAGE.hex(":").upper().encode(),
    "0x": b"0x" + MESSAGE.hex().encode(),
    "each 0x": ", ".join(f"0x{o:02x}" for o in MESSAGE).encode(),
    "escaped": "".join(f"\\x{o:02x}" for o in MESSAGE).encode(),
    "xxd": xxd(MESSAGE).encode(),
    "xxd -g1": xxd(MESSAGE, 1).encode(),
    "base64": base64.b64encode(MESSAGE),
    "base64, wrapped": wrapped(base64.b64encode(MESSAGE).decode(), 64).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_octets(form: str):
    assert octets_of(FORMS[form]) == MESSAGE


@given(st.binary(min_size=1, max_size=80))
def test_hex_dumps_and_base64_of_any_message(octets: bytes):
    message = b"\xdf\x09" + octets  # as every message begins; with others base64 may be hex too
    for text in (message.hex(" ", 2), xxd(message), base64.b64encode(message).decode()):
        assert octets_of(text.encode()) == message


@given(st.text(max_size=60))
def test_any_other_text_is_refused_or_read(text: str):
    with contextlib.suppress(NotOctets):
        octets_of(text.encode())


@pytest.mark.parametrize("form", FORMS)
def test_decode_reads_them_and_names_what_it_does_not_read(form: str, tmp_path: Path):
    source = tmp_path / "message"
    source.write_bytes(FORMS[form])
    told = CliRunner().invoke(app, ["gbcs", "decode", "--json", str(source)])
    assert told.exit_code == 0
    shown = json.loads(told.stdout)
    assert shown["use_case"] == "ECS17b (4.1.1)"
    assert (shown["payload_read"], shown["reencoded_identical"]) == (False, True)
    plain = CliRunner().invoke(app, ["gbcs", "decode", str(source)])
    assert "not read: this use case is not spoken here" in plain.stdout
    assert "re-encode" not in plain.stdout


def test_a_payload_that_is_not_what_its_code_says_is_not_read_and_not_called_different(
    tmp_path: Path,
):
    source = tmp_path / "message.hex"
    source.write_text(MESSAGE.replace(b"\x02\x00\x27", b"\x02\x01\x07").hex())
    plain = CliRunner().invoke(app, ["gbcs", "decode", str(source)])
    assert plain.exit_code == 1
    assert "payload not read:" in plain.stdout
    assert "re-encode" not in plain.stdout
