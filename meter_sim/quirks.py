"""The oddities of real devices that the meters can be told to have (domain facts 12).

``non-minimal-lengths``: 18 of the published Responses and Alerts, the 6.23 Response and the 8F66
Alert among them, write lengths of 128 to 255 octets as `82 00 xx`, which is BER and not DER. With
the quirk on, so do our devices in what they say of CS02a, CS02b, CS02f and CS02g, and sign that.
"""

from __future__ import annotations

from typing import Final

from gbcs.octets import Octets, length_octets
from services.chassis.quirks import Quirk

NON_MINIMAL_LENGTHS: Final = "non-minimal-lengths"

QUIRKS: Final = (
    Quirk(
        NON_MINIMAL_LENGTHS,
        "Responses and Alerts write SEQUENCE lengths of 128 to 255 octets as 82 00 xx",
        "RTDS 4.5.0, 18 vectors; domain facts 12",
    ),
)

_CONSTRUCTED = 0x20


def with_long_lengths(payload: bytes) -> bytes:
    """The same value with every constructed length of 128 to 255 octets written as `82 00 xx`.

    Args:
        payload: DER, as our own encoders write it.

    Raises:
        gbcs.errors.ParseError: it is not.
    """
    octets = Octets(payload)
    written = b""
    while octets.left:
        tag = octets.octet("tag")
        content = octets.take(octets.length("payload"), "payload")
        if tag & _CONSTRUCTED:
            content = with_long_lengths(content)
        written += bytes((tag,)) + _length(len(content), constructed=bool(tag & _CONSTRUCTED))
        written += content
    return written


def _length(length: int, *, constructed: bool) -> bytes:
    if constructed and 0x80 <= length <= 0xFF:
        return b"\x82" + length.to_bytes(2, "big")
    return length_octets(length)
