"""The outer frame and the inner message, looked at apart so that each refusal has its own name.

Layout: docs/sources.md#message-layout. `check_frame` is strict about the general-ciphering header;
what is inside is read by `gbcs.message.decode`. A device whose frame check is off goes on with
`open_frame` alone, which takes the length at its word and ignores the zero fields and whatever
follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gbcs.errors import ParseError
from gbcs.message import MAC_HEADER_START, MAC_LENGTH, SECURITY_HEADER, SIGNING_TAG, Message, decode
from gbcs.octets import Octets, length_octets

MESSAGES_READ = 256


@lru_cache(maxsize=MESSAGES_READ)
def message_of(data: bytes) -> Message:
    """The message of these octets. Pure, and asked more than once about each: kept.

    Raises:
        ParseError: they are not exactly one.
    """
    return decode(data)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a frame carries: the general-signing message, and its MAC if it is ciphered."""

    inner: bytes
    mac: bytes | None

    def message(self) -> Message:
        """The message inside.

        Raises:
            ParseError: it is not exactly one.
        """
        if self.mac is None:
            return message_of(self.inner)
        size = length_octets(len(SECURITY_HEADER) + len(self.inner) + len(self.mac))
        return message_of(MAC_HEADER_START + size + SECURITY_HEADER + self.inner + self.mac)

    def with_any_tag(self) -> Frame:
        """The frame as if its inner tag were right."""
        return Frame(bytes((SIGNING_TAG,)) + self.inner[1:], self.mac)


def check_frame(data: bytes) -> None:
    """Demand that the MAC header, if there is one, is the fixed one and counts what follows.

    Raises:
        ParseError: it does not, or there are no octets at all.
    """
    if not data:
        raise ParseError("no octets at all", 0)
    if data[:1] != MAC_HEADER_START[:1]:
        return
    octets = Octets(data)
    octets.expect(MAC_HEADER_START, "MAC header")
    at = octets.at
    length = octets.length("MAC header")
    if length != octets.left:
        raise ParseError(f"MAC header: says {length} octets follow, {octets.left} do", at)
    octets.expect(SECURITY_HEADER, "security header")
    if octets.left < MAC_LENGTH:
        raise ParseError("no room for a MAC", octets.at)


def open_frame(data: bytes) -> Frame:
    """Take off the MAC header and the MAC, if they are there, whatever the header says else.

    Raises:
        ParseError: there is too little to be a frame.
    """
    if data[:1] != MAC_HEADER_START[:1]:
        return Frame(data, None)
    octets = Octets(data, len(MAC_HEADER_START))
    length = octets.any_length("MAC header")
    body = Octets(octets.take(min(length, octets.left), "message"))
    body.take(len(SECURITY_HEADER), "security header")
    inner = body.take(max(0, body.left - MAC_LENGTH), "message")
    return Frame(inner, body.take(MAC_LENGTH, "MAC"))
