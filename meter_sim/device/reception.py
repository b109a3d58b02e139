"""Checks made before a device hears anything: is there one, and are these octets?

These belong to the simulated WAN, not to a device, so they answer with problem documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.chassis.checks import Check, CheckFailed

SECTION = "reception"
OCTETS: Final = "application/octet-stream"
"""The media type of GBCS messages."""


@dataclass(frozen=True, slots=True)
class Reception:
    """What is known of a request before its body is looked at."""

    known: bool
    content_type: str


def _known(reception: Reception) -> None:
    if not reception.known:
        raise CheckFailed("no device with this EUI-64 is installed here")


def _content_type(reception: Reception) -> None:
    media_type = reception.content_type.partition(";")[0].strip().lower()
    if media_type != OCTETS:
        raise CheckFailed("a device hears octets only", OCTETS, media_type[:60] or "none")


DEVICE_KNOWN = Check(
    "meter.device.known",
    "The device is installed here",
    "reconstruction: the WAN reaches devices by EUI-64",
    _known,
    status=404,
    section=SECTION,
)
CONTENT_TYPE = Check(
    "meter.request.content_type",
    "What is sent to a device is octets",
    "reconstruction: RFC 9110 15.5.16",
    _content_type,
    status=415,
    section=SECTION,
)

RECEPTION_CHECKS = (DEVICE_KNOWN, CONTENT_TYPE)
