"""The link's checks: what is asked of a request and of a response, in order. Pure.

A party puts `link_checks()` after its own: `CheckBook(party, [*own, *link_checks()])`. Requests
are in section "link.request", responses in section "link.response". A third party who checks kept
evidence runs the same rules through `verify`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.chassis.checks import Check, CheckFailed, placed
from services.link.envelope import Envelope
from services.link.errors import NotVerified
from services.link.rules import authenticity, form

Rules = tuple[Check[Envelope], ...]

REQUEST_SECTION: Final = "link.request"
RESPONSE_SECTION: Final = "link.response"

FORM: Final[Rules] = (form.header_once, form.header_present, form.content_encoding)
TARGET: Final[Rules] = (form.path, form.query)
INPUT: Final[Rules] = (
    form.signature_input_form,
    form.signature_form,
    form.one_signature,
    form.label,
    form.component_missing,
    form.component_extra,
    form.component_order,
    form.parameter_missing,
    form.parameter_unknown,
    form.algorithm,
    form.tag,
    form.nonce_form,
    form.lifetime,
    form.future,
    form.stale,
)
AUTHENTICITY: Final[Rules] = (
    authenticity.key,
    authenticity.certificate,
    authenticity.simulated,
    authenticity.signature,
    authenticity.content_digest_form,
    authenticity.content_digest,
    authenticity.peer,
    authenticity.sender,
    authenticity.recipient,
    authenticity.content_type,
)
MESSAGE: Final[Rules] = (
    authenticity.purpose,
    authenticity.route,
    authenticity.body,
    authenticity.message_id,
)
"""Asked after the nonce is spent, so that what they say is the peer's last word on the message."""

ENVELOPE_RULES: Final[Rules] = (
    *FORM,
    *TARGET,
    *INPUT,
    *AUTHENTICITY,
    authenticity.message_id_form,
)
"""Asked of a request before anything is written down."""

REQUEST_RULES: Final[Rules] = (*ENVELOPE_RULES, authenticity.nonce, *MESSAGE)

RESPONSE_RULES: Final[Rules] = (
    *FORM,
    *INPUT,
    *AUTHENTICITY,
    authenticity.answered_purpose,
    authenticity.answered_message,
    authenticity.answered_body,
)

SETTLED: Final = frozenset(f"{REQUEST_SECTION}.{rule.id}" for rule in MESSAGE)
"""Refusals of the link that are the peer's last word on a message: the nonce is spent by then."""


def request_checks() -> list[Check[Envelope]]:
    """What a server asks of a request, in order."""
    return placed(REQUEST_SECTION, REQUEST_SECTION, REQUEST_RULES)


def response_checks() -> list[Check[Envelope]]:
    """What a client asks of a response, in order."""
    return placed(RESPONSE_SECTION, RESPONSE_SECTION, RESPONSE_RULES)


def link_checks() -> list[Check[Envelope]]:
    """Both lists, for a party that is called and calls."""
    return [*request_checks(), *response_checks()]


def verify(envelope: Envelope, rules: Iterable[Check[Envelope]]) -> None:
    """Ask the rules in order.

    Raises:
        NotVerified: one of them said no.
    """
    for rule in rules:
        try:
            rule.run(envelope)
        except CheckFailed as failed:
            raise NotVerified(rule.id, failed.detail) from failed
