"""Wireshark's own dissector takes apart what we write."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gbcs.alerts import GenericAlert, encode_generic_alert
from gbcs.block_transfer import split
from gbcs.codes import Cra, CredentialsReplacementMode, RemotePartyRole, StatusCode
from gbcs.credentials import (
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
from gbcs.date_time import to_date_time
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.protect import add_mac

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
    out = subprocess.run(
        [tshark, "-n", "-r", capture, "-T", "fields", "-E", "separator=|", *wanted],
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
    event = GenericAlert.at(0x8F3D, datetime(2026, 1, 2, tzinfo=UTC))
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
