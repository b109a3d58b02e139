"""Rewriting BER lengths that are not minimal, which published responses and alerts carry.

18 of the published responses and alerts write lengths of 128 to 255 octets as `82 00 xx` (domain
facts 12). Nothing else about them departs from DER, so this rewrites lengths and touches nothing
else; what comes out still has to pass the strict reader. Signatures and MACs are checked over the
octets as they came, never over these.
"""

from __future__ import annotations

from gbcs.errors import ParseError
from gbcs.octets import Octets, length_octets

_CONSTRUCTED = 0x20
_DEEPEST = 16


def with_minimal_lengths(data: bytes) -> bytes:
    """The same value with every length of every constructed or primitive part minimal.

    Raises:
        ParseError: not well-formed definite-length BER with one-octet tags, or nested too deep.
    """
    octets = Octets(data)
    written = _rewritten(data, octets, 0)
    octets.end("payload")
    return written


def _rewritten(data: bytes, octets: Octets, depth: int) -> bytes:
    if depth > _DEEPEST:
        raise ParseError("payload: nested too deep", octets.at)
    tag = octets.octet("tag")
    if tag & 0x1F == 0x1F:
        raise ParseError("payload: tags of several octets are not used", octets.at - 1)
    length = octets.any_length("payload")
    if length > octets.left:
        raise ParseError("payload: a length runs past the end", octets.at)
    end = octets.at + length
    if not tag & _CONSTRUCTED:
        content = octets.take(length, "payload")
    else:
        inside = Octets(data, octets.at, end)
        parts = []
        while inside.left:
            parts.append(_rewritten(data, inside, depth + 1))
        content = b"".join(parts)
        octets.at = end
    return bytes((tag,)) + length_octets(len(content)) + content
