"""The checks on the service request itself: its form, its signature, its kind and its date.

Nothing but the request the supplier signed is believed. Each function looks at evidence already
fetched, decides one thing, and either returns or raises `CheckFailed`.
"""

from __future__ import annotations

from datetime import UTC

from cos_party.model import RequestEvidence
from cos_party.rules.reading import change_request
from cos_party.rules.revocation import revoked_in
from cos_party.rules.sources import FORM, OBLIGATIONS, PROFILES
from duis.errors import DuisError
from duis.signature import verify_document
from keys.errors import PathError
from keys.path import validate_path
from keys.roles import OrganisationRole, Usage
from services.chassis.checks import CheckFailed, check, need

SERVICE_REFERENCE = "6.23"
COMMAND_VARIANT = 1


def failed(error: DuisError) -> CheckFailed:
    """The refusal that says what the reader of service requests found, and where."""
    return CheckFailed(error.detail or str(error), found=f"{error.reason} {error.where}".strip())


@check("request.wellformed", source=FORM, code="C01")
def wellformed(evidence: RequestEvidence) -> None:
    """One XML document with nothing hidden in it."""
    if evidence.reading.malformed is not None:
        raise failed(evidence.reading.malformed)


@check("request.schema", source=FORM, code="C02")
def schema(evidence: RequestEvidence) -> None:
    """Follows the schema of the user interface."""
    need(evidence.reading.document, "document that can be read")
    if evidence.reading.schema is not None:
        raise failed(evidence.reading.schema)


@check("request.supported", source=OBLIGATIONS, code="C03")
def supported(evidence: RequestEvidence) -> None:
    """Is service request 6.23, Update Security Credentials (CoS).

    In its header and in its body.
    """
    reading = evidence.reading
    if reading.unsupported is not None:
        raise failed(reading.unsupported)
    if reading.variant is not None:
        return  # the right service; what is wrong with it is for `command_variant`
    header = need(reading.request, "service request").header
    found = (header.service_reference, header.service_reference_variant)
    if found != (SERVICE_REFERENCE, SERVICE_REFERENCE):
        raise CheckFailed(
            "the service reference is not that of a change of supplier",
            expected=f"{SERVICE_REFERENCE} {SERVICE_REFERENCE}",
            found=" ".join(found),
        )


@check("request.signature_form", source=FORM, code="C04")
def signature_form(evidence: RequestEvidence) -> None:
    """Carries one XML signature in the one form allowed."""
    need(evidence.reading.document, "document that can be read")
    if evidence.reading.signature_form is not None:
        raise failed(evidence.reading.signature_form)


@check("request.certificate_known", source=OBLIGATIONS, code="C05")
def certificate_known(evidence: RequestEvidence) -> None:
    """Names a signing certificate that the SMKI repository knows."""
    reference = need(evidence.reading.reference, "signature")
    if evidence.signatory is None:
        raise CheckFailed(
            f"the signing certificate is not known: {evidence.signatory_detail}",
            expected="a certificate of the SMKI repository",
            found=f"{reference.issuer} serial {reference.serial}",
        )


@check("request.certificate_path", source=OBLIGATIONS, code="C06")
def certificate_path(evidence: RequestEvidence) -> None:
    """Its signing certificate leads to the organisation root.

    And is within its validity now.
    """
    certificate = need(evidence.signatory, "signing certificate")
    trust = evidence.trust
    try:
        validate_path(
            certificate,
            trust.organisation_authorities,
            trust.organisation_root,
            at=evidence.at,
        )
    except PathError as error:
        raise CheckFailed(
            error.detail, expected="a path to the organisation root", found=error.failure.value
        ) from error


@check("request.certificate_revoked", source=OBLIGATIONS, code="C07")
def certificate_revoked(evidence: RequestEvidence) -> None:
    """Its signing certificate is not revoked.

    The list that says so is there and current.
    """
    certificate = need(evidence.signatory, "signing certificate")
    revoked_in(evidence.revocations, (certificate,), evidence.at)


