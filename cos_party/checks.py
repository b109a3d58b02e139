"""The checks of a CoS Party: every one, in the order in which they run.

One list serves both CoS Parties; each names its own by its prefix (``ecos`` or ``tcos``). The
identifiers are permanent: other systems, tests and operators refer to them.
"""

from __future__ import annotations

from typing import Final

from cos_party.rules import (
    anomaly,
    certificates,
    floors,
    read_back,
    registration,
    request,
    response,
)
from services.chassis.checks import CheckBook, placed

REQUEST_SECTION: Final = "request"
RETURN_SECTION: Final = "response"
READ_BACK_SECTION: Final = "read_back"
QUARANTINING: Final = anomaly.threshold.id
"""The one check whose refusal is a quarantine: the same request may be asked again later."""

REQUEST: Final = (
    request.wellformed,
    request.schema,
    request.supported,
    request.command_variant,
    request.signature_form,
    request.certificate_known,
    request.certificate_path,
    request.certificate_revoked,
    request.signing_role,
    request.originator,
    request.signature,
    request.execution_date,
    request.duplicate,
    request.order,
    registration.fresh,
    registration.mpxn_known,
    registration.incoming_supplier,
    registration.device_mpxn,
    registration.pending_change,
    certificates.profile,
    certificates.role,
    certificates.owner,
    certificates.usage,
    certificates.path,
    certificates.revoked,
    certificates.path_unused,
    certificates.distinct,
    floors.headroom,
    floors.top_up,
    anomaly.threshold,
)
"""On a service request."""

RETURN: Final = (
    response.known_command,
    response.decodes,
    response.originator,
    response.recipient,
    response.message_code,
    response.counter,
    response.signature,
    response.outcome,
)
"""On a device's response or alert."""

READ_BACK: Final = (
    read_back.known_command,
    read_back.decodes,
    read_back.originator,
    read_back.answers_question,
    read_back.tells_supplier_cells,
)
"""On what the broker read back from a silent device."""


def check_book(party: str, prefix: str) -> CheckBook:
    """The book of a CoS Party: its own sections. The link adds its own."""
    return CheckBook(
        party,
        [
            *placed(prefix, REQUEST_SECTION, REQUEST),
            *placed(prefix, RETURN_SECTION, RETURN),
            *placed(prefix, READ_BACK_SECTION, READ_BACK),
        ],
    )
