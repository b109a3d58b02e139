"""Faults on demand, the pure part: what may be ordered, what it befalls, what it does to octets.

An order addresses messages (which way, whose, which) and says what shall befall how many of them.
Counted: the next `times` that fit. With `among` and `seed`: drawn from the next `among`, the same
from the same. Nothing here waits, sends or looks at a clock; see `services.chassis.faults.board`
for what is armed and `services.chassis.faults.unsafe_network` for what carries it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

from services.chassis.faults.exchange import ExchangeFacts

MOST_TIMES: Final = 1000
MOST_AMONG: Final = 10_000


class Direction(StrEnum):
    """Whether others call this party, or it calls them; or what it carries to a device and back."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    DEVICE = "device"


class Part(StrEnum):
    """Which half of an exchange."""

    REQUEST = "request"
    ANSWER = "answer"


class Kind(StrEnum):
    """What befalls a message."""

    DROP = "drop"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    STALE_ANSWER = "stale_answer"
    STATUS = "status"
    BIT_FLIP = "bit_flip"
    TRUNCATE = "truncate"
    OLD_KEY = "old_key"


class Claim(StrEnum):
    """Whose key a message says it is signed with, when it is signed with one that nobody knows."""

    OWN = "own"
    OLD = "old"


Point = tuple[Direction, Part]

_CALLS: Final = (Direction.INBOUND, Direction.OUTBOUND)
_TO_DEVICES: Final = frozenset((Direction.DEVICE, p) for p in Part)
_EVERYWHERE: Final = frozenset((d, p) for d in _CALLS for p in Part)
_REQUESTS: Final = frozenset((d, Part.REQUEST) for d in _CALLS)
_ANSWERS: Final = frozenset((d, Part.ANSWER) for d in _CALLS)
_WHAT_WE_SAY: Final = frozenset(
    {(Direction.OUTBOUND, Part.REQUEST), (Direction.INBOUND, Part.ANSWER)}
)

FITS: Final[Mapping[Kind, frozenset[Point]]] = {
    Kind.DROP: _EVERYWHERE | _TO_DEVICES,
    Kind.DELAY: _EVERYWHERE | _TO_DEVICES,
    Kind.DUPLICATE: _REQUESTS | _TO_DEVICES,
    Kind.REORDER: _EVERYWHERE | _TO_DEVICES,
    Kind.STALE_ANSWER: _ANSWERS,
    Kind.STATUS: _EVERYWHERE,
    Kind.BIT_FLIP: _EVERYWHERE,
    Kind.TRUNCATE: _EVERYWHERE,
    Kind.OLD_KEY: _WHAT_WE_SAY,
}
"""Where a kind can happen. An old key is used by whoever signs: only in what this party says."""

TAKES: Final[Mapping[str, Kind]] = {
    "seconds": Kind.DELAY,
    "status": Kind.STATUS,
    "bit": Kind.BIT_FLIP,
    "octets": Kind.TRUNCATE,
    "claims": Kind.OLD_KEY,
}
"""Which kind a parameter belongs to."""


class FaultError(Exception):
    """An order that makes no sense. `rule` names what it breaks, for the problem document."""

    def __init__(self, rule: str, detail: str, expected: str | None = None) -> None:
        super().__init__(detail)
        self.rule = rule
        self.detail = detail
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Match:
    """Which messages: all that is given must fit. An answer fits if what it answers does.

    Attributes:
        method: HTTP method.
        path: path; ``*`` and ``?`` stand for any characters and any one.
        purpose: purpose on the signed link.
        message_id: message identifier on the signed link; ``*`` and ``?`` as in `path`.
        request_id: DUIS request ID, wherever it is named (see `services.chassis.faults.exchange`).
        device: EUI-64, 16 lower-case hexadecimal digits, wherever it is named; of what is carried
            to devices, the one that it is carried to.
    """

    method: str | None = None
    path: str | None = None
    purpose: str | None = None
    message_id: str | None = None
    request_id: str | None = None
    device: str | None = None

    def fits(self, exchange: ExchangeFacts) -> bool:
        """Whether it is one of these."""
        return (
            (self.method is None or self.method.upper() == exchange.method)
            and (self.path is None or fnmatchcase(exchange.path, self.path))
            and (self.purpose is None or self.purpose == exchange.purpose)
            and (self.message_id is None or fnmatchcase(exchange.message_id or "", self.message_id))
            and (self.request_id is None or exchange.names(self.request_id))
            and (self.device is None or exchange.names_device(self.device))
        )


