"""What the checks of the services other than a change of supplier look at, and what they share.

Each such service has ordered lists of its own, one per command variant, in `acb.services_*`; they
are made after those of section "request" and, where a command is sent, once more in the
transaction in which it is given its MAC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from acb.model import DeviceRecord, PathEvidence, User
from duis.model import Inventory, PreCommand, ServiceRequest
from gbcs.message import Message
from gbcs.payloads.credentials import UpdateCredentials
from keys.certificate import Certificate
from services.chassis.checks import Check

RECONSTRUCTION: Final = "reconstruction: docs/sources.md#services, #party-checks"


@dataclass(frozen=True, slots=True)
class ServiceEvidence:
    """Everything the checks of one service may look at.

    Attributes:
        request: the request, whose sender is established.
        broker: the broker's own certificate for signing (role 04).
        user: who asks.
        device: record of the device that is the target; None if it is not one.
        found: 8.2: the devices that answer to the search.
        path: what certificates' paths are judged by.
        message: variant 5: the Signed Pre-Command, read; None if unreadable.
        update: its payload, if it updates credentials; None if it does not.
        fault: why not.
        last_counter: the greatest counter accepted from the user in a message for that device.
    """

    request: ServiceRequest
    broker: Certificate
    user: User | None
    device: DeviceRecord | None = None
    found: tuple[DeviceRecord, ...] = ()
    path: PathEvidence | None = None
    message: Message | None = None
    update: UpdateCredentials | None = None
    fault: str | None = None
    last_counter: int | None = None

    @property
    def asker(self) -> str:
        """Entity identifier of who asks."""
        return self.request.header.request_id.originator


@dataclass(frozen=True, slots=True)
class Variant:
    """One command variant of a service: its checks, and what follows when all say yes.

    Attributes:
        checks: in order, all of one section.
        answer: what the broker itself answers, at once; None if a device is asked.
        command: the message for the device, without a MAC, given the broker's next counter. One
            without a signature octet is still to be signed by the broker.
        originates: whether the command carries the broker's own counter.
    """

    checks: tuple[Check[ServiceEvidence], ...]
    answer: Callable[[ServiceEvidence], Inventory | PreCommand] | None = None
    command: Callable[[ServiceEvidence, int], Message] | None = None
    originates: bool = False

    @property
    def section(self) -> str:
        """The section of the check book that its checks are in."""
        return self.checks[0].section


def service_check(
    section: str,
    name: str,
    title: str,
    run: Callable[[ServiceEvidence], None],
    code: str,
    *,
    source: str = RECONSTRUCTION,
) -> Check[ServiceEvidence]:
    """One check of a service: whom it refuses gets a signed answer with this response code."""
    return Check(f"acb.{section}.{name}", title, source, run, code=code, section=section)


def holds_a_cell(device: DeviceRecord, eui: str) -> bool:
    """Whether a cell of the device holds a certificate of this party, by the broker's record."""
    return any(held.subject_eui == eui for held in device.cells.values())
