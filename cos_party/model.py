"""The types of a CoS Party: what was opened, what is evidence, what was approved, what was signed.

They mark progress. Only the link makes an `Opened`, and an `Incoming` holds one; evidence is
gathered from an `Incoming`; only the complete list of checks makes an `Approved`; and signing
takes nothing else.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from cos_party.registration_copy import RegistrationCopy
from duis.errors import DuisError
from duis.gate import Parsed
from duis.model import Header, UpdateSecurityCredentialsCoS
from duis.signature import SignatureReference
from gbcs.errors import GbcsError
from gbcs.message import Message
from gbcs.payloads.credentials import CellId, CredentialsOutcome
from gbcs.payloads.details import CredentialDetails
from keys.certificate import Certificate
from keys.crl import RevocationList
from keys.errors import CertificateError
from services.link.authorities import Authorities
from services.link.opened import Opened


@dataclass(frozen=True, slots=True)
class Incoming:
    """What the link delivered: authentic, unaltered, and for the purpose it was sent for.

    Attributes:
        opened: the link's proof of that; only the link makes one.
        transaction: the access control broker's name for the whole change of supplier.
        content: the service request or the GBCS message, exactly the bytes received.
    """

    opened: Opened
    transaction: str
    content: bytes = field(repr=False)

    @property
    def purpose(self) -> str:
        """The link purpose it was sent for."""
        return self.opened.purpose

    @property
    def digest(self) -> str:
        """SHA-256 of the content, 64 hex digits: what "the same bytes" means here."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits a CoS Party judges by.

    RECONSTRUCTION: no published document the project could read gives these numbers
    (docs/sources.md#party-checks, #anomaly-detection); they are settings, and these are their
    defaults.

    Attributes:
        execution_horizon: how far ahead an execution date may lie.
        registration_max_age: how old the own copy of the registration data may be for a decision
            while registration cannot be asked; zero: then nothing is decided, neither yes nor no.
        registration_patience: for how long "ask again" is said while registration cannot be asked;
            after that the request is refused.
        revocation_patience: for how long the revocation lists serve that cannot be refreshed.
        floor_headroom: how many counter values must remain between a floor and the largest
            floor there can be, 2**63 - 1 (the bound is the schema's).
    """

    execution_horizon: timedelta = timedelta(days=30)
    registration_max_age: timedelta = timedelta(0)
    registration_patience: timedelta = timedelta(minutes=10)
    revocation_patience: timedelta = timedelta(hours=1)
    floor_headroom: int = 1 << 32


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The anomaly detection thresholds: commands signed per rolling window.

    Attributes:
        window: the length of the window that ends now.
        per_requester: at most this many for one requester's entity identifier.
        total: at most this many for all requesters together.
    """

    window: timedelta = timedelta(hours=24)
    per_requester: int = 10_000
    total: int = 50_000

    @classmethod
    def of(cls, window_seconds: int, per_requester: int, total: int) -> Thresholds:
        """Thresholds with their window in seconds."""
        return cls(timedelta(seconds=window_seconds), per_requester, total)


@dataclass(frozen=True, slots=True)
class Revocations:
    """The party's copies of the revocation lists; only genuine ones are ever taken in.

    `unrefreshed` says why they no longer count, if they could not be refreshed for too long.
    """

    lists: tuple[RevocationList, ...]
    unrefreshed: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A service request 6.23, Update Security Credentials (CoS), and nothing else."""

    header: Header
    body: UpdateSecurityCredentialsCoS


@dataclass(frozen=True, slots=True)
class Reading:
    """One attempt to read a service request: how far it came, and what stopped it.

    Each failure is None when its step succeeded; a value is None when its step failed.
    """

    document: Parsed | None = None
    malformed: DuisError | None = None
    schema: DuisError | None = None
    unsupported: DuisError | None = None
    variant: DuisError | None = None
    signature_form: DuisError | None = None
    request: ChangeRequest | None = None
    reference: SignatureReference | None = None


@dataclass(frozen=True, slots=True)
class ReplacementEvidence:
    """One replacement certificate of the request and the cell it is meant for."""

    cell: CellId
    der: bytes
    certificate: Certificate | None
    failure: CertificateError | None


@dataclass(frozen=True, slots=True)
class PathCertificateEvidence:
    """One certification path certificate of the request."""

    der: bytes
    certificate: Certificate | None
    failure: CertificateError | None


@dataclass(frozen=True, slots=True)
class DatedChange:
    """A dated change, or a withdrawal, that this party signed for: what a device may have waiting.

    Attributes:
        request_id: the service request.
        requester: entity identifier of who asked.
        mpxn: the meter point that request names.
        at: when the device is to act; None if it withdraws what waits.
    """

    request_id: str
    requester: str
    mpxn: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """What this party already knows of the same request, transaction, requester and device.

    Attributes:
        request_digest: digest of the bytes first seen under this request identifier.
        transaction_digest: digest of the bytes first seen under this transaction.
        signed_for_requester: commands signed for the requester within the window.
        signed_in_total: commands signed for anyone within the window.
        last_counter: greatest counter of a request of this requester for this device that was
            signed for, this very request apart.
        dated: every dated change and withdrawal signed for this device, whoever asked, in the
            order of this party's counter; this very request apart, and those whose place another
            supplier's took.
        requesters: for how many requesters that was, the one who asks now included.
    """

    request_digest: str | None
    transaction_digest: str | None
    signed_for_requester: int
    signed_in_total: int
    last_counter: int | None
    dated: tuple[DatedChange, ...]
    requesters: int


@dataclass(frozen=True, slots=True)
class RequestEvidence:
    """Everything the checks on a service request look at, fetched before any of them runs."""

    incoming: Incoming
    at: datetime
    limits: Limits
    thresholds: Thresholds
    trust: Authorities
    revocations: Revocations
    reading: Reading
    signatory: Certificate | None
    signatory_detail: str
    replacements: tuple[ReplacementEvidence, ...]
    path_certificates: tuple[PathCertificateEvidence, ...]
    registration: RegistrationCopy | None
    registration_detail: str
    registration_refreshed: bool
    registration_failing_since: datetime | None
    earlier: Earlier


@dataclass(frozen=True, slots=True)
class Intent:
    """What the party set out to sign: committed before the key is used.

    Attributes:
        request_id: the service request it answers.
        digest: SHA-256 of the service request's bytes, hex.
        requester: entity identifier of the requesting supplier.
        device: entity identifier of the device.
        counter: the originator counter taken for it.
        intended_at: when the checks had approved it.
        pre_command: the exact bytes to be signed, as an unsigned GBCS message.
        command: the signed command, once there is one.
        displaces: requests of others whose waiting changes it lawfully takes the place of.
    """

    request_id: str
    digest: str
    requester: str
    device: str
    counter: int
    intended_at: datetime
    pre_command: bytes = field(repr=False)
    command: bytes | None = field(default=None, repr=False)
    displaces: tuple[str, ...] = ()


class Decided(StrEnum):
    """How a decision ended."""

    SIGNED = "signed"
    REFUSED = "refused"
    DEFERRED = "deferred"
    """Neither yes nor no: what it would be based on could not be brought up to date."""
    QUARANTINED = "quarantined"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class SignedCommandRecord:
    """What the party remembers of a command it signed.

    Attributes:
        transaction: the transaction it was signed for.
        request_id: the service request it answers.
        requester: entity identifier of the requesting supplier.
        device: entity identifier of the device it is for.
        counter: the originator counter used.
        command: the signed GBCS command.
    """

    transaction: str
    request_id: str
    requester: str
    device: str
    counter: int
    command: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReturnReading:
    """One attempt to read what a device sent back.

    A message without an outcome is a response that only accepts: the device stored a future-dated
    command or dropped a pending one. `alert_code` and `executed_at` (``YYYYMMDDHHMMSSZ``) are there
    for alerts only. `details` are there only for what the broker read back from a silent device.
    """

    failure: GbcsError | None = None
    message: Message | None = None
    outcome: CredentialsOutcome | None = None
    alert_code: int | None = None
    executed_at: str | None = None
    details: CredentialDetails | None = None


@dataclass(frozen=True, slots=True)
class ReturnEvidence:
    """Everything the checks on a device's response or alert look at."""

    incoming: Incoming
    at: datetime
    eui: str
    trust: Authorities
    revocations: Revocations
    reading: ReturnReading
    command: SignedCommandRecord | None
    device_certificates: tuple[Certificate, ...]
    last_alert_counter: int | None


@dataclass(frozen=True, slots=True)
class Signed:
    """A command signed by this party: the only thing of it that leaves towards a device."""

    originator: str
    counter: int
    command: bytes = field(repr=False)
