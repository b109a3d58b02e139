"""What devices write and DER does not allow, rewritten so that the strict reader can judge it.

Two departures are known, both in responses and alerts; nothing else is taken:

* lengths that are not minimal: 18 of the published ones write lengths of 128 to 255 octets as
  `82 00 xx` (docs/sources.md#devices-as-they-are);
* a DEFAULT value written out: `02 01 00` for the cell usage management, which follows the key
  usage, the one BIT STRING there is in what a device answers (docs/sources.md#update-payload,
  #device-credentials).

What comes out still has to pass the strict reader. Signatures and MACs are checked over the octets
as they came, never over these.
"""

from __future__ import annotations

from collections.abc import Callable

from gbcs.errors import ParseError
from gbcs.octets import Octets, length_octets

NON_MINIMAL_LENGTH = "a length in more octets than needed"
DEFAULT_WRITTEN = "a DEFAULT value written out"

_CONSTRUCTED = 0x20
_LONG = 0x80
_DEEPEST = 16
_SEQUENCE, _BIT_STRING = 0x30, 0x03
_MANAGEMENT = bytes.fromhex("020100")


def as_der(data: bytes) -> bytes:
    """The same value in DER, as far as the two departures go.

    Raises:
        ParseError: not well-formed definite-length BER with one-octet tags, or nested too deep.
    """
    return _rewritten(data, lambda _: None)


def with_short_outer_lengths(data: bytes) -> bytes | None:
    """The same value with minimal lengths on what holds 128 octets or more; None: it is not BER.

    That is where published devices write a length in too many octets, so that this alone makes DER
    of nearly all they write, at a fraction of what `as_der` costs. It takes a part of the steps
    that `as_der` takes, never another: what a strict reader accepts of the one, it accepts, as the
    same, of the other.
    """
    try:
        written, end = _shortened(data, 0, len(data), 0)
    except IndexError:
        return None
    return written if end == len(data) else None


def _shortened(data: bytes, at: int, end: int, depth: int) -> tuple[bytes, int]:
    """The value that begins here and what it ends before.

    Raises:
        IndexError: it is not of a form that is known here.
    """
    tag, size, start = data[at], data[at + 1], at + 2
    if size > _LONG:
        count = size & 0x7F
        size, start = int.from_bytes(data[start : start + count], "big"), start + count
    after = start + size
    if after > end or size == _LONG or tag & 0x1F == 0x1F or depth > _DEEPEST:
        raise IndexError
    if size < _LONG:
        return data[at:after], after
    content = data[start:after]
    if tag & _CONSTRUCTED:
        inside, within = [], start
        while within < after:
            value, within = _shortened(data, within, after, depth + 1)
            inside.append(value)
        content = b"".join(inside)
    return data[at : at + 1] + length_octets(len(content)) + content, after


def departures(data: bytes) -> tuple[str, ...]:
    """Which of the two departures there are, in words.

    Raises:
        ParseError: as `as_der`.
    """
    found: set[str] = set()
    _rewritten(data, found.add)
    return tuple(sorted(found))


def _rewritten(data: bytes, note: Callable[[str], None]) -> bytes:
    octets = Octets(data)
    written = _value(data, octets, 0, note)
    octets.end("payload")
    return written


def _value(data: bytes, octets: Octets, depth: int, note: Callable[[str], None]) -> bytes:
    """The next value, rewritten."""
    if depth > _DEEPEST:
        raise ParseError("payload: nested too deep", octets.at)
    tag = octets.octet("tag")
    if tag & 0x1F == 0x1F:
        raise ParseError("payload: tags of several octets are not used", octets.at - 1)
    at = octets.at
    length = octets.any_length("payload")
    if octets.at - at != len(length_octets(length)):
        note(NON_MINIMAL_LENGTH)
    if length > octets.left:
        raise ParseError("payload: a length runs past the end", octets.at)
    end = octets.at + length
    if not tag & _CONSTRUCTED:
        content = octets.take(length, "payload")
    else:
        within = Octets(data, octets.at, end)
        inside = []
        while within.left:
            inside.append(_value(data, within, depth + 1, note))
        if tag == _SEQUENCE:
            inside = _without_default(inside, note)
        content = b"".join(inside)
        octets.at = end
    return bytes((tag,)) + length_octets(len(content)) + content


def _without_default(values: list[bytes], note: Callable[[str], None]) -> list[bytes]:
    for at, value in enumerate(values[1:], 1):
        if value == _MANAGEMENT and values[at - 1][0] == _BIT_STRING:
            note(DEFAULT_WRITTEN)
            return values[:at] + values[at + 1 :]
    return values
