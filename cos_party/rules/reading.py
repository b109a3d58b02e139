"""Reading what was brought: a service request, or a device's response or alert.

Nothing here judges. Each function goes as far as it can and notes what stopped it, so that the
check that owns the step can say so, and only that one.
"""

from __future__ import annotations

from typing import Final

from lxml import etree

from cos_party.model import (
    ChangeRequest,
    PathCertificateEvidence,
    Reading,
    ReplacementEvidence,
    ReturnReading,
)
from cos_party.rules.build import replacements
from duis.errors import DuisError, MalformedXml, UnsupportedService
from duis.gate import Parsed, parse, validate
from duis.model import UpdateSecurityCredentialsCoS
from duis.names import sr
from duis.signature import SignatureReference, signature_reference
from duis.xml import request_from_xml
from gbcs.codes import MessageCode
from gbcs.errors import GbcsError
from gbcs.message import decode
from gbcs.payloads.credentials import decode_alert, decode_response
from gbcs.payloads.details import decode_details
from keys.certificate import Certificate
from keys.errors import CertificateError

CHANGE_OF_SUPPLIER: Final = ("6.23", "6.23", "UpdateSecurityCredentialsCoS")
"""Service reference, its variant, and body element of the one service a CoS Party acts on."""


def read_request(content: bytes) -> Reading:
    """Read a service request as far as possible: form, schema, values, signature's form."""
    try:
        parsed = parse(content)
    except MalformedXml as error:
        return Reading(malformed=error)
    schema: DuisError | None = None
    unsupported: DuisError | None = None
    variant: DuisError | None = None
    request: ChangeRequest | None = None
    try:
        validate(parsed)
        request = change_request(parsed)
    except DuisError as error:
        asked = service_of(parsed)
        if asked != CHANGE_OF_SUPPLIER and all(asked):
            unsupported = error  # another service, or a header and a body that disagree
        elif isinstance(error, UnsupportedService):
            variant = error
        else:
            schema = error
    reference: SignatureReference | None = None
    signature_form: DuisError | None = None
    try:
        reference = signature_reference(content)
    except DuisError as error:
        signature_form = error
    return Reading(
        document=parsed,
        schema=schema,
        unsupported=unsupported,
        variant=variant,
        signature_form=signature_form,
        request=request,
        reference=reference,
    )


def service_of(parsed: Parsed) -> tuple[str, str, str]:
    """What a document says it asks for: reference, variant, body element; "" where it is silent."""
    header = parsed.root.find(sr("Header"))
    body = parsed.root.find(sr("Body"))
    content = None if body is None else next(iter(body), None)
    texts = ("", "")
    if header is not None:
        texts = (
            header.findtext(sr("ServiceReference")) or "",
            header.findtext(sr("ServiceReferenceVariant")) or "",
        )
    return *texts, "" if content is None else etree.QName(content).localname


def change_request(document: Parsed | bytes) -> ChangeRequest:
    """The change of supplier a document asks for.

    Raises:
        UnsupportedService: it asks for something else.
        DuisError: it cannot be read.
    """
    request = request_from_xml(document)
    if not isinstance(request.body, UpdateSecurityCredentialsCoS):
        raise UnsupportedService(
            "unsupported_service",
            request.header.service_reference_variant,
            "a CoS Party acts on changes of supplier only",
        )
    return ChangeRequest(request.header, request.body)


def read_replacements(request: ChangeRequest | None) -> tuple[ReplacementEvidence, ...]:
    """The replacement certificates of a request, each beside its cell; none without a request."""
    if request is None:
        return ()
    found = []
    for cell, der in replacements(request.body):
        certificate, failure = _certificate(der)
        found.append(ReplacementEvidence(cell, der, certificate, failure))
    return tuple(found)


def read_path_certificates(request: ChangeRequest | None) -> tuple[PathCertificateEvidence, ...]:
    """The certification path certificates of a request, in its order."""
    if request is None:
        return ()
    return tuple(
        PathCertificateEvidence(der, *_certificate(der)) for der in request.body.path_certificates
    )


def read_return(content: bytes) -> ReturnReading:
    """Read a GBCS message from a device: the frame, then the payload its message code promises.

    A message of another use case is read as far as its frame: `response.message_code` judges it.
    """
    try:
        message = decode(content)
    except GbcsError as error:
        return ReturnReading(failure=error)
    try:
        if message.message_code == MessageCode.SUPPLIER_BY_TRANS_COS:
            response = decode_response(message.payload)
            return ReturnReading(message=message, outcome=response.outcome)
        if message.message_code == MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT:
            alert = decode_alert(message.payload)
            return ReturnReading(
                message=message,
                outcome=alert.outcome,
                alert_code=alert.alert_code,
                executed_at=alert.execution_date_time,
            )
        if message.message_code == MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS:
            return ReturnReading(message=message, details=decode_details(message.payload))
    except GbcsError as error:
        return ReturnReading(failure=error, message=message)
    return ReturnReading(message=message)


def _certificate(der: bytes) -> tuple[Certificate | None, CertificateError | None]:
    try:
        return Certificate.from_der(der), None
    except CertificateError as error:
        return None, error
