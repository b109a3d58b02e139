"""HTTP messages as faults see them: octets, and nothing that is known of their meaning."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.chassis.faults.exchange import Pairs


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way."""

    method: str
    path: str
    headers: Pairs
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer on its way."""

    status: int
    headers: Pairs
    body: bytes = field(repr=False)
