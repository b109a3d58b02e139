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

from typing import Final

from acb.model import ServiceRules
from acb.rules import codes
from acb.rules.need import need
from acb.rules.path import hold_path
from acb.services.evidence import ServiceEvidence, Variant, service_check
from acb.services.pre_command import (
    GBCS_VERSION,
    counter,
    originator,
    protection,
    recipient,
    signed_command,
)
from duis.model import (
    CredentialType,
    IssueSecurityCredentials,
    PreCommand,
    RetrieveDeviceSecurityCredentialsDevice,
    UpdateSecurityCredentialsDevice,
)
from gbcs.codes import Cra, KeyUsage, MessageCode
from gbcs.errors import GbcsError
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    decode_certificate_update,
    decode_key_usage_request,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import CertificateError
from keys.octets import public_key_fault
from keys.roles import Usage
from services.chassis.checks import Check, CheckFailed

ASKED: Final = "device_pre_command"
SIGNED: Final = "device_signed_pre_command"
SUPPLIER_SIGNING: Final = "supplier/digitalSignature/management"

CODES: Final = {
    "6.17": MessageCode.ISSUE_SECURITY_CREDENTIALS,
    "6.15.2": MessageCode.UPDATE_DEVICE_CERTIFICATE,
    "6.24.2": MessageCode.PROVIDE_DEVICE_CERTIFICATE,
}
OWN_USAGES: Final = (Usage.DIGITAL_SIGNATURE, Usage.KEY_AGREEMENT)
_KEY_USAGES: Final = {
    CredentialType.DIGITAL_SIGNATURE: KeyUsage.DIGITAL_SIGNATURE,
    CredentialType.KEY_AGREEMENT: KeyUsage.KEY_AGREEMENT,
}


def rules_of(variant: str) -> ServiceRules:
    """What the interface allows for one of the three services."""
    return ServiceRules(
        variant=variant,
        reference=".".join(variant.split(".")[:2]),
        command_variants=frozenset({4, 5}),
        roles=frozenset({"IS", "GS"}),
        device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
        uses_cos_party=False,
    )


def pre_command(evidence: ServiceEvidence) -> PreCommand:
    """The command for the user to sign, with the counter of its request."""
    name = evidence.request.header.request_id
    other = OtherInformation(_code(evidence))
    header = GroupingHeader(Cra.COMMAND, name.counter, name.originator, name.target, other)
    return PreCommand(GBCS_VERSION, encode(Message(header, _payload(evidence), signature=None)))


def holder(evidence: ServiceEvidence) -> None:
    """The supplier's signing cell in the device holds the user's certificate."""
    found = _held(evidence).subject_eui
    if found != evidence.asker:
        raise CheckFailed(
            f"{SUPPLIER_SIGNING} does not hold a certificate of the user",
            expected=evidence.asker,
            found=found,
        )


def certificate(evidence: ServiceEvidence) -> None:
    """A certificate for the device is the device's own, for one of its two keys."""
    if (given := _given(evidence)) is None:
        return
    target = evidence.request.header.request_id.target
    if not given.is_device or given.subject_eui != target or given.usage not in OWN_USAGES:
        raise CheckFailed(
            "not a certificate of the device", expected=target, found=str(given.subject_eui)
        )


def public_key(evidence: ServiceEvidence) -> None:
    """The key in a certificate for the device is written as P-256 by name, with x and y."""
    given = _given(evidence)
    if given is not None and (fault := public_key_fault(given.octets.public_key)):
        raise CheckFailed(
            f"the public key of the certificate: {fault}",
            expected="P-256 by name, an uncompressed point",
            found=given.octets.public_key[:40].hex(),
        )


