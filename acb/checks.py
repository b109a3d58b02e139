"""Every check the broker makes, in the order in which it makes them.

Ordered lists, one per section, each in a module that gives the rules as pure functions:

1. `request` (`acb.rules.request`): may this user ask this of this device, now;
2. the lists of the services (`acb.services.table`): for each command variant, for what a CoS Party
   signed (`return`, `acb.rules.returned`), and for what devices say (`response`,
   `acb.rules.response`, and others);
3. `message` (there too): is it a device's unasked message at all;
   and `device_alert` (`acb.rules.device_alert`): a security alert of a device;
4. `read_back` (`acb.rules.read_back`): what a device says its cells hold, when its answer was lost;
5. `block` (`acb.rules.block`): may this block of a device's message be held.

The identifiers are the broker's public vocabulary: traces, problem documents and tests name them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from acb.rules.block import BLOCK_CHECKS
from acb.rules.device_alert import DEVICE_ALERT_CHECKS
from acb.rules.read_back import READ_BACK_CHECKS
from acb.rules.request import REQUEST_CHECKS
from acb.rules.response import MESSAGE_CHECKS, RESPONSE_CHECKS
from acb.rules.returned import RETURN_CHECKS
from acb.services.table import SERVICE_CHECKS
from services.chassis.checks import Check, CheckBook

PARTY: Final = "acb"

__all__ = ["PARTY", "REQUEST_CHECKS", "RESPONSE_CHECKS", "RETURN_CHECKS", "book"]


def book(link_checks: Iterable[Check[Any]] = ()) -> CheckBook:
    """The broker's check book: its own sections, then those of the signed link."""
    return CheckBook(
        PARTY,
        [
            *REQUEST_CHECKS,
            *SERVICE_CHECKS,
            *MESSAGE_CHECKS,
            *BLOCK_CHECKS,
            *DEVICE_ALERT_CHECKS,
            *READ_BACK_CHECKS,
            *link_checks,
        ],
    )
