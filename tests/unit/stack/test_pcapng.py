from __future__ import annotations

import shutil
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.pcapng import Packet, exported_pdu, write

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def test_every_block_says_its_length_twice() -> None:
    data = write([Packet(AT, "a to b", b"\xdf\x09"), Packet(AT, "b to a", b"\xdd" * 7)])
    at, kinds = 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        assert length % 4 == 0
        kinds.append(kind)
        at += length
    assert at == len(data)
    assert kinds == [0x0A0D0D0A, 1, 6, 6]


def test_a_packet_names_its_dissector_before_the_message() -> None:
    assert exported_pdu(b"\xdf\x01") == b"\x00\x0c\x00\x0cgbcs_message\x00\x00\x00\x00\xdf\x01"


@pytest.mark.check
def test_wireshark_reads_the_file(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    path = tmp_path / "one.pcapng"
    path.write_bytes(write([Packet(AT, "acb to meter", bytes.fromhex("df0901"))]))
    done = subprocess.run(
        [tshark, "-r", str(path), "-V"], capture_output=True, check=True, text=True
    )
    assert "Protocol Name: gbcs_message" in done.stdout
    assert "acb to meter" in done.stdout
    assert "Epoch Time: 1767323045.678901000 seconds" in done.stdout
