"""What a service is: one entry, which the pipeline (`acb.steps`) follows without knowing its name.

An entry says who may ask and by which rules, who signs, how the command is built, which checks
judge what comes back, what silence means, and what the record learns. Each is in a module of its
own in this folder; `acb.services.table` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Final, Generic, Literal, TypeVar

from acb.model import DeviceRecord, ReturnEvidence, ServiceRules
from acb.rules.answer import Learned, Sent
from acb.services.evidence import ServiceEvidence
from duis.model import Inventory, PreCommand, RequestBody
from gbcs.message import Message
from gbcs.payloads.credentials import UpdateCredentials
from services.chassis.checks import Approved, Check, CheckRun, Verdict

E = TypeVar("E")

MessageKind = Literal["command", "response", "late", "alert"]


class Signer(Enum):
    """Who signs the command that a request asks for."""

    COS_PARTY = auto()
    """The CoS Party of the device, over the signed link."""
    USER = auto()
    """The user, before it sends the request: the command is in it (Signed Pre-Command)."""
    BROKER = auto()
    """The broker itself, by its own authority and with its own counter."""
    NOBODY = auto()
    """Nobody: the MAC alone protects it. The broker's counter."""


class Silence(Enum):
    """What is done when a device says nothing, though the command was sent as often as it may."""

    READ_BACK = auto()
    """It is asked what the cells hold that were to change; that settles the request."""
    ASK_ANEW = auto()
    """The same question, each time with the broker's next counter: a device answers each once."""
    FAIL = auto()
    """The request fails. What the device says later is still heard."""


@dataclass(frozen=True, slots=True)
class Judgement(Generic[E]):
    """How what a device says is judged, and what is learned from it.

    Attributes:
        checks: in order, all of one section; the first is the one that a silent device fails.
        read: the evidence: the octets, held against what was sent.
        learn: what an approved message teaches; None: it settles nothing.
    """

    checks: tuple[Check[E], ...]
    read: Callable[[bytes, Sent], E]
    learn: Callable[[Approved[E]], Learned | None]

    @property
    def section(self) -> str:
        """The section of the check book that its checks are in."""
        return self.checks[0].section

    def judge(
        self, run: CheckRun, raw: bytes, sent: Sent
    ) -> tuple[tuple[Verdict, ...], Learned | None]:
        """Judge what a device said; the verdicts, and what is learned.

        Raises:
            services.chassis.checks.Refused: a check said no.
        """
        approved = run.judge(self.read(raw, sent))
        return approved.verdicts, self.learn(approved)


@dataclass(frozen=True, slots=True)
class Variant:
    """One command variant of a service: its checks, and what follows when all say yes.

    Attributes:
        checks: in order, all of one section; none if the CoS Party's are enough.
        signer: who signs.
        answer: what the broker itself answers, at once; None if a device is asked.
        command: the message for the device, without a MAC, given the broker's next counter. One
            without a signature octet is still to be signed by the broker.
        payload: how the payload of a command is read that the user signed, if checks need it.
    """

    checks: tuple[Check[ServiceEvidence], ...] = ()
    signer: Signer = Signer.NOBODY
    answer: Callable[[ServiceEvidence], Inventory | PreCommand] | None = None
    command: Callable[[ServiceEvidence, int], Message] | None = None
    payload: Callable[[bytes], UpdateCredentials] | None = None


@dataclass(frozen=True, slots=True)
class Appointment:
    """A date that the broker itself keeps.

    Attributes:
        at: when the request takes its turn.
        withdraws: whether it takes away what waits, and is never done itself.
        place: what it takes the place of: an earlier request of the same user, device and place.
    """

    at: datetime
    withdraws: bool
    place: object


_NAMES: Final = {"late": "late response", "alert": "credentials-alert"}


@dataclass(frozen=True, slots=True)
class Service:
    """One service reference variant.

    Attributes:
        rules: what the interface allows for it; read by the checks on requests.
        variants: what is done, by command variant.
        returned: the checks on what a CoS Party signed, all of one section; none if none signs.
        response: how a device's response is judged; None if no device is asked.
        alert: the same of the alert about a dated command; None if there is none.
        silence: what is done when the device says nothing.
        dated_in_device: whether a device keeps its commands for a date.
        appointment: the date in a request that the broker itself keeps; None: at once.
        searches: which devices of the inventory its checks look at; None: none.
        announced: whether users concerned are sent an alert when cells have changed.
        delivery: outbox kind of sending its command.
        names: what traces call its messages, where that is not said by `named`.
    """

    rules: ServiceRules
    variants: Mapping[int, Variant]
    returned: tuple[Check[ReturnEvidence], ...] = ()
    response: Judgement[Any] | None = None
    alert: Judgement[Any] | None = None
    silence: Silence = Silence.FAIL
    dated_in_device: bool = False
    appointment: Callable[[RequestBody], Appointment | None] | None = None
    searches: Callable[[DeviceRecord, RequestBody], bool] | None = None
    announced: bool = True
    delivery: str = "send-service-command"
    names: Mapping[MessageKind, str] = field(default_factory=dict)

    def named(self, kind: MessageKind) -> str:
        """What traces call a message of this service."""
        return self.names.get(kind) or _NAMES.get(kind) or f"service {self.rules.variant}"

    @property
    def checks(self) -> Iterator[Check[Any]]:
        """Every check of the service, in the order of a request's life."""
        for variant in self.variants.values():
            yield from variant.checks
        yield from self.returned
        for judgement in (self.response, self.alert):
            if judgement is not None:
                yield from judgement.checks
