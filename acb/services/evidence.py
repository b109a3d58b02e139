"""What the checks of a service look at: its own, one ordered list for each command variant.

They are made after those of section "request" and, where a command is sent, once more in the
transaction in which it is given its MAC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from acb.model import DeviceRecord, PathEvidence, User
from duis.model import RequestBody, ServiceRequest, SignedPreCommand
from gbcs.errors import GbcsError
from gbcs.message import Message, decode
from gbcs.payloads.credentials import UpdateCredentials
from keys.certificate import Certificate

RECONSTRUCTION: Final = "reconstruction: docs/sources.md#services, #party-checks"


@dataclass(frozen=True, slots=True)
class SignedCommand:
    """The command in a Signed Pre-Command, read as far as it can be.

    Attributes:
        message: the command; None if unreadable, or if the request brings none.
        update: its payload, if it updates credentials; None if it does not.
        fault: why it could not be read.
    """

    message: Message | None = None
    update: UpdateCredentials | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceEvidence:
    """Everything the checks of one service may look at.

    Attributes:
        request: the request, whose sender is established.
        broker: the broker's own certificate for signing (role 04).
        user: who asks.
        device: record of the device that is the target; None if it is not one.
        found: the devices of the inventory that answer to the search, where a service searches.
        path: what certificates' paths are judged by.
        signed: the Signed Pre-Command, if the request brings one.
        last_counter: the greatest counter accepted from the user in a message for that device.
    """

    request: ServiceRequest
    broker: Certificate
    user: User | None
    device: DeviceRecord | None = None
    found: tuple[DeviceRecord, ...] = ()
    path: PathEvidence | None = None
    signed: SignedCommand = SignedCommand()
    last_counter: int | None = None

    @property
    def requester(self) -> str:
        """Entity identifier of who asks."""
        return self.request.header.request_id.originator

    @property
    def target(self) -> str:
        """Entity identifier of what it is asked of."""
        return self.request.header.request_id.target


def read_signed(
    body: RequestBody, payload: Callable[[bytes], UpdateCredentials] | None
) -> SignedCommand:
    """The command in a Signed Pre-Command; `payload` reads what is in it, where it is needed."""
    message: Message | None = None
    if not isinstance(body, SignedPreCommand):
        return SignedCommand()
    try:
        message = decode(body.gbcs_payload)
        return SignedCommand(message, None if payload is None else payload(message.payload))
    except GbcsError as error:
        return SignedCommand(message, fault=str(error))


def holds_a_cell(device: DeviceRecord, eui: str) -> bool:
    """Whether a cell of the device holds a certificate of this party, by the broker's record."""
    return any(held.subject_eui == eui for held in device.cells.values())
