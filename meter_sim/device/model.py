"""What a device is, and what happens to it. Values only: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from gbcs.codes import KeyUsage, RemotePartyRole, StatusCode
from gbcs.payloads.credentials import CellId, CredentialsOutcome
from keys.certificate import Certificate
from keys.roles import Usage
from meter_sim.device.device_types import DeviceType
from meter_sim.device.quirks import as_written
from services.chassis.checks import CheckBook, Verdict


class NotUnderstood(Exception):  # noqa: N818  the device's answer is silence, not a fault
    """What got past a check that was turned off cannot be acted on all the same.

    Attributes:
        check: the check that would have refused it.
        detail: why nothing can be done with it.
    """

    def __init__(self, check: str, detail: str) -> None:
        super().__init__(f"{check}: {detail}")
        self.check = check
        self.detail = detail


class CounterKind(StrEnum):
    """Which sequence of a role's messages a counter counts.

    Update Security Credentials has an execution counter of its own per authorising role, apart
    from the role's other commands (reconstruction) (docs/sources.md#device-checks step 5).
    """

    COMMANDS = "commands"
    CREDENTIALS = "credentials"


@dataclass(frozen=True, slots=True)
class Counters:
    """The highest originator counter accepted, by kind and by role, and the top-up floor.

    A role that was never heard stands at 0. `top_up` is the prepayment top-up floor by role
    (only a supplier has one), which UTRNs are compared with.
    """

    commands: Mapping[RemotePartyRole, int] = field(default_factory=dict)
    credentials: Mapping[RemotePartyRole, int] = field(default_factory=dict)
    top_up: Mapping[RemotePartyRole, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pending:
    """A future-dated Command that was accepted: the whole message, and when it is due.

    At most one per authorising role; the newest replaces the older (reconstruction)
    (docs/sources.md#future-dating).
    """

    role: RemotePartyRole
    message: bytes
    reference: str
    execution_date_time: str
    due: datetime


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One of a device's own keys: which of its key pairs is in use, which waits, what certifies it.

    Key pairs are numbered by generation, from 0. `generated` is the one that CS02c made and that a
    certificate (CS02d) is awaited for; `certificate` is that of the key in use, if any is held.
    """

    generation: int = 0
    generated: int | None = None
    certificate: Certificate | None = None

    @property
    def next(self) -> int:
        """The generation of the next new key pair: none is ever made twice."""
        return max(self.generation, self.generated or 0) + 1


class OwnKeyFault(StrEnum):
    """What the lab can have fail in a device's key store.

    Its own keys: result codes of docs/sources.md#device-credentials. Trust anchors: status codes of
    docs/sources.md#update-payload.
    """

    KEY_PAIR_GENERATION = "key_pair_generation"
    REQUEST_PRODUCTION = "request_production"
    CERTIFICATE_STORAGE = "certificate_storage"
    PRIVATE_KEY_CHANGE = "private_key_change"
    CERTIFICATE_RETRIEVAL = "certificate_retrieval"
    TRUST_ANCHOR_MEMORY = "trust_anchor_memory"
    TRUST_ANCHOR_BUSY = "trust_anchor_busy"


@dataclass(frozen=True, slots=True)
class DeviceState:
    """All that a device remembers. Its private keys are not here.

    `alert_counter` is the last one it gave to an Alert. `own`: its own keys by usage.
    `wrapped_contingency`: the contingency key as it holds it (meter_sim.device.contingency), if it
    does.
    """

    eui: str
    device_type: DeviceType
    cells: Mapping[CellId, Certificate]
    counters: Counters = field(default_factory=Counters)
    pending: Mapping[RemotePartyRole, Pending] = field(default_factory=dict)
    alert_counter: int = 0
    own: Mapping[KeyUsage, OwnKey] = field(default_factory=dict)
    wrapped_contingency: bytes | None = field(default=None, repr=False)

    def own_key(self, usage: KeyUsage) -> OwnKey:
        """How one of its own keys stands."""
        return self.own.get(usage, OwnKey())


class OwnKeys(Protocol):
    """What a device does with its private keys. The keys themselves stay behind this."""

    def sign(self, data: bytes) -> bytes:
        """ECDSA P-256 / SHA-256 over `data` with the digital signing key: 64 octets r||s."""
        ...

    def shared_secret(self, peer: Certificate) -> bytes:
        """Z, 32 octets: the key agreement key with the public key of `peer`."""
        ...

    def public_key(self, usage: Usage, generation: int) -> EllipticCurvePublicKey:
        """The public half of any of its key pairs."""
        ...

    def certification_request(self, usage: Usage, generation: int) -> bytes:
        """A PKCS #10 request (DER) for one of its key pairs, signed with that key."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What surrounds a device at one moment: its keys, its time, its checks, and what is broken.

    `keys` are those in use as the device stood before the message. `long_lengths`: it writes
    lengths that are not minimal; `default_written`: a DEFAULT value as well
    (meter_sim.device.quirks).
    """

    keys: OwnKeys
    at: datetime
    book: CheckBook
    faults: frozenset[OwnKeyFault] = frozenset()
    long_lengths: bool = False
    default_written: bool = False

    def written(self, payload: bytes) -> bytes:
        """A payload as this device writes it."""
        if not self.long_lengths and not self.default_written:
            return payload
        return as_written(payload, long_lengths=self.long_lengths, default=self.default_written)


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """One line for the device's Security Log: event or alert code and what was at hand."""

    code: int
    detail: str
    check: str | None = None


@dataclass(frozen=True, slots=True)
class CellResult:
    """What was decided about one replacement: the status the response gives, and the verdicts."""

    cell: CellId
    status: StatusCode
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What an authentic message did: the state after it, and what the device answers.

    `response` is a Response, or for a future-dated execution an Alert. State and response belong
    together: whoever stores one without the other breaks the device. `verdicts`: what was decided
    about the device's own new certificate.
    """

    state: DeviceState
    response: bytes
    events: tuple[SecurityEvent, ...] = ()
    cells: tuple[CellResult, ...] = ()
    outcome: CredentialsOutcome | None = None
    verdicts: tuple[Verdict, ...] = ()
