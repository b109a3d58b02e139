"""6.17, 6.15.2 and 6.24.2: a device's own keys and certificates, commanded by its supplier.

Use cases CS02c, CS02d and CS02e, critical: variant 4 has the command written as a Pre-Command,
variant 5 brings it back with the supplier's signature (as 6.15.1, `acb.services.pre_command`).

=======================================  ==============================  =======================
service                                  GBCS payload                    answer
=======================================  ==============================  =======================
6.17 Issue Security Credentials          CS02c: key usage                certification request
6.15.2 Update Security Credentials       CS02d: certificate              result
6.24.2 Retrieve Device Credentials       CS02e: key usage                certificate
=======================================  ==============================  =======================

Layouts: docs/sources.md#device-credentials (RTDS vectors). That only the supplier in the device's
signing cell may command this is a reconstruction; so are the eligible roles. Whether a
certificate leads to the device root is the device's own business: the broker looks at whose it is,
what for, and how its public key is written, because by that record it makes the next MACs and
verifies signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from acb.model import ServiceRules
from acb.rules import answer, codes
from acb.rules.answer import AnswerEvidence, Learned, Sent, read_answer
from acb.rules.expected import SUPPLIER_SIGNING
from acb.rules.path import require_path
from acb.services import pre_command as written
from acb.services.evidence import RECONSTRUCTION, ServiceEvidence
from acb.services.service import Judgement, Service, Signer, Variant
from duis.model import (
    CredentialType,
    IssueSecurityCredentials,
    PreCommand,
    RetrieveDeviceSecurityCredentialsDevice,
    UpdateSecurityCredentialsDevice,
)
from gbcs.codes import CertificateUpdateResult, Cra, KeyUsage, MessageCode
from gbcs.errors import GbcsError
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    CertificateUpdateResponse,
    KeyUsageRequest,
    decode_certificate_read_response,
    decode_certificate_update,
    decode_certificate_update_response,
    decode_issue_response,
    decode_key_usage_request,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import CertificateError
from keys.octets import public_key_fault
from keys.roles import Usage
from services.chassis.checks import Approved, Check, CheckFailed, check, need

CODES: Final = {
    "6.17": MessageCode.ISSUE_SECURITY_CREDENTIALS,
    "6.15.2": MessageCode.UPDATE_DEVICE_CERTIFICATE,
    "6.24.2": MessageCode.PROVIDE_DEVICE_CERTIFICATE,
}
_READERS: Final[dict[int, Callable[[bytes], Any]]] = {
    MessageCode.ISSUE_SECURITY_CREDENTIALS: decode_issue_response,
    MessageCode.UPDATE_DEVICE_CERTIFICATE: decode_certificate_update_response,
    MessageCode.PROVIDE_DEVICE_CERTIFICATE: decode_certificate_read_response,
}
OWN_USAGES: Final = (Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT)
_KEY_USAGES: Final = {
    CredentialType.DIGITAL_SIGNATURE: KeyUsage.DIGITAL_SIGNATURE,
    CredentialType.KEY_AGREEMENT: KeyUsage.KEY_AGREEMENT,
}


_LAYOUT: Final = "docs/sources.md#message-layout, #device-credentials (RTDS vectors)"
_KEY_FORM: Final = "GBCS 0.8.1 p141; RFC 5480 2.1.1"
_ANSWER: Final = (
    "docs/sources.md#signature, #message-categories, #device-credentials (RTDS vectors)"
)
_CELL: Final = SUPPLIER_SIGNING.name


def pre_command(evidence: ServiceEvidence) -> PreCommand:
    """The command for the user to sign, with the counter of its request."""
    name = evidence.request.header.request_id
    other = OtherInformation(_code(evidence))
    header = GroupingHeader(Cra.COMMAND, name.counter, name.originator, name.target, other)
    return PreCommand(
        written.GBCS_VERSION, encode(Message(header, _payload(evidence), signature=None))
    )


@check("acb.device_pre_command.holder", source=RECONSTRUCTION, code=codes.DEVICE_NOT_ELIGIBLE)
def holder(evidence: ServiceEvidence) -> None:
    """The supplier's own device.

    Its signing cell holds the user's certificate.
    """
    found = _held(evidence).subject_eui
    if found != evidence.requester:
        raise CheckFailed(
            f"{_CELL} does not hold a certificate of the user",
            expected=evidence.requester,
            found=found,
        )


@check(
    "acb.device_pre_command.certificate",
    source=RECONSTRUCTION,
    code=codes.CREDENTIALS_CERTIFICATE,
)
def certificate(evidence: ServiceEvidence) -> None:
    """The device's own certificate.

    A certificate for the device is its own, for one of its two keys.
    """
    if (given := _given(evidence)) is None:
        return
    target = evidence.target
    if not given.is_device or given.subject_eui != target or given.usage not in OWN_USAGES:
        raise CheckFailed(
            "not a certificate of the device", expected=target, found=str(given.subject_eui)
        )


@check("acb.device_pre_command.public_key", source=_KEY_FORM, code=codes.CREDENTIALS_CERTIFICATE)
def public_key(evidence: ServiceEvidence) -> None:
    """The key in it is P-256 by name and an uncompressed point."""
    given = _given(evidence)
    if given is not None and (fault := public_key_fault(given.octets.public_key)):
        raise CheckFailed(
            f"the public key of the certificate: {fault}",
            expected="P-256 by name, an uncompressed point",
            found=given.octets.public_key[:40].hex(),
        )


@check("acb.device_signed_pre_command.decode", source=_LAYOUT, code=codes.CREDENTIALS_FORM)
def decode(evidence: ServiceEvidence) -> None:
    """It can be read.

    A GBCS message, with the payload that its message code says.
    """
    if evidence.signed.fault is not None:
        raise CheckFailed(evidence.signed.fault)
    message = need(evidence.signed.message, "signed command")
    try:
        if message.message_code == MessageCode.UPDATE_DEVICE_CERTIFICATE:
            decode_certificate_update(message.payload)
        else:
            decode_key_usage_request(message.payload)
    except GbcsError as error:
        raise CheckFailed(str(error)) from error


@check("acb.device_signed_pre_command.message_code", source=_LAYOUT, code=codes.CREDENTIALS_FORM)
def message_code(evidence: ServiceEvidence) -> None:
    """Of this service.

    It is the use case of the service requested.
    """
    wanted, found = (
        int(_code(evidence)),
        need(evidence.signed.message, "signed command").message_code,
    )
    if wanted != found:
        raise CheckFailed("another use case", expected=f"0x{wanted:04X}", found=f"0x{found:04X}")


@check(
    "acb.device_signed_pre_command.immediate",
    source="a limit of this simulation",
    code=codes.EXECUTION_DATE,
)
def immediate(evidence: ServiceEvidence) -> None:
    """To be done at once."""
    at = getattr(evidence.request.body, "execution_date_time", None)
    if at is not None:
        raise CheckFailed("this service is not offered for a later date here", found=str(at))


@check(
    "acb.device_signed_pre_command.signer",
    source=RECONSTRUCTION,
    code=codes.CREDENTIALS_SIGNATURE,
)
def signer(evidence: ServiceEvidence) -> None:
    """The certificate it is judged by is good and not revoked.

    It is the one in the supplier's signing cell, and leads to the root.
    """
    require_path(_held(evidence), need(evidence.path, "trust anchor"), revocation=True)


@check(
    "acb.device_signed_pre_command.signature",
    source="docs/sources.md#signature",
    code=codes.CREDENTIALS_SIGNATURE,
)
def signature(evidence: ServiceEvidence) -> None:
    """Signed by the key in the supplier's cell."""
    held = _held(evidence)
    try:
        verify_signature(need(evidence.signed.message, "signed command"), held.public_key)
    except GbcsError as error:
        raise CheckFailed(
            f"the signature is not by the key of the certificate in {_CELL}",
            expected=held.key_identifier.hex(),
        ) from error


