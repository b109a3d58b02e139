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


def as_written(payload: bytes, *, long_lengths: bool = False, default: bool = False) -> bytes:
    """The same value as a device with these quirks writes it.

    Args:
        payload: DER, as our own encoders write it.
        long_lengths: every constructed length of 128 to 255 octets becomes `82 00 xx`.
        default: the cell usage management is written out after each key usage.

    Raises:
        gbcs.errors.ParseError: it is not DER.
    """
    octets = Octets(payload)
    values: list[bytes] = []
    while octets.left:
        tag = octets.octet("tag")
        content = octets.take(octets.length("payload"), "payload")
        if tag & _CONSTRUCTED:
            content = as_written(content, long_lengths=long_lengths, default=default)
        if default and tag != _INTEGER and _is_key_usage(values):
            values.append(_MANAGEMENT)
        length = length_octets(len(content))
        if long_lengths and tag & _CONSTRUCTED and 0x80 <= len(content) <= 0xFF:
            length = b"\x82" + len(content).to_bytes(2, "big")
        values.append(bytes((tag,)) + length + content)
    if default and _is_key_usage(values):
        values.append(_MANAGEMENT)
    return b"".join(values)


def _is_key_usage(values: list[bytes]) -> bool:
    return bool(values) and values[-1][0] == _BIT_STRING
