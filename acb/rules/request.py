"""The checks on a service request, in order: what it is, who sent it, what it asks.

Sources: docs/sources.md#party-checks (the list), #service-requests (the envelope). The list is a
reconstruction of SEC Appendix AB, which is not public in a form that could be quoted.

Two ways of saying no. Until the sender's identity is established (everything up to and including
the signature), a refusal is a problem document with the HTTP status that the check carries: to
answer unread octets with signed XML would put this interface's signature in anybody's hands. From
then on the sender is a holder of a valid certificate, and it gets what the field gives it: a signed
DUIS Response with the check's response code, HTTP 200. `FORM_CHECKS` and `IDENTITY_CHECKS` are of
the first kind, `STANDING_CHECKS` of the second. (That a body is not too long is checked
at the edge, before it is read: `acb.request.size` of the chassis.)
"""

from __future__ import annotations

from typing import Final

from acb.model import RequestEvidence
from acb.rules.path import require_path, require_unrevoked
from acb.rules.standing import RECEIPT, STANDING_CHECKS, requested, rules_for
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
from services.chassis.checks import Check, CheckFailed, check, need

CONTENT_TYPES: Final = ("application/xml", "text/xml")

_ENVELOPE = "DUIS 5.4 XSD; docs/sources.md#service-requests"


@check("acb.request.content_type", source=_ENVELOPE, status=415)
def content_type(evidence: RequestEvidence) -> None:
    """It is sent as XML."""
    found = (evidence.content_type or "").partition(";")[0].strip().lower()
    if found not in CONTENT_TYPES:
        raise CheckFailed(
            "a service request is XML", expected=" or ".join(CONTENT_TYPES), found=found or "none"
        )


@check("acb.request.wellformed", source=_ENVELOPE, status=400)
def wellformed(evidence: RequestEvidence) -> None:
    """It is one clean XML document.

    It is one well-formed document without DTD, entity, comment or processing instruction.
    """
    _no_fault(evidence, MalformedXml)
    need(evidence.parsed, "document")


@check("acb.request.schema_version", source=_ENVELOPE, status=422)
def schema_version(evidence: RequestEvidence) -> None:
    """It names our schema."""
    _no_fault(evidence, SchemaVersionRefused)
    need(evidence.parsed, "document")


@check("acb.request.schema", source=_ENVELOPE, status=422)
def schema(evidence: RequestEvidence) -> None:
    """It is valid against the schema."""
    _no_fault(evidence, SchemaInvalid)
    need(evidence.parsed, "document")


@check("acb.request.supported", source=RECEIPT, status=422)
def supported(evidence: RequestEvidence) -> None:
    """The service is offered here."""
    _no_fault(evidence, UnsupportedService)
    rules_for(evidence)


@check("acb.request.signature_form", source=_ENVELOPE)
def signature_form(evidence: RequestEvidence) -> None:
    """It carries one signature of the one form."""
    _no_fault(evidence, DuisError)
    need(evidence.signature, "signature that names a certificate")


@check("acb.request.certificate_known", source=RECEIPT)
def certificate_known(evidence: RequestEvidence) -> None:
    """The named certificate exists."""
    named = need(evidence.signature, "signature that names a certificate")
    if evidence.certificate is None:
        raise CheckFailed(
            f"the SMKI repository has no such certificate ({ISSUER_SPELLING})",
            found=f"{named.issuer} serial {named.serial}",
        )


@check("acb.request.certificate_path", source=RECEIPT)
def certificate_path(evidence: RequestEvidence) -> None:
    """The certificate leads to the root."""
    require_path(
        need(evidence.certificate, "signing certificate"),
        need(evidence.path, "trust anchor"),
        revocation=False,
    )


@check("acb.request.certificate_revoked", source=RECEIPT)
def certificate_revoked(evidence: RequestEvidence) -> None:
    """Nothing on the path is revoked."""
    require_unrevoked(
        need(evidence.certificate, "signing certificate"), need(evidence.path, "trust anchor")
    )


@check("acb.request.signing_role", source="docs/sources.md#certificates (OU 87)")
def signing_role(evidence: RequestEvidence) -> None:
    """The certificate is for signing XML."""
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


@check("acb.request.originator", source=RECEIPT)
def originator(evidence: RequestEvidence) -> None:
    """The signer is the originator."""
    claimed = requested(evidence).header.request_id.originator
    certified = need(evidence.certificate, "signing certificate").subject_eui
    if claimed != certified:
        raise CheckFailed(
            "the request is not from the holder of the signing certificate",
            expected=certified,
            found=claimed,
        )


@check("acb.request.signature", source=_ENVELOPE)
def signature(evidence: RequestEvidence) -> None:
    """The signature is good."""
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


FORM_CHECKS: Final[tuple[Check[RequestEvidence], ...]] = (
    content_type,
    wellformed,
    schema_version,
    schema,
    supported,
    signature_form,
)
"""What the octets themselves must be, before anything is looked up."""

IDENTITY_CHECKS: Final[tuple[Check[RequestEvidence], ...]] = (
    certificate_known,
    certificate_path,
    certificate_revoked,
    signing_role,
    originator,
    signature,
)
"""Who sent it, before any record is looked at."""

REQUEST_CHECKS: Final = FORM_CHECKS + IDENTITY_CHECKS + STANDING_CHECKS
"""The whole section, in order."""
