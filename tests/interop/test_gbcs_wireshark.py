"""Wireshark's own dissector takes apart what we write: one of every kind (tests.interop.emissions).

Its expert infos are held against those that the published vectors raise: none, but for
Pre-Commands, which it calls malformed because a signature is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gbcs.block_transfer import acknowledge, split, transfer_of
from gbcs.codes import Cra, CredentialsReplacementMode, MessageCode, RemotePartyRole, StatusCode
from gbcs.date_time import to_date_time
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.alerts import GenericAlert, encode_generic_alert
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsOutcome,
    CredentialsResponse,
    Replacement,
    SeqNumberChange,
    UpdateCredentials,
    encode_response,
    encode_update,
)
from gbcs.protect import add_mac
from tests.interop import emissions
from tests.interop.emissions import Said
from tests.unit.acb.world import plain_logs
from tests.unit.meter_sim.estate import Estate

pytestmark = pytest.mark.check

EXPORTED_PDU = "252"
COS_PARTY, METER = "0253494d00000005", "0253494dd0000001"
CELL = CellId.from_name("supplier/digitalSignature/management")
CERTIFICATE = b"\x30\x82\x01\x2c\x04\x82\x01\x28" + bytes(296)
HEADER = GroupingHeader(Cra.COMMAND, 2**63, COS_PARTY, METER, OtherInformation(0x0107))
UPDATE = UpdateCredentials(
    CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS,
    2**62,
    CellId.from_name("transitionalCoS/digitalSignature/management"),
    (Replacement(CERTIFICATE, CELL),) * 3,
    (CERTIFICATE,),
    other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 0),),
)
COMMAND = add_mac(Message(HEADER, encode_update(UPDATE), bytes(range(64))), bytes(32))


@pytest.fixture(scope="module")
def tools() -> tuple[str, str]:
    """text2pcap and tshark."""
    found = (shutil.which("text2pcap"), shutil.which("tshark"))
    if None in found:
        pytest.skip("tshark and text2pcap are not installed: apt-get install tshark")
    return str(found[0]), str(found[1])


def dissect(
    tools: tuple[str, str], folder: Path, octets: list[bytes], *fields: str
) -> list[list[str]]:
    """The fields of each message, as tshark reads them."""
    text = folder / "messages.txt"
    capture = folder / "messages.pcap"
    lines = []
    for message in octets:
        lines.extend(
            f"{at:06x} {message[at : at + 16].hex(' ')}" for at in range(0, len(message), 16)
        )
        lines.append("")
    text.write_text("\n".join(lines))
    text2pcap, tshark = tools
    nobody = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    subprocess.run(
        [text2pcap, "-q", "-P", "gbcs_message", "-l", EXPORTED_PDU, text, capture],
        check=True,
        capture_output=True,
    )
    wanted = [part for field in fields for part in ("-e", field)]
    layout = ("-T", "fields", "-E", "separator=|", "-E", "aggregator=;")
    out = subprocess.run(
        [tshark, "-n", "-r", capture, *layout, *wanted],
        check=True,
        capture_output=True,
        text=True,
        env=nobody,
    )
    return [line.split("|") for line in out.stdout.splitlines()]


FIELDS = (
    "gbcs_message.grouping_header.cra_flag",
    "gbcs_message.grouping_header.originator_counter",
    "gbcs_message.grouping_header.business_originator_id",
    "gbcs_message.grouping_header.business_target_id",
    "gbcs_message.grouping_header.message_code",
    "gbcs_message.krp",
    "gbcs_message.mac",
    "_ws.malformed",
)


def eui(entity: str) -> str:
    """As tshark writes an EUI-64."""
    return ":".join(entity[at : at + 2] for at in range(0, 16, 2))


def test_a_command_is_dissected(tools: Any, tmp_path: Any):
    assert COMMAND.signature is not None
    assert COMMAND.mac is not None
    (found,) = dissect(tools, tmp_path, [encode(COMMAND)], *FIELDS)
    assert found == [
        "0x01",
        str(2**63),
        eui(COS_PARTY),
        eui(METER),
        "0x0107",
        COMMAND.signature.hex(),
        COMMAND.mac.hex(),
        "",
    ]


def test_answers_and_alerts_are_dissected(tools: Any, tmp_path: Any):
    outcome = CredentialsOutcome(
        7,
        UPDATE.mode,
        (),
        (CellOutcome(CELL, StatusCode.SUCCESS, bytes(8), bytes(8), bytes(8), bytes(8)),) * 3,
    )
    response = Message(
        GroupingHeader(
            Cra.RESPONSE,
            7,
            METER,
            COS_PARTY,
            OtherInformation(0x0107),
            to_date_time(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ),
        encode_response(CredentialsResponse(outcome)),
        bytes(range(64)),
    )
    event = GenericAlert.at(0x8F3D, datetime(2026, 1, 2, tzinfo=UTC), 8)
    alert = Message(
        GroupingHeader(Cra.ALERT, 8, METER, COS_PARTY, OtherInformation(0x1000)),
        encode_generic_alert(event),
        bytes(range(64)),
    )
    details = ("frame.protocols", "gbcs_message.grouping_header.date_time")
    first, second = dissect(tools, tmp_path, [encode(response), encode(alert)], *FIELDS, *details)
    signature = bytes(range(64)).hex()
    assert first[:8] == [
        "0x02", "7", eui(METER), eui(COS_PARTY), "0x0107", signature, "", ""
    ]  # fmt: skip
    assert "2026" in first[9]
    assert second[:8] == [
        "0x03", "8", eui(METER), eui(COS_PARTY), "0x1000", signature, "", ""
    ]  # fmt: skip


def test_payloads_are_dissected_as_ber(tools: Any, tmp_path: Any):
    (found,) = dissect(
        tools, tmp_path, [encode(COMMAND)], "frame.protocols", "ber.length", "_ws.expert.message"
    )
    assert found[0].endswith("gbcs_message:ber")
    assert found[2] == ""


def test_dissection_would_tell_a_broken_frame(tools: Any, tmp_path: Any):
    (found,) = dissect(tools, tmp_path, [encode(COMMAND)[:-90]], "_ws.malformed")
    assert found != [""]


def test_blocks_are_dissected_and_put_together(tools: Any, tmp_path: Any):
    octets = encode(COMMAND)
    frames = split(octets, 600)
    fields = (
        "gbcs_message.gbt_header.block_number",
        "gbcs_message.gbt_header.block_control.last_block",
        "gbcs_message.gbt.reassembled.length",
        "gbcs_message.routing_header.message_code",
        "_ws.malformed",
    )
    found = dissect(tools, tmp_path, list(frames), *fields)
    assert found == [
        ["1", "0", "", "0x0107", ""],
        ["2", "0", "", "0x0107", ""],
        ["3", "1", str(len(octets)), "0x0107", ""],
    ]


EXPERT = ("_ws.expert.message", "_ws.malformed")
PRE_COMMAND = ["Malformed Packet (Exception occurred)", "[Malformed Packet: GBCS Message]"]
ALERTS = {0x00CB, 0x0124, 0x1000}  # 0x1001 can be written, but no device here says it


def experts(tools: Any, folder: Path, said: list[Said]) -> dict[str, list[str]]:
    """What the dissector remarks on each message, where it remarks anything."""
    found = dissect(tools, folder, [octets for _, octets in said], *EXPERT)
    assert len(found) == len(said)
    return {
        name: [remark.partition(";")[0] for remark in remarks]
        for (name, _), remarks in zip(said, found, strict=True)
        if any(remarks)
    }


def test_of_published_vectors_it_remarks_on_pre_commands_alone(
    tools: Any, tmp_path: Any, shared_dir: Path
):
    """What is allowed below is what these raise, no more."""
    vectors = [
        (file.stem, bytes.fromhex(file.read_text().strip()))
        for file in sorted((shared_dir / "rtds").glob("*.HEX"))
    ]
    raised = experts(tools, tmp_path, vectors)
    assert set(raised) == {name for name, _ in vectors if "_PRECOMMAND_" in name} != set()
    assert all(remarks == PRE_COMMAND for remarks in raised.values())


def kinds(said: list[Said]) -> set[tuple[int, int, bool]]:
    return {emissions.kind_of(octets) for _, octets in said}


def test_whatever_a_device_hears_or_says_raises_no_remark(tools: Any, tmp_path: Any):
    said = emissions.of_devices(Estate())
    assert experts(tools, tmp_path, said) == {}
    answered = {int(code) for code in MessageCode if code < 0x1000} - ALERTS
    expected = {(code, int(cra), False) for code in answered for cra in (Cra.COMMAND, Cra.RESPONSE)}
    expected |= {(code, int(Cra.ALERT), False) for code in ALERTS}
    assert kinds(said) == expected


async def test_whatever_the_cos_parties_sign_raises_no_remark(tools: Any, tmp_path: Any):
    said = await emissions.of_cos_parties(tmp_path)
    assert experts(tools, tmp_path, said) == {}
    assert kinds(said) == {(0x0107, int(Cra.COMMAND), False)}
    assert len(said) == 6


async def test_whatever_passes_between_broker_and_devices_raises_no_other_remark(
    tools: Any, tmp_path: Any
):
    plain_logs()
    said = await emissions.of_broker_and_meters(tmp_path)
    written = {name for name, octets in said if decode(octets).is_pre_command}
    raised = experts(tools, tmp_path, said)
    assert set(raised) == written
    assert all(remarks == PRE_COMMAND for remarks in raised.values())
    sent = {0x0008, 0x011B, 0x000A, 0x000B, 0x000C, 0x0102, 0x0107}
    signed_by_users = {0x000A, 0x000B, 0x000C, 0x0102}
    assert kinds(said) == {
        *((code, int(cra), False) for code in sent for cra in (Cra.COMMAND, Cra.RESPONSE)),
        *((code, int(Cra.COMMAND), True) for code in signed_by_users),
    }


def test_every_kind_in_blocks_raises_no_remark_and_comes_together(tools: Any, tmp_path: Any):
    """The longest of each kind that a device hears or says, in blocks of its own size."""
    longest: dict[tuple[int, int, bool], bytes] = {}
    for _, octets in emissions.of_devices(Estate()):
        kind = emissions.kind_of(octets)
        longest[kind] = max(longest.get(kind, b""), octets, key=len)
    said, last, whole = list[Said](), dict[int, int](), 0
    for kind, octets in longest.items():
        frames = emissions.in_blocks(octets, max(1, len(octets) // 3))
        said += [(f"{kind}, frame {number}", frame) for number, frame in enumerate(frames)]
        last[len(said) - 2] = len(octets)  # before the acknowledgement
        whole += 1
    assert experts(tools, tmp_path, said) == {}
    fields = ("gbcs_message.gbt.reassembled.length", "gbcs_message.gbt_header.block_number")
    found = dissect(tools, tmp_path, [octets for _, octets in said], *fields)
    together = {at: int(length) for at, (length, _) in enumerate(found) if length}
    assert together == last
    assert len(together) == whole > 25


def test_blocks_as_they_go_over_the_network_raise_no_remark(tools: Any, tmp_path: Any):
    """Each block followed by its acknowledgement; a block at a time the other way; repeats."""
    octets = encode(COMMAND)
    transfer = transfer_of(COMMAND)
    there = split(octets, 600)
    back = split(octets, 600, streaming=False)
    said = [
        (f"{way} {number}", frame)
        for way, frames in (("streamed", there), ("one by one", back), ("again", there[:1]))
        for number, block in enumerate(frames, 1)
        for frame in (block, acknowledge(transfer, number))
    ]
    assert experts(tools, tmp_path, said) == {}
    fields = "gbcs_message.gbt_header.block_number_ack", "gbcs_message.gbt_header.block_number"
    found = dissect(tools, tmp_path, [frame for _, frame in said], *fields)
    assert found[:4] == [["0", "1"], ["1", "0"], ["0", "2"], ["2", "0"]]
