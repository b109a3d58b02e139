"""Reading octets in order, and the definite lengths of BER (X.690 8.1.3) that frame a message.

Framing lengths are minimal: below 128 one octet, else `81 xx`, `82 xx xx`, `83 ..`
(docs/sources.md#message-layout; confirmed by RTDS vectors).
"""

from __future__ import annotations

from gbcs.errors import EncodeError, ParseError

_MOST_LENGTH_OCTETS = 4


def length_octets(length: int) -> bytes:
    """The minimal BER length of `length` octets.

    Raises:
        EncodeError: more than 2^32-1.
    """
    if length < 0x80:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    if size > _MOST_LENGTH_OCTETS:
        raise EncodeError("content is too long to be framed")
    return bytes((0x80 | size,)) + length.to_bytes(size, "big")


class Octets:
    """A strict forward reader. Every refusal carries the offset it happened at."""

    __slots__ = ("_data", "_end", "at")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self._data = data
        self._end = len(data) if end is None else end
        self.at = at

    @property
    def left(self) -> int:
        """Octets not yet read."""
        return self._end - self.at

    def take(self, count: int, name: str) -> bytes:
        """The next `count` octets.

        Raises:
            ParseError: fewer are left.
        """
        if count > self.left:
            raise ParseError(f"{name}: {count} octets needed, {self.left} left", self.at)
        start = self.at
        self.at += count
        return self._data[start : self.at]

    def octet(self, name: str) -> int:
        """The next octet as a number.

        Raises:
            ParseError: none is left.
        """
        return self.take(1, name)[0]

    def number(self, count: int, name: str) -> int:
        """The next `count` octets as a big-endian number.

        Raises:
            ParseError: fewer are left.
        """
        return int.from_bytes(self.take(count, name), "big")

    def expect(self, octets: bytes, name: str) -> None:
        """Pass over exactly these octets.

        Raises:
            ParseError: others are there.
        """
        at = self.at
        if self.take(len(octets), name) != octets:
            raise ParseError(f"{name}: expected {octets.hex()}", at)

    def length(self, name: str) -> int:
        """A minimal definite BER length.

        Raises:
            ParseError: indefinite, reserved, not minimal, or cut short.
        """
        at = self.at
        length = self.any_length(name)
        if self.at - at != len(length_octets(length)):
            raise ParseError(f"{name} length: not minimal", at)
        return length

    def any_length(self, name: str) -> int:
        """A definite BER length, minimal or not.

        Raises:
            ParseError: indefinite, reserved, of more than four octets, or cut short.
        """
        at = self.at
        first = self.octet(f"{name} length")
        if first < 0x80:
            return first
        size = first & 0x7F
        if size == 0 or size > _MOST_LENGTH_OCTETS:
            raise ParseError(f"{name} length: form {first:02x} is not allowed", at)
        return self.number(size, f"{name} length")

    def end(self, name: str) -> None:
        """Be at the end.

        Raises:
            ParseError: octets are left over.
        """
        if self.left:
            raise ParseError(f"{name}: {self.left} octets left over", self.at)
