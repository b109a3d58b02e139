"""All checks of the meters, in the order in which they are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meter_sim.device.block_checks import BLOCK_CHECKS
from meter_sim.device.certificate_checks import CERTIFICATE_CHECKS
from meter_sim.device.message_checks import MESSAGE_CHECKS
from meter_sim.device.own_certificate_checks import OWN_CERTIFICATE_CHECKS
from meter_sim.device.reception import RECEPTION_CHECKS
from meter_sim.factory.installation import INSTALLATION_CHECKS
from services.chassis.checks import Check


def meter_checks() -> Iterator[Check[Any]]:
    """The book's contents."""
    yield from RECEPTION_CHECKS
    yield from BLOCK_CHECKS
    yield from MESSAGE_CHECKS
    yield from CERTIFICATE_CHECKS
    yield from OWN_CERTIFICATE_CHECKS
    yield from INSTALLATION_CHECKS
