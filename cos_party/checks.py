"""The checks of a CoS Party: every one, in the order in which they run.

One list serves both CoS Parties; each names its own by its prefix (``ecos`` or ``tcos``). The
identifiers are permanent: other systems, tests and operators refer to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cos_party.model import RequestEvidence, ReturnEvidence
from cos_party.rules import anomaly as anomaly_checks
from cos_party.rules import certificates as certificate_checks
from cos_party.rules import floors as floor_checks
from cos_party.rules import read_back as read_back_checks
from cos_party.rules import registration as registration_checks
from cos_party.rules import request as request_checks
from cos_party.rules import response as return_checks
from cos_party.rules.codes import ECOS_ERROR_CODES
from services.chassis.checks import Check, CheckBook

REQUEST_SECTION = "request"
RETURN_SECTION = "response"
READ_BACK_SECTION = "read_back"
QUARANTINING = "anomaly.threshold"
"""The one check whose refusal is a quarantine: the same request may be asked again later."""

_OBLIGATIONS = "reconstruction: docs/sources.md#party-checks (SEC Appendix AB was not to be had)"
_FORM = "DUIS 5.4 schema; docs/sources.md#service-requests"
_WARRANT = "ECoS separation consultation, paragraph 2; docs/sources.md#party-checks"
_PROFILES = "docs/sources.md#certificates (published certificates; GBCS 0.8.1 p141)"
_DEVICE = "docs/sources.md#outcomes (confirmed by RTDS vectors)"

Rule = tuple[str, str, str, Callable[[Any], None]]

_REQUEST_RULES: tuple[Rule, ...] = (
    ("request.wellformed", "One XML document with nothing hidden in it",
     _FORM, request_checks.wellformed),
    ("request.schema", "Follows the schema of the user interface",
     _FORM, request_checks.schema),
    ("request.supported", "Is service request 6.23, Update Security Credentials (CoS)",
     _OBLIGATIONS, request_checks.supported),
    ("request.command_variant", "Asks for a command to a device (command variant 1)",
     _FORM, request_checks.command_variant),
    ("request.signature_form", "Carries one XML signature in the one form allowed",
     _FORM, request_checks.signature_form),
    ("request.certificate_known", "Names a signing certificate that the SMKI repository knows",
     _OBLIGATIONS, request_checks.certificate_known),
    ("request.certificate_path", "Its signing certificate leads to the organisation root",
     _OBLIGATIONS, request_checks.certificate_path),
    ("request.certificate_revoked", "Its signing certificate is not revoked",
     _OBLIGATIONS, request_checks.certificate_revoked),
    ("request.signing_role", "Its signing certificate is for XML signing (OU 87)",
     _PROFILES, request_checks.signing_role),
    ("request.originator", "Was signed by the party that asks",
     _OBLIGATIONS, request_checks.originator),
    ("request.signature", "Its signature covers all of it and holds",
     _FORM, request_checks.signature),
    ("request.execution_date", "Executes now or soon enough, or cancels",
     "reconstruction: docs/sources.md#future-dating, #party-checks", request_checks.execution_date),
    ("request.duplicate", "Was not seen before with other bytes",
     _OBLIGATIONS, request_checks.duplicate),
    ("request.order", "Is not older than what was signed for this requester and device",
     "reconstruction: docs/sources.md#service-requests, #party-checks",
     request_checks.order),
    ("registration.fresh", "The registration data to judge by is recent",
     _OBLIGATIONS, registration_checks.fresh),
    ("registration.mpxn_known", "Registration knows the MPxN",
     _OBLIGATIONS, registration_checks.mpxn_known),
    ("registration.incoming_supplier", "The requester supplies the MPxN when the change happens",
     _WARRANT, registration_checks.incoming_supplier),
    ("registration.device_mpxn", "The device belongs to the MPxN",
     _OBLIGATIONS, registration_checks.device_mpxn),
    ("registration.pending_change", "Takes the place of no other supplier's waiting change",
     "reconstruction: docs/sources.md#future-dating, #party-checks",
     registration_checks.pending_change),
    ("certificates.profile", "Every certificate is readable and of its profile",
     _PROFILES, certificate_checks.profile),
    ("certificates.role", "Every replacement is a supplier's certificate (OU 02)",
     _OBLIGATIONS, certificate_checks.role),
    ("certificates.owner", "Every replacement belongs to the requester's participant",
     _WARRANT, certificate_checks.owner),
    ("certificates.usage", "Every replacement is for what its cell is for",
     "docs/sources.md#update-payload, #device-checks", certificate_checks.usage),
    ("certificates.path", "Every replacement leads to the root through the path supplied",
     "docs/sources.md#device-checks, #outcomes", certificate_checks.path),
    ("certificates.revoked", "No replacement is revoked",
     _OBLIGATIONS, certificate_checks.revoked),
    ("certificates.path_unused", "No path certificate is without use",
     "reconstruction: nothing goes to a device that it does not need",
     certificate_checks.path_unused),
    ("certificates.distinct", "No key serves two cells",
     "GBCS 0.8.1 p141: one certificate, one key usage", certificate_checks.distinct),
    ("floors.headroom", "The floors leave counter values above them",
     "reconstruction: docs/sources.md#counters", floor_checks.headroom),
    ("floors.top_up", "A top-up floor comes with a top-up certificate",
     "GBCS 0.8.1 p179; docs/sources.md#update-payload", floor_checks.top_up),
    (QUARANTINING, "No more commands than the anomaly thresholds allow",
     "docs/sources.md#anomaly-detection; SEC glossary, Threshold Anomaly Detection",
     anomaly_checks.threshold),
)  # fmt: skip

_RETURN_RULES: tuple[Rule, ...] = (
    ("response.known_command", "Belongs to a command this party signed",
     _DEVICE, return_checks.known_command),
    ("response.decode", "Is one readable GBCS message",
     _DEVICE, return_checks.decodes),
    ("response.originator", "Comes from the device the command was for",
     _DEVICE, return_checks.originator),
    ("response.recipient", "Is addressed to this CoS Party",
     _DEVICE, return_checks.recipient),
    ("response.message_code", "Is of the command's use case",
     _DEVICE, return_checks.message_code),
    ("response.counter", "Answers that command and no other",
     _DEVICE, return_checks.counter),
    ("response.signature", "Is signed by the device",
     "GBCS 0.8.1 p35; docs/sources.md#signature", return_checks.signature),
    ("response.outcome", "Says what the command could have led to",
     _DEVICE, return_checks.outcome),
)  # fmt: skip

_READ_BACK_RULES: tuple[Rule, ...] = (
    ("read_back.known_command", "Belongs to a command this party signed",
     _DEVICE, return_checks.known_command),
    ("read_back.decode", "Is one readable GBCS message",
     _DEVICE, return_checks.decodes),
    ("read_back.originator", "Comes from the device the command was for",
     _DEVICE, return_checks.originator),
    ("read_back.answer", "Is a device's answer",
     "docs/sources.md#device-credentials", read_back_checks.answers_question),
    ("read_back.role", "Tells of the cells that the command was to change",
     "reconstruction: docs/sources.md#device-credentials, #party-checks",
     read_back_checks.tells_supplier_cells),
)  # fmt: skip


def request_checks_of(prefix: str) -> list[Check[RequestEvidence]]:
    """The checks on a service request, in order, named with `prefix`."""
    return [_check(prefix, REQUEST_SECTION, rule) for rule in _REQUEST_RULES]


def return_checks_of(prefix: str) -> list[Check[ReturnEvidence]]:
    """The checks on a device's response or alert, in order, named with `prefix`."""
    return [_check(prefix, RETURN_SECTION, rule) for rule in _RETURN_RULES]


def read_back_checks_of(prefix: str) -> list[Check[ReturnEvidence]]:
    """The checks on what the broker read back from a silent device, in order."""
    return [_check(prefix, READ_BACK_SECTION, rule) for rule in _READ_BACK_RULES]


def check_book(party: str, prefix: str) -> CheckBook:
    """The book of a CoS Party: its own sections. The link adds its own."""
    return CheckBook(
        party,
        [
            *request_checks_of(prefix),
            *return_checks_of(prefix),
            *read_back_checks_of(prefix),
        ],
    )


def _check(prefix: str, section: str, rule: Rule) -> Check[Any]:
    name, title, source, run = rule
    return Check(
        id=f"{prefix}.{name}",
        title=title,
        source=source,
        run=run,
        code=ECOS_ERROR_CODES[name],
        section=section,
    )
