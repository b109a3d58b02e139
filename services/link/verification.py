"""The two ordered lists: what is asked of a request, what is asked of a response. Pure.

`verify` runs a list. The services run the same lists as named checks (`services.link.checks`),
where a tester can turn one off; a third party who checks kept evidence runs them from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.link import authenticity, form
from services.link.envelope import Envelope
from services.link.errors import StepFailed

_SIGNATURES = "RFC 9421"
_SEPARATION = "ECoS separation consultation (26 March 2020)"
_PROFILE = "link profile version 1 (own)"


@dataclass(frozen=True, slots=True)
class Step:
    """One question: its name (the end of a check's identifier), where it comes from, its answer."""

    name: str
    source: str
    run: Callable[[Envelope], None]
    status: int = 401

    @property
    def title(self) -> str:
        """The question's own sentence."""
        return (self.run.__doc__ or self.name).strip().splitlines()[0]


FORM: Final = (
    Step("header_once", _PROFILE, form.header_once, 400),
    Step("header_present", _PROFILE, form.header_present, 401),
    Step("content_encoding", _PROFILE, form.content_encoding, 400),
)
TARGET: Final = (
    Step("path", _PROFILE, form.path, 400),
    Step("query", _PROFILE, form.query, 400),
)
INPUT: Final = (
    Step("signature_input_form", f"{_SIGNATURES} section 4.1", form.signature_input_form, 400),
    Step("signature_form", f"{_SIGNATURES} section 4.2", form.signature_form, 400),
    Step("one_signature", f"{_SIGNATURES} section 7.2.6", form.one_signature, 400),
    Step("label", f"{_SIGNATURES} section 7.2.5", form.label, 400),
    Step("component_missing", f"{_SIGNATURES} section 7.2.1", form.component_missing),
    Step("component_extra", _PROFILE, form.component_extra),
    Step("component_order", _PROFILE, form.component_order),
    Step("parameter_missing", f"{_SIGNATURES} section 2.3", form.parameter_missing),
    Step("parameter_unknown", _PROFILE, form.parameter_unknown),
    Step("algorithm", f"{_SIGNATURES} section 7.3.6", form.algorithm),
    Step("tag", f"{_SIGNATURES} section 7.2.7", form.tag),
    Step("nonce_form", f"{_SIGNATURES} section 7.2.2", form.nonce_form),
    Step("lifetime", _PROFILE, form.lifetime),
    Step("future", f"{_SIGNATURES} section 3.2", form.future),
    Step("stale", f"{_SIGNATURES} section 3.2", form.stale),
)
AUTHENTICITY: Final = (
    Step("key", f"{_SIGNATURES} section 3.2", authenticity.key),
    Step("certificate", "RFC 5280 section 6", authenticity.certificate),
    Step("simulated", "house rule: simulated material only", authenticity.simulated),
    Step("signature", f"{_SEPARATION} 11(i); {_SIGNATURES} section 3.2", authenticity.signature),
    Step("content_digest_form", "RFC 9530 section 2", authenticity.content_digest_form, 400),
    Step("content_digest", f"{_SEPARATION} 11(i); RFC 9530 section 2", authenticity.content_digest),
    Step("peer", f"{_SEPARATION} 11(i)", authenticity.peer, 403),
    Step("sender", f"{_SEPARATION} 11(i)", authenticity.sender, 403),
    Step("recipient", _PROFILE, authenticity.recipient, 403),
    Step("content_type", _PROFILE, authenticity.content_type, 415),
)

NONCE: Final = Step("nonce", f"{_SIGNATURES} section 7.2.2", authenticity.nonce, 409)
MESSAGE: Final = (
    Step("purpose", f"{_SEPARATION} 4, 9", authenticity.purpose, 403),
    Step("route", f"{_SEPARATION} 4, 9", authenticity.route, 403),
    Step("body", "RFC 8259", authenticity.body, 422),
    Step("message_id", _PROFILE, authenticity.message_id, 409),
)
"""Asked after the nonce is spent, so that what they say is the peer's last word on the message."""

REQUEST_ENVELOPE: Final = (
    *FORM,
    *TARGET,
    *INPUT,
    *AUTHENTICITY,
    Step("message_id_form", _PROFILE, authenticity.message_id_form, 400),
)
"""Asked of a request before anything is written down."""

REQUEST_STEPS: Final = (*REQUEST_ENVELOPE, NONCE, *MESSAGE)

RESPONSE_STEPS: Final = (
    *FORM,
    *INPUT,
    *AUTHENTICITY,
    Step("purpose", _PROFILE, authenticity.answered_purpose),
    Step("message_id", _PROFILE, authenticity.answered_message),
    Step("body", "RFC 8259", authenticity.body),
)


class NotVerified(StepFailed):
    """A list of steps was not passed; `step` is the name of the one that said no."""

    def __init__(self, step: Step, failed: StepFailed) -> None:
        super().__init__(failed.detail, expected=failed.expected, found=failed.found)
        self.step = step.name


def verify(envelope: Envelope, steps_: Sequence[Step]) -> None:
    """Run the steps in order.

    Raises:
        NotVerified: one of them said no.
    """
    for step in steps_:
        try:
            step.run(envelope)
        except StepFailed as failed:
            raise NotVerified(step, failed) from failed
