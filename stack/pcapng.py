"""A capture file that Wireshark dissects as GBCS.

GBCS has no port of its own in Wireshark, so each message is written as an exported PDU: a packet
of link type 252 that begins with the name of the dissector to use. Layout of one packet::

    00 0C | length(2) | "gbcs_message" padded with zeros to a multiple of 4
    00 00 | 00 00                                    end of tags
    message octets

File layout: pcapng (IETF draft-ietf-opsawg-pcapng): section header, one interface description,
one enhanced packet block per message with sender and recipient as its comment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

LINKTYPE_EXPORTED_PDU = 252
TAG_DISSECTOR_NAME = 12
DISSECTOR = b"gbcs_message"
OPTION_END, OPTION_COMMENT, OPTION_TIME_RESOLUTION = 0, 1, 9


@dataclass(frozen=True)
class Packet:
    """One message of a run: when it passed, a comment for the reader, its octets."""

    at: datetime
    comment: str
    message: bytes


def pad(data: bytes) -> bytes:
    """`data` filled with zero octets to a multiple of four."""
    return data + b"\x00" * (-len(data) % 4)


def block(kind: int, body: bytes) -> bytes:
    """One pcapng block: type, total length, body, total length again."""
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def option(code: int, value: bytes) -> bytes:
    """One pcapng option: code, length, value padded to four octets."""
    return struct.pack("<HH", code, len(value)) + pad(value)


def exported_pdu(message: bytes) -> bytes:
    """The message behind the tag that names its dissector (big-endian tags)."""
    name = pad(DISSECTOR)
    return struct.pack(">HH", TAG_DISSECTOR_NAME, len(name)) + name + b"\x00" * 4 + message


def write(packets: Iterable[Packet]) -> bytes:
    """The whole capture file."""
    end = struct.pack("<HH", OPTION_END, 0)
    out = [
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(
            1,
            struct.pack("<HHI", LINKTYPE_EXPORTED_PDU, 0, 0)
            + option(OPTION_TIME_RESOLUTION, b"\x06")
            + end,
        ),
    ]
    for packet in packets:
        data = exported_pdu(packet.message)
        micros = int(packet.at.timestamp() * 1_000_000)
        out.append(
            block(
                6,
                struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(data), len(data))
                + pad(data)
                + option(OPTION_COMMENT, packet.comment.encode())
                + end,
            )
        )
    return b"".join(out)