def decode(evidence: ServiceEvidence) -> None:
    """It is a GBCS message, with the payload that its message code says."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    message = need(evidence.message, "signed command")
    try:
        if message.message_code == MessageCode.UPDATE_DEVICE_CERTIFICATE:
            decode_certificate_update(message.payload)
        else:
            decode_key_usage_request(message.payload)
    except GbcsError as error:
        raise CheckFailed(str(error)) from error


def message_code(evidence: ServiceEvidence) -> None:
    """It is the use case of the service requested."""
    wanted, found = int(_code(evidence)), need(evidence.message, "signed command").message_code
    if wanted != found:
        raise CheckFailed("another use case", expected=f"0x{wanted:04X}", found=f"0x{found:04X}")


def immediate(evidence: ServiceEvidence) -> None:
    """It is to be done at once."""
    at = getattr(evidence.request.body, "execution_date_time", None)
    if at is not None:
        raise CheckFailed("this service is not offered for a later date here", found=str(at))


def signer(evidence: ServiceEvidence) -> None:
    """The certificate in the supplier's signing cell leads to the root and is not revoked."""
    hold_path(_held(evidence), need(evidence.path, "trust anchor"), revocation=True)


def signature(evidence: ServiceEvidence) -> None:
    """The signature verifies by the certificate in the supplier's signing cell."""
    held = _held(evidence)
    try:
        verify_signature(need(evidence.message, "signed command"), held.public_key)
    except GbcsError as error:
        raise CheckFailed(
            f"the signature is not by the key of the certificate in {SUPPLIER_SIGNING}",
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
    elif evidence.message is None or _code(evidence) != MessageCode.UPDATE_DEVICE_CERTIFICATE:
        return None
    else:
        der = decode_certificate_update(evidence.message.payload).certificate
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
    return need(device.cells.get(SUPPLIER_SIGNING), f"certificate in {SUPPLIER_SIGNING}")


_LAYOUT: Final = "docs/sources.md#message-layout, #device-credentials (RTDS vectors)"
_KEY_FORM: Final = "GBCS 0.8.1 p141; RFC 5480 2.1.1"

ASKED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    service_check(ASKED, "holder", "The supplier's own device", holder, codes.DEVICE_NOT_ELIGIBLE),
    service_check(
        ASKED,
        "certificate",
        "The device's own certificate",
        certificate,
        codes.CREDENTIALS_CERTIFICATE,
    ),
    service_check(
        ASKED,
        "public_key",
        "The key in it is P-256 by name and an uncompressed point",
        public_key,
        codes.CREDENTIALS_CERTIFICATE,
        source=_KEY_FORM,
    ),
)

SIGNED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    *(
        service_check(SIGNED, name, title, run, codes.CREDENTIALS_FORM, source=_LAYOUT)
        for name, title, run in (
            ("decode", "It can be read", decode),
            ("protection", "A signed command, no MAC, no extras", protection),
            ("originator", "From who asks", originator),
            ("recipient", "To the device requested", recipient),
            ("message_code", "Of this service", message_code),
            ("counter", "Its counter advanced", counter),
        )
    ),
    service_check(
        SIGNED,
        "immediate",
        "To be done at once",
        immediate,
        codes.EXECUTION_DATE,
        source="a limit of this simulation",
    ),
    service_check(SIGNED, "holder", "The supplier's own device", holder, codes.DEVICE_NOT_ELIGIBLE),
    service_check(
        SIGNED,
        "certificate",
        "The device's own certificate",
        certificate,
        codes.CREDENTIALS_CERTIFICATE,
    ),
    service_check(
        SIGNED,
        "public_key",
        "The key in it is P-256 by name and an uncompressed point",
        public_key,
        codes.CREDENTIALS_CERTIFICATE,
        source=_KEY_FORM,
    ),
    service_check(
        SIGNED,
        "signer",
        "The certificate it is judged by is good and not revoked",
        signer,
        codes.CREDENTIALS_SIGNATURE,
    ),
    service_check(
        SIGNED,
        "signature",
        "Signed by the key in the supplier's cell",
        signature,
        codes.CREDENTIALS_SIGNATURE,
        source="docs/sources.md#signature",
    ),
)

DEVICE_CREDENTIALS: Final = {
    4: Variant(ASKED_CHECKS, answer=pre_command),
    5: Variant(SIGNED_CHECKS, command=signed_command),
}
"""The same for all three services: what differs, differs by message code."""
