"""The checks on a service request, in order: what it is, who sent it, what it asks.

Sources: docs/sources.md#party-checks (the list), #service-requests (the envelope). The list is a
reconstruction of SEC Appendix AB, which is not public in a form that could be quoted.

Two ways of saying no. Until the sender's identity is established (everything up to and including
the signature), there is nobody to whom a signed field answer could be owed, and answering unread
octets with signed XML would lend this interface's signature to strangers: those refusals are
problem documents with the HTTP status each check carries. From then on the sender is a holder of
a valid certificate, and it gets what the field gives it: a signed DUIS Response with the check's
response code, HTTP 200. `FORM_CHECKS` and `IDENTITY_CHECKS` are of the first kind,
`STANDING_CHECKS` of the second. (That a body is not too long is checked at the edge, before it is
read: `acb.request.size` of the chassis.)
"""

from __future__ import annotations

from typing import Final

from acb.model import RequestEvidence
from acb.rules.need import need
from acb.rules.path import hold_path, hold_unrevoked
from acb.rules.request_rule import RECEIPT, request_check, requested, rules_for
from acb.rules.standing import STANDING_CHECKS
from duis.errors import (
    DuisError,
    MalformedXml,
    SchemaInvalid,
    SchemaVersionRefused,
    UnsupportedService,
)
from duis.signature import verify_document
from duis.signature_form import ISSUER_SPELLING
from duis.xml import request_from_xml
from keys.roles import OrganisationRole, Usage
from services.chassis.checks import Check, CheckFailed

CONTENT_TYPES: Final = ("application/xml", "text/xml")

_ENVELOPE = "DUIS 5.4 XSD; docs/sources.md#service-requests"


def content_type(evidence: RequestEvidence) -> None:
    """The sender says it is XML."""
    found = (evidence.content_type or "").partition(";")[0].strip().lower()
    if found not in CONTENT_TYPES:
        raise CheckFailed(
            "a service request is XML", expected=" or ".join(CONTENT_TYPES), found=found or "none"
        )


def wellformed(evidence: RequestEvidence) -> None:
    """It is one well-formed document without DTD, entity, comment or processing instruction."""
    _no_fault(evidence, MalformedXml)
    need(evidence.parsed, "document")


def schema_version(evidence: RequestEvidence) -> None:
    """It names the version of the schema this interface speaks."""
    _no_fault(evidence, SchemaVersionRefused)
    need(evidence.parsed, "document")


def schema(evidence: RequestEvidence) -> None:
    """It is valid against the schema."""
    _no_fault(evidence, SchemaInvalid)
    need(evidence.parsed, "document")


def supported(evidence: RequestEvidence) -> None:
    """It asks for a service that is offered here."""
    _no_fault(evidence, UnsupportedService)
    rules_for(evidence)


def signature_form(evidence: RequestEvidence) -> None:
    """It carries one signature, in the one form allowed, naming a certificate."""
    _no_fault(evidence, DuisError)
    need(evidence.signature, "signature that names a certificate")


def certificate_known(evidence: RequestEvidence) -> None:
    """The certificate it names exists in the SMKI repository."""
    named = need(evidence.signature, "signature that names a certificate")
    if evidence.certificate is None:
        raise CheckFailed(
            f"the SMKI repository has no such certificate ({ISSUER_SPELLING})",
            found=f"{named.issuer} serial {named.serial}",
        )


def certificate_path(evidence: RequestEvidence) -> None:
    """That certificate leads to the organisation root, now."""
    _path(evidence, revocation=False)


def certificate_revoked(evidence: RequestEvidence) -> None:
    """Nothing on the path is revoked, by revocation lists that are themselves good."""
    hold_unrevoked(
        need(evidence.certificate, "signing certificate"), need(evidence.path, "trust anchor")
    )


def signing_role(evidence: RequestEvidence) -> None:
    """It is a certificate for signing XML, not one for GBCS or for an authority."""
    certificate = need(evidence.certificate, "signing certificate")
    if certificate.role != OrganisationRole.XML_SIGNING:
        raise CheckFailed(
            "the certificate is not for signing service requests",
            expected=f"role {OrganisationRole.XML_SIGNING.value}",
            found=f"role {certificate.role}",
        )
    if certificate.usage != Usage.DIGITAL_SIGNATURE:
        raise CheckFailed(
            "the certificate is not for signing",
            expected=Usage.DIGITAL_SIGNATURE.value,
            found=str(certificate.usage),
        )


def originator(evidence: RequestEvidence) -> None:
    """Who signs is who the request says it is from."""
    claimed = requested(evidence).header.request_id.originator
    certified = need(evidence.certificate, "signing certificate").subject_eui
    if claimed != certified:
        raise CheckFailed(
            "the request is not from the holder of the signing certificate",
            expected=certified,
            found=claimed,
        )


def signature(evidence: RequestEvidence) -> None:
    """The signature is good, over the whole document, and what was signed is what was read."""
    certificate = need(evidence.certificate, "signing certificate")
    try:
        verified = verify_document(evidence.body, certificate.der)
        signed = request_from_xml(verified.signed_xml)
    except DuisError as error:
        raise CheckFailed(str(error), found=error.reason) from error
    if signed != evidence.request:
        raise CheckFailed("what was signed is not what was read")


def _no_fault(evidence: RequestEvidence, kind: type[DuisError]) -> None:
    if isinstance(evidence.fault, kind):
        raise CheckFailed(str(evidence.fault), found=evidence.fault.reason)


def _path(evidence: RequestEvidence, *, revocation: bool) -> None:
    hold_path(
        need(evidence.certificate, "signing certificate"),
        need(evidence.path, "trust anchor"),
        revocation=revocation,
    )


FORM_CHECKS: Final[tuple[Check[RequestEvidence], ...]] = (
    request_check("request.content_type", "It is sent as XML", content_type, _ENVELOPE, status=415),
    request_check(
        "request.wellformed", "It is one clean XML document", wellformed, _ENVELOPE, status=400
    ),
    request_check(
        "request.schema_version", "It names our schema", schema_version, _ENVELOPE, status=422
    ),
    request_check(
        "request.schema", "It is valid against the schema", schema, _ENVELOPE, status=422
    ),
    request_check(
        "request.supported", "The service is offered here", supported, RECEIPT, status=422
    ),
    request_check(
        "request.signature_form",
        "It carries one signature of the one form",
        signature_form,
        _ENVELOPE,
    ),
)
"""What the octets themselves must be, before anything is looked up."""

IDENTITY_CHECKS: Final[tuple[Check[RequestEvidence], ...]] = (
    request_check(
        "request.certificate_known", "The named certificate exists", certificate_known, RECEIPT
    ),
    request_check(
        "request.certificate_path", "The certificate leads to the root", certificate_path, RECEIPT
    ),
    request_check(
        "request.certificate_revoked",
        "Nothing on the path is revoked",
        certificate_revoked,
        RECEIPT,
    ),
    request_check(
        "request.signing_role",
        "The certificate is for signing XML",
        signing_role,
        "docs/sources.md#certificates (OU 87)",
    ),
    request_check("request.originator", "The signer is the originator", originator, RECEIPT),
    request_check("request.signature", "The signature is good", signature, _ENVELOPE),
)
"""Who sent it, before any record is looked at."""

REQUEST_CHECKS: Final = FORM_CHECKS + IDENTITY_CHECKS + STANDING_CHECKS
"""The whole section, in order."""
