"""What a device's checks look at, stage by stage: bytes, then a message, then who it may be from.

Each stage can be made only from the one before it, so that no check sees more than it should.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from gbcs.codes import KeyUsage, RemotePartyRole
from gbcs.message import Message
from gbcs.payloads.credentials import CellId, UpdateCredentials
from gbcs.payloads.details import ReadCredentials
from keys.certificate import Certificate
from meter_sim.device.model import CounterKind, DeviceState
from meter_sim.device.modes import ModeRule, Protection


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """Bytes that are a message, not yet known to be for this device or from anyone."""

    message: Message
    state: DeviceState


@dataclass(frozen=True, slots=True)
class Authority:
    """Who may have issued a message: the cell whose holder it must be, and how it is protected.

    `cell` is None where no cell of the device answers to the message. `held` is False where the
    message is verified with a key that no cell holds: the contingency key.
    """

    cell: CellId | None
    kind: CounterKind
    protection: Protection
    held: bool = True

    @property
    def role(self) -> RemotePartyRole:
        """The role whose counter counts the message."""
        return RemotePartyRole.OTHER if self.cell is None else self.cell.role


@dataclass(frozen=True)
class ReceivedCommand:
    """A message with the authority that its message code points to.

    `z`: the secret shared with the Access Control Broker, 32 octets, where one is needed and had.
    """

    message: Message
    state: DeviceState
    authority: Authority
    z: bytes | None = field(repr=False)

    @property
    def holder(self) -> Certificate | None:
        """What the authorising cell holds."""
        return None if self.authority.cell is None else self.state.cells.get(self.authority.cell)


@dataclass(frozen=True)
class UpdateCommand(ReceivedCommand):
    """An authentic Update Security Credentials: its payload, and the row that governs it."""

    rule: ModeRule
    update: UpdateCredentials


@dataclass(frozen=True)
class DetailsCommand(ReceivedCommand):
    """An authentic Provide Security Credential Details, and its payload."""

    details: ReadCredentials


@dataclass(frozen=True, slots=True)
class Candidate:
    """A certificate on its way into a cell.

    `certificate` is None if the bytes cannot be read. `root` is what the root cell holds at this
    moment. `at` is None where the Command disapplies time. `by_contingency`: the contingency key
    vouches for it, also for a root that the one held did not sign.
    """

    cell: CellId
    der: bytes
    certificate: Certificate | None
    held: Certificate | None
    root: Certificate | None
    path: tuple[Certificate, ...]
    at: datetime | None
    by_contingency: bool = False


@dataclass(frozen=True, slots=True)
class OwnCandidate:
    """A certificate that a device is given for one of its own keys (CS02d).

    `certificate` is None if the bytes cannot be read. `usage` is the key it is taken to be for;
    `awaited` whether a key pair of that usage was generated and waits; `public_key` that key pair's
    public half, or where none waits, that of the key in use.
    """

    eui: str
    certificate: Certificate | None
    usage: KeyUsage
    awaited: bool
    public_key: EllipticCurvePublicKey