@dataclass(frozen=True, slots=True)
class FaultOrder:
    """What is asked for.

    Attributes:
        kind: what befalls a message.
        direction: whether others' calls of this party are meant, or its own of others.
        part: the request or the answer.
        hop: who calls, or who is called; None: anyone.
        match: which messages.
        times: how often; None: until it is removed.
        among: of how many that fit, at least `times`; 0: the next `times`.
        seed: what draws which of them, and which bit; without one the first ones, and seed 0.
        seconds: a delay ends by itself after so long by the party's clock; None: when released.
        status: HTTP status that is answered.
        bit: which bit is flipped, 0 the highest of the first octet; None: drawn from the seed.
        octets: how many octets are left; None: half.
        claims: for an old key, whose it is said to be.
    """

    kind: Kind
    direction: Direction
    part: Part
    hop: str | None = None
    match: Match = field(default_factory=Match)
    times: int | None = 1
    among: int = 0
    seed: int | None = None
    seconds: float | None = None
    status: int | None = None
    bit: int | None = None
    octets: int | None = None
    claims: Claim | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            FaultError: naming the rule.
        """
        if self.point not in FITS[self.kind]:
            places = sorted(f"{d} {p}" for d, p in FITS[self.kind])
            raise FaultError(
                "place",
                f"{self.kind} cannot befall an {self.direction} {self.part}",
                ", ".join(places),
            )
        for name, kind in TAKES.items():
            if getattr(self, name) is not None and self.kind is not kind:
                raise FaultError("parameter", f"{name} belongs to {kind}, not to {self.kind}")
        if self.times is None and self.among:
            raise FaultError("among", "among draws a number: say how many times")
        if self.times is not None and 0 < self.among < self.times:
            raise FaultError(
                "among", "fewer are drawn from than are drawn", f"at least {self.times}"
            )

    @property
    def point(self) -> Point:
        """Where in an exchange it happens."""
        return self.direction, self.part

    def addresses(self, exchange: ExchangeFacts) -> bool:
        """Whether it is about that exchange."""
        return (
            self.direction == exchange.direction
            and (self.hop is None or self.hop == exchange.hop)
            and self.match.fits(exchange)
        )

    def drawn(self) -> list[bool] | None:
        """For each of the next that fit, whether it befalls it; None: every one."""
        if self.times is None:
            return None
        drawn = [True] * self.times + [False] * (self.among - self.times)
        if self.seed is None:
            return drawn
        lots = [_lot(self.seed, "among", number) for number in range(len(drawn))]
        return [one for _, one in sorted(zip(lots, drawn, strict=True), key=lambda pair: pair[0])]

    def spoiled(self, body: bytes, fired: int) -> bytes:
        """A body after a bit flip or a truncation.

        Args:
            body: what was to be said.
            fired: how often this fault had struck before, so that each draws a bit of its own.
        """
        if self.kind is Kind.TRUNCATE:
            return body[: len(body) // 2 if self.octets is None else self.octets]
        if not body:
            return body
        bit = self.bit
        if bit is None:
            bit = int.from_bytes(_lot(self.seed or 0, "bit", fired)[:8], "big")
        octet, place = divmod(bit % (8 * len(body)), 8)
        return body[:octet] + bytes((body[octet] ^ (0x80 >> place),)) + body[octet + 1 :]


def _lot(seed: int, what: str, number: int) -> bytes:
    """What a draw is decided by: the same for the same seed, on every machine."""
    return hashlib.sha256(f"{seed} {what} {number}".encode()).digest()
