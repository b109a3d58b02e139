"""Taking apart a message of the usual form, in one go.

Nearly every message is written in one form: lengths minimal, at most two length octets, nothing
missing. That form is recognised here as a whole, by comparing what is fixed and computing what is
counted. Whatever differs anywhere, right or wrong, is left to the reader that goes octet by octet
and can say where a fault is (gbcs.message): nothing is refused here.

Layout: see gbcs.message.
"""

from __future__ import annotations

from struct import Struct

MAC_HEADER_START = bytes.fromhex("dd000000000000")
"""general-ciphering with six empty fields."""

SECURITY_HEADER = bytes.fromhex("1100000000")
"""Security control 0x11 (authentication only), invocation counter 0."""

SIGNING_TAG = 0xDF
MAC_LENGTH = 12
SIGNATURE_LENGTH = 64

HEAD = Struct(">HBQB8sB8sB")
"""DF 09, CRA, originator counter, 08, originator, 08, recipient, length of the date-time."""
HEAD_START = SIGNING_TAG << 8 | 9
_DATE_TIME_LENGTH = 12


Parts = tuple[
    int, int, bytes, bytes, bytes | None, int, int, bytes, bytes, bytes | None, bytes | None
]
"""CRA, counter, originator, recipient, date-time; where the other information begins and ends;
grouping header and payload together, payload, signature, MAC."""


def usual_parts(data: bytes) -> Parts | None:
    """The parts of a message of the usual form; None if it is not of that form.

    Only the other information is still to be judged: it may be of any length and content.
    """
    size = len(data)
    start, end, mac = 0, size, None
    if data[:7] == MAC_HEADER_START:
        start, left = _length(data, 7)
        if left < 0 or start + left != size or data[start : start + 5] != SECURITY_HEADER:
            return None
        start += len(SECURITY_HEADER)
        end = size - MAC_LENGTH
        mac = data[end:]
    at = start + HEAD.size
    if at >= end:
        return None
    tag, cra, counter, eight, originator, another, recipient, dated = HEAD.unpack_from(data, start)
    if tag != HEAD_START or eight != 8 or another != 8 or not 1 <= cra <= 3:
        return None
    date_time = None
    if dated:
        if dated != _DATE_TIME_LENGTH:
            return None
        date_time = data[at : at + _DATE_TIME_LENGTH]
        at += _DATE_TIME_LENGTH
    other, length = _length(data, at)
    if length < 0 or other + length >= end:
        return None
    other_end = other + length
    at, length = _length(data, other_end)
    payload_end = at + length
    if length < 0 or payload_end > end:
        return None
    left = end - payload_end
    if left == 1 + SIGNATURE_LENGTH and data[payload_end] == SIGNATURE_LENGTH:
        signature = data[payload_end + 1 : end]
    elif left == 1 and data[payload_end] == 0:
        signature = b""
    elif left == 0 and mac is None:
        signature = None
    else:
        return None
    return (
        cra,
        counter,
        originator,
        recipient,
        date_time,
        other,
        other_end,
        data[start:payload_end],
        data[at:payload_end],
        signature,
        mac,
    )


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Where what follows a minimal length of at most two octets begins, and the length; or -1."""
    try:
        first = data[at]
        if first < 0x80:
            return at + 1, first
        if first == 0x82:
            length = data[at + 1] << 8 | data[at + 2]
            return at + 3, length if length > 0xFF else -1
        if first == 0x81:
            length = data[at + 1]
            return at + 2, length if length > 0x7F else -1
    except IndexError:
        pass
    return at, -1
