"""The link's named checks, for a party's check book.

A party puts `link_checks()` after its own: `CheckBook(party, [*own, *link_checks()])`. Requests
are in section "link.request", responses in section "link.response".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from services.chassis.checks import Check, CheckFailed
from services.link.envelope import Envelope
from services.link.errors import StepFailed
from services.link.verification import MESSAGE, REQUEST_STEPS, RESPONSE_STEPS, Step

REQUEST_SECTION: Final = "link.request"
RESPONSE_SECTION: Final = "link.response"

SETTLED: Final = frozenset(f"{REQUEST_SECTION}.{step.name}" for step in MESSAGE)
"""Refusals of the link that are the peer's last word on a message: the nonce is spent by then."""


def request_checks() -> list[Check[Envelope]]:
    """What a server asks of a request, in order."""
    return _checks(REQUEST_SECTION, REQUEST_STEPS)


def response_checks() -> list[Check[Envelope]]:
    """What a client asks of a response, in order."""
    return _checks(RESPONSE_SECTION, RESPONSE_STEPS)


def link_checks() -> list[Check[Envelope]]:
    """Both lists, for a party that is called and calls."""
    return [*request_checks(), *response_checks()]


def _checks(section: str, steps: Iterable[Step]) -> list[Check[Envelope]]:
    return [
        Check(
            id=f"{section}.{step.name}",
            title=step.title,
            source=step.source,
            run=_as_check(step.run),
            status=step.status,
            section=section,
        )
        for step in steps
    ]


def _as_check(run: Callable[[Envelope], None]) -> Callable[[Envelope], None]:
    def check(envelope: Envelope) -> None:
        try:
            run(envelope)
        except StepFailed as failed:
            raise CheckFailed(failed.detail, failed.expected, failed.found) from failed

    return check