@check("request.signing_role", source=PROFILES, code="C08")
def signing_role(evidence: RequestEvidence) -> None:
    """Its signing certificate is for XML signing (OU 87)."""
    certificate = need(evidence.signatory, "signing certificate")
    if certificate.role != OrganisationRole.XML_SIGNING:
        raise CheckFailed(
            "the certificate is not for signing service requests",
            expected=f"OU {OrganisationRole.XML_SIGNING.value}",
            found=f"OU {certificate.role}",
        )
    if certificate.usage != Usage.DIGITAL_SIGNATURE:
        raise CheckFailed(
            "the certificate is not for digital signatures",
            expected=Usage.DIGITAL_SIGNATURE.value,
            found=str(certificate.usage),
        )


@check("request.originator", source=OBLIGATIONS, code="C09")
def originator(evidence: RequestEvidence) -> None:
    """Was signed by the party that asks.

    The certificate's entity identifier is the request's originator.
    """
    request = need(evidence.reading.request, "service request")
    certificate = need(evidence.signatory, "signing certificate")
    if certificate.subject_eui != request.header.request_id.originator:
        raise CheckFailed(
            "the signing certificate belongs to another party than the originator",
            expected=request.header.request_id.originator,
            found=str(certificate.subject_eui),
        )


@check("request.signature", source=FORM, code="C10")
def signature(evidence: RequestEvidence) -> None:
    """Its signature covers all of it and holds.

    What is approved is what was signed: the values read before are compared with the values in
    the bytes the signature covers.
    """
    certificate = need(evidence.signatory, "signing certificate")
    try:
        verified = verify_document(evidence.incoming.content, certificate.der)
        signed = change_request(verified.signed_xml)
    except DuisError as error:
        raise failed(error) from error
    if signed != evidence.reading.request:
        raise CheckFailed("the signature covers other values than the request shows")


@check("request.command_variant", source=FORM, code="C11")
def command_variant(evidence: RequestEvidence) -> None:
    """Asks for a command to a device (command variant 1)."""
    if evidence.reading.variant is not None:
        raise failed(evidence.reading.variant)
    header = need(evidence.reading.request, "service request").header
    if header.command_variant != COMMAND_VARIANT:
        raise CheckFailed(
            "this command variant asks for something else than a command to a device",
            expected=str(COMMAND_VARIANT),
            found=str(header.command_variant),
        )


@check(
    "request.execution_date",
    source="reconstruction: docs/sources.md#future-dating, #party-checks",
    code="C12",
)
def execution_date(evidence: RequestEvidence) -> None:
    """Executes now or soon enough, or cancels."""
    body = need(evidence.reading.request, "service request").body
    wanted = body.execution_date_time
    if wanted is None or body.cancels:
        return
    latest = evidence.at + evidence.limits.execution_horizon
    expected = f"{evidence.at.astimezone(UTC).isoformat()} to {latest.isoformat()}"
    if wanted < evidence.at:
        raise CheckFailed("the execution date is past", expected, wanted.isoformat())
    if wanted > latest:
        raise CheckFailed("the execution date is too far ahead", expected, wanted.isoformat())
    if wanted.microsecond:
        raise CheckFailed(
            "the execution date has a fraction of a second, which the command cannot carry",
            expected="whole seconds",
            found=wanted.isoformat(),
        )


@check("request.duplicate", source=OBLIGATIONS, code="C13")
def duplicate(evidence: RequestEvidence) -> None:
    """Was not seen before with other bytes.

    Neither the request identifier nor the transaction.
    """
    digest = evidence.incoming.digest
    earlier = evidence.earlier
    if earlier.request_digest not in (None, digest):
        raise CheckFailed(
            "another request with this identifier was signed before",
            expected=f"sha-256 {earlier.request_digest}",
            found=f"sha-256 {digest}",
        )
    if earlier.transaction_digest not in (None, digest):
        raise CheckFailed(
            "this transaction was begun with another request",
            expected=f"sha-256 {earlier.transaction_digest}",
            found=f"sha-256 {digest}",
        )


@check(
    "request.order",
    source="reconstruction: docs/sources.md#service-requests, #party-checks",
    code="C14",
)
def order(evidence: RequestEvidence) -> None:
    """Is not older than what was signed for this requester and device.

    By the supplier's own counter, in the identifier that it signed: whoever brings its requests
    cannot bring an older one after a newer one. The same counter again is for `duplicate`.
    """
    found = need(evidence.reading.request, "service request").header.request_id.counter
    last = evidence.earlier.last_counter
    if last is not None and found < last:
        raise CheckFailed(
            "a newer request of this requester for this device was signed before",
            expected=f"above {last}",
            found=str(found),
        )
