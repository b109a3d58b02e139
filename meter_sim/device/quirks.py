"""The oddities of real devices that the meters can be told to have.

Source: docs/sources.md#devices-as-they-are.

``non-minimal-lengths``: 18 of the published Responses and Alerts, the 6.23 Response and the 8F66
Alert among them, write lengths of 128 to 255 octets as `82 00 xx`, which is BER and not DER. With
the quirk on, so do our devices in what they say of CS02a, CS02b, CS02f and CS02g, and sign that.

``default-written-out``: a DEFAULT value, the cell usage management, is written (`02 01 00`) where
DER leaves it out. With the quirk on, our devices write it in the same Responses and Alerts.
"""

from __future__ import annotations

from typing import Final

from gbcs.octets import Octets, length_octets
from services.chassis.faults.quirks import Quirk

NON_MINIMAL_LENGTHS: Final = "non-minimal-lengths"
DEFAULT_WRITTEN_OUT: Final = "default-written-out"

QUIRKS: Final = (
    Quirk(
        NON_MINIMAL_LENGTHS,
        "Responses and Alerts write SEQUENCE lengths of 128 to 255 octets as 82 00 xx",
        "RTDS 4.5.0, 18 vectors; docs/sources.md#devices-as-they-are",
    ),
    Quirk(
        DEFAULT_WRITTEN_OUT,
        "Responses and Alerts write the cell usage management, which is its DEFAULT",
        "reported of real devices (a CS02a Response); reconstruction",
    ),
)

_CONSTRUCTED = 0x20
_BIT_STRING, _INTEGER = 0x03, 0x02
_MANAGEMENT = bytes.fromhex("020100")


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


def with_default_written(payload: bytes) -> bytes:
    """The same value with the cell usage management written out after each key usage.

    Args:
        payload: DER, as our own encoders write it.

    Raises:
        gbcs.errors.ParseError: it is not.
    """
    octets = Octets(payload)
    values: list[bytes] = []
    while octets.left:
        tag = octets.octet("tag")
        content = octets.take(octets.length("payload"), "payload")
        if tag & _CONSTRUCTED:
            content = with_default_written(content)
        if values and values[-1][0] == _BIT_STRING and tag != _INTEGER:
            values.append(_MANAGEMENT)
        values.append(bytes((tag,)) + length_octets(len(content)) + content)
    if values and values[-1][0] == _BIT_STRING:
        values.append(_MANAGEMENT)
    return b"".join(values)


def _length(length: int, *, constructed: bool) -> bytes:
    if constructed and 0x80 <= length <= 0xFF:
        return b"\x82" + length.to_bytes(2, "big")
    return length_octets(length)