def _given(evidence: ServiceEvidence) -> Certificate | None:
    """The certificate that the device is to use; None where the service has none.

    Raises:
        CheckFailed: it is none.
    """
    body = evidence.request.body
    if isinstance(body, UpdateSecurityCredentialsDevice):
        der = body.device_certificate
    elif (
        evidence.signed.message is None or _code(evidence) != MessageCode.UPDATE_DEVICE_CERTIFICATE
    ):
        return None
    else:
        der = decode_certificate_update(evidence.signed.message.payload).certificate
    try:
        return Certificate.from_der(der)
    except CertificateError as error:
        raise CheckFailed(str(error)) from error


def _code(evidence: ServiceEvidence) -> MessageCode:
    return CODES[evidence.request.header.service_reference_variant]


def _payload(evidence: ServiceEvidence) -> bytes:
    body = evidence.request.body
    if isinstance(body, UpdateSecurityCredentialsDevice):
        return encode_certificate_update(CertificateUpdate(body.device_certificate))
    if isinstance(body, IssueSecurityCredentials | RetrieveDeviceSecurityCredentialsDevice):
        return encode_key_usage_request(KeyUsageRequest(_KEY_USAGES[body.credential_type]))
    raise CheckFailed("the request is not about a device's own credentials")


def _held(evidence: ServiceEvidence) -> Certificate:
    device = need(evidence.device, "device record")
    return need(device.cells.get(_CELL), f"certificate in {_CELL}")


