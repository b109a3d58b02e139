"""Every check the broker makes, in the order in which it makes them.

Ordered lists, one per section, each in a module that gives the rules as pure functions:

1. `request` (`acb.request_checks`): may this user ask this of this device, now;
2. `return` (`acb.return_checks`): does the signed command do exactly that;
3. `response` (`acb.response_checks`): is this what the device says it did;
4. `message` (there too): is it a device's unasked message at all;
   and `device_alert` (`acb.device_alert_checks`): a security alert of a device;
5. `read_back` (`acb.read_back`): what a device says its cells hold, when its answer was lost;
6. `block` (`acb.block_checks`): may this block of a device's message be held;
7. the lists of the other services, one per service and command variant (`acb.supported`).

The identifiers are the broker's public vocabulary: traces, problem documents and tests name them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from acb.block_checks import BLOCK_CHECKS
from acb.device_alert_checks import DEVICE_ALERT_CHECKS
from acb.read_back import READ_BACK_CHECKS
from acb.request_checks import REQUEST_CHECKS
from acb.response_checks import MESSAGE_CHECKS, RESPONSE_CHECKS
from acb.return_checks import RETURN_CHECKS
from acb.services_alert import ALERT_CHECKS
from acb.services_answer import ANSWER_CHECKS
from acb.services_details import DETAILS_ANSWER_CHECKS
from acb.services_device_answer import DEVICE_ANSWER_CHECKS
from acb.supported import SERVICE_CHECKS
from services.chassis.checks import Check, CheckBook

PARTY: Final = "acb"

__all__ = ["PARTY", "REQUEST_CHECKS", "RESPONSE_CHECKS", "RETURN_CHECKS", "book"]


def book(link_checks: Iterable[Check[Any]] = ()) -> CheckBook:
    """The broker's check book: its own sections, then those of the signed link."""
    return CheckBook(
        PARTY,
        [
            *REQUEST_CHECKS,
            *RETURN_CHECKS,
            *RESPONSE_CHECKS,
            *MESSAGE_CHECKS,
            *BLOCK_CHECKS,
            *DEVICE_ALERT_CHECKS,
            *READ_BACK_CHECKS,
            *SERVICE_CHECKS,
            *DETAILS_ANSWER_CHECKS,
            *ANSWER_CHECKS,
            *ALERT_CHECKS,
            *DEVICE_ANSWER_CHECKS,
            *link_checks,
        ],
    )
