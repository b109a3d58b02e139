"""The broker's own types: what it knows, and the evidence its checks look at.

An evidence value holds what has been fetched so far and nothing that can fetch more, so a check is
a pure function of it (see `acb.checks`). Fields that are filled in later are None until then; a
check that finds its evidence missing refuses, so a step that was skipped can never pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from duis.errors import DuisError
from duis.gate import Parsed
from duis.model import ServiceRequest
from duis.signature import SignatureReference
from gbcs.message import Message
from gbcs.payloads.credentials import CredentialsAlert, CredentialsResponse, UpdateCredentials
from keys.certificate import Certificate

COS_CELL = "transitionalCoS/digitalSignature/management"
SUPPLIER_CELL = "supplier/digitalSignature/management"


class State(StrEnum):
    """How far a service request has come."""

    ACCEPTED = "accepted"
    QUARANTINED = "quarantined"
    WITH_COS_PARTY = "with_cos_party"
    SIGNED = "signed"
    SENT_TO_DEVICE = "sent_to_device"
    SCHEDULED = "scheduled"
    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"


UNDER_WAY = (State.WITH_COS_PARTY, State.SIGNED, State.SENT_TO_DEVICE)
"""States in which a request holds its device: nobody else's command may overtake it."""

FINAL = (State.COMPLETED, State.REFUSED, State.FAILED)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the DCC's interface.

    Attributes:
        eui: the user's entity identifier.
        name: what it is called in the lab.
        participant: its market participant identifier.
        roles: user roles, e.g. "IS" import supplier, "GS" gas supplier.
        callback_url: where its responses and alerts are sent; None if it only asks.
    """

    eui: str
    name: str
    participant: str
    roles: tuple[str, ...]
    callback_url: str | None


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """What the DCC's inventory says about a device and what each of its cells holds.

    Attributes:
        eui: the device's entity identifier.
        device_type: "ESME", "GSME", ...
        status: inventory status in DUIS words, e.g. "Commissioned".
        mpxns: meter points served, 13 digits each (import first).
        certificates: the device's own, by key name ("digital-signing", "key-agreement").
        cells: the certificate each trust anchor cell is believed to hold, by cell name.
    """

    eui: str
    device_type: str
    status: str
    mpxns: tuple[str, ...]
    certificates: Mapping[str, Certificate]
    cells: Mapping[str, Certificate]


@dataclass(frozen=True, slots=True)
class CosParty:
    """A CoS Party as this broker knows it: the system's name on the link, and its entity."""

    name: str
    eui: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests were accepted within the window or are open, against the limits in force.

    Attributes:
        user: accepted from this user within the window.
        everyone: accepted from all users within the window.
        users: how many users there are, to share what everyone may send.
        open_here: requests of this user for this device that wait for it or are under way there.
        open_limit: how many of them there may be.
        user_limit: how many this user may send in a window; None: no limit set.
        everyone_limit: the same for all users together.
        window_seconds: length of the window, seconds.
        released: an operator released this very request from quarantine.
    """

    user: int
    everyone: int
    users: int
    open_here: int
    open_limit: int
    user_limit: int | None
    everyone_limit: int | None
    window_seconds: int
    released: bool = False

    @property
    def share(self) -> int | None:
        """How many a user may send whatever others send: an even part of everyone's, rounded up."""
        if self.everyone_limit is None:
            return None
        return -(-self.everyone_limit // max(self.users, 1))


@dataclass(frozen=True, slots=True)
class PathEvidence:
    """What a certificate's path is judged by: authorities, anchor, revocation lists, time.

    `unrefreshed` says why the lists no longer count, if they could not be refreshed for too long.
    """

    intermediates: tuple[Certificate, ...]
    anchor: Certificate
    revocation_lists: tuple[bytes, ...]
    now: datetime
    unrefreshed: str | None = None


@dataclass(frozen=True, slots=True)
class RequestEvidence:
    """Everything the checks on a service request may look at."""

    content_type: str | None
    body: bytes
    supported: Mapping[str, ServiceRules]
    parsed: Parsed | None = None
    fault: DuisError | None = None
    signature: SignatureReference | None = None
    request: ServiceRequest | None = None
    certificate: Certificate | None = None
    path: PathEvidence | None = None
    now: datetime | None = None
    user: User | None = None
    already_accepted: bool | None = None
    last_counter: int | None = None
    device: DeviceRecord | None = None
    cos_parties: Sequence[CosParty] = ()
    tally: Tally | None = None


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What the interface allows for one service reference.

    Attributes:
        variant: service reference variant, e.g. "6.23" or "6.24.1"; names the service.
        reference: service reference, e.g. "6.23" or "6.24".
        command_variants: command variants allowed.
        roles: user roles eligible (service request matrix).
        device_statuses: inventory statuses in which a device may be the target.
        uses_cos_party: whether a CoS Party has to sign.
        targets_device: whether a device is the target; if not, the broker itself is.
    """

    variant: str
    reference: str
    command_variants: frozenset[int]
    roles: frozenset[str]
    device_statuses: frozenset[str]
    uses_cos_party: bool
    targets_device: bool = True


@dataclass(frozen=True, slots=True)
class WaitingChange:
    """A change of supplier that waits in a device for its date, by the broker's record.

    Attributes:
        request_id: the request that asked for it.
        participant: the market participant that asked (its entity identifier, if it is no user).
        due: its date.
    """

    request_id: str
    participant: str
    due: datetime


@dataclass(frozen=True, slots=True)
class ReturnEvidence:
    """Everything the checks on what a CoS Party returned may look at.

    Attributes:
        raw: the octets returned as the signed command.
        message: the same, decoded; None if they could not be read.
        update: its payload, decoded; None if it could not be read.
        fault: why not.
        request: the supplier's request, as this broker read it.
        cos_party: the party that was asked.
        certificate: the certificate in the device's role-5 cell, by our record.
        path: what that certificate's path is judged by.
        last_counter: the greatest counter ever accepted from that party for that device.
        participant: the market participant that asks; None if it is no user any more.
        waiting: changes of supplier that wait in the device.
        displaces: requests whose waiting changes this one lawfully takes the place of, by the CoS
            Party's signed word: only that party knows what registration says of them.
        device: record of the device that the command is for, whose key its MAC is for.
    """

    raw: bytes
    request: ServiceRequest
    cos_party: CosParty
    certificate: Certificate
    path: PathEvidence
    last_counter: int | None
    message: Message | None = None
    update: UpdateCredentials | None = None
    fault: str | None = None
    participant: str | None = None
    waiting: tuple[WaitingChange, ...] = ()
    displaces: tuple[str, ...] = ()
    device: DeviceRecord | None = None


@dataclass(frozen=True, slots=True)
class IssuedCommand:
    """A command this broker has protected and sent: what a device's answer is held against."""

    request_id: str
    device: str
    cos_party: CosParty
    counter: int
    update: UpdateCredentials


@dataclass(frozen=True, slots=True)
class ResponseEvidence:
    """Everything the checks on a device's response or future-dated alert may look at.

    Attributes:
        raw: the octets the device sent.
        message: decoded grouping header and payload; None if unreadable.
        response: payload of a response; None if unreadable or not one.
        alert: payload of a future-dated alert; None if unreadable or not one.
        fault: why something could not be read.
        device: record of the device the message is believed to come from.
        command: the command it answers; None if there is none.
        last_alert_counter: greatest alert counter seen from the device.
    """

    raw: bytes
    message: Message | None = None
    response: CredentialsResponse | None = None
    alert: CredentialsAlert | None = None
    fault: str | None = None
    device: DeviceRecord | None = None
    command: IssuedCommand | None = None
    last_alert_counter: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request ended without the act: who said no, by which check."""

    party: str
    check: str
    detail: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Tracked:
    """A service request under way, as the store keeps it."""

    request_id: str
    sequence: int
    originator: str
    target: str
    counter: int
    service_reference: str
    service_reference_variant: str
    state: State
    transaction: str
    cos_party: str | None
    body: bytes = field(repr=False)
    acknowledgement: bytes | None = field(repr=False)
    signed_command: bytes | None = field(repr=False)
    command: bytes | None = field(repr=False)
    command_counter: int | None
    device_response: bytes | None = field(repr=False)
    response: bytes | None = field(repr=False)
    response_code: str | None
    refusal: Refusal | None
    attempts: int
    quarantine_ref: int | None
    accepted_at: datetime
    turn: int | None = None