def read_own_answer(raw: bytes, sent: Sent) -> AnswerEvidence[Any]:
    """A certification request, a result or a certificate, read as far as it can be."""
    return read_answer(raw, sent, _READERS[sent.command.message_code])


def learn_certificate(approved: Approved[AnswerEvidence[Any]]) -> Learned:
    """The certificate that the device says it uses from now on, if it says so.

    The response to CS02d is signed by the key that was in use when the command came
    (reconstruction).
    """
    result = approved.evidence.payload
    success = CertificateUpdateResult.SUCCESS
    if not isinstance(result, CertificateUpdateResponse) or result.result != success:
        return Learned()
    sent = decode_certificate_update(approved.evidence.sent.command.payload)
    return Learned(installed=Certificate.from_der(sent.certificate))


ASKED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (holder, certificate, public_key)

SIGNED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    decode,
    written.protection.again("acb.device_signed_pre_command.protection", source=_LAYOUT),
    written.originator.again("acb.device_signed_pre_command.originator", source=_LAYOUT),
    written.recipient.again("acb.device_signed_pre_command.recipient", source=_LAYOUT),
    message_code,
    written.counter.again("acb.device_signed_pre_command.counter", source=_LAYOUT),
    immediate,
    holder.again("acb.device_signed_pre_command.holder"),
    certificate.again("acb.device_signed_pre_command.certificate"),
    public_key.again("acb.device_signed_pre_command.public_key"),
    signer,
    signature,
)

DEVICE_ANSWER_CHECKS: Final[tuple[Check[AnswerEvidence[Any]], ...]] = (
    answer.received.again("acb.device_answer.received", source=_ANSWER),
    answer.readable.again("acb.device_answer.decode", source=_ANSWER),
    answer.header.again("acb.device_answer.header", source=_ANSWER),
    answer.signature.again("acb.device_answer.signature", source=_ANSWER),
)


def device_credentials(variant: str) -> Service:
    """One of the three services: what differs, differs by message code."""
    return Service(
        ServiceRules(
            variant=variant,
            reference=".".join(variant.split(".")[:2]),
            command_variants=frozenset({4, 5}),
            roles=frozenset({"IS", "GS"}),
            device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
            uses_cos_party=False,
        ),
        {
            4: Variant(ASKED_CHECKS, answer=pre_command),
            5: Variant(SIGNED_CHECKS, Signer.USER, command=written.signed_command),
        },
        response=Judgement(DEVICE_ANSWER_CHECKS, read_own_answer, learn_certificate),
    )
