"""Checks made before a device hears anything: is there one, and are these octets?

These belong to the simulated WAN, not to a device, so they answer with problem documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meter_sim.device.model import DeviceState
from services.chassis.checks import CheckFailed, check

SECTION: Final = "reception"
OCTETS: Final = "application/octet-stream"
"""The media type of GBCS messages."""


@dataclass(frozen=True, slots=True)
class Reception:
    """What is known of a request before its body is looked at: the device, if there is one."""

    state: DeviceState | None
    content_type: str


@check(
    "meter.device.known",
    source="reconstruction: the WAN reaches devices by EUI-64",
    status=404,
    section=SECTION,
)
def known(reception: Reception) -> None:
    """The device is installed here."""
    if reception.state is None:
        raise CheckFailed("no device with this EUI-64 is installed here")


@check(
    "meter.request.content_type",
    source="reconstruction: RFC 9110 15.5.16",
    status=415,
    section=SECTION,
)
def content_type(reception: Reception) -> None:
    """What is sent to a device is octets."""
    media_type = reception.content_type.partition(";")[0].strip().lower()
    if media_type != OCTETS:
        raise CheckFailed("a device hears octets only", OCTETS, media_type[:60] or "none")
