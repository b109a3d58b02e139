"""6.17, 6.15.2 and 6.24.2 as a supplier drives them: a device's own keys and certificates.

Each is asked for in two steps, as every critical service: the broker writes the command (variant
4), the supplier looks at it and signs it, and sends it back (variant 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from duis.model import (
    CredentialType,
    IssueSecurityCredentials,
    PreCommand,
    Response,
    ResponseMessage,
    RetrieveDeviceSecurityCredentialsDevice,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
)
from gbcs.codes import Cra, KeyUsage, MessageCode
from gbcs.errors import GbcsError
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    decode_certificate_read_response,
    decode_certificate_update_response,
    decode_issue_response,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import sign
from keys.certificate import Certificate
from stack.connection import Connection
from stack.errors import REFUSED, CommandError
from stack.service_requests import signed_request
from stack.supplier import Supplier
from stack.switching import Outcome, submit


class KeyName(StrEnum):
    """The two keys of a device, as its record names them."""

    DIGITAL_SIGNING = "digital-signing"
    KEY_AGREEMENT = "key-agreement"


_TYPES = {
    KeyName.DIGITAL_SIGNING: (CredentialType.DIGITAL_SIGNATURE, KeyUsage.DIGITAL_SIGNATURE),
    KeyName.KEY_AGREEMENT: (CredentialType.KEY_AGREEMENT, KeyUsage.KEY_AGREEMENT),
}


@dataclass(frozen=True)
class KeyService:
    """One of the three services: what is asked in DUIS, and the GBCS command that must come of it.

    Attributes:
        service: service reference variant.
        body: what variant 4 asks.
        code: message code of the command.
        payload: its whole payload.
    """

    service: str
    body: (
        IssueSecurityCredentials
        | UpdateSecurityCredentialsDevice
        | RetrieveDeviceSecurityCredentialsDevice
    )
    code: MessageCode
    payload: bytes


@dataclass(frozen=True)
class DeviceResult:
    """What a device said: whether it did it, and what it gave or the result it named.

    Attributes:
        ok: whether it did what was asked.
        result: "success", or the standard's name for what was wrong.
        pem: the certification request or certificate, if that is what it gave.
    """

    ok: bool
    result: str
    pem: str | None = None


def issue(key: KeyName) -> KeyService:
    """6.17: make a new key pair and a certification request for it (CS02c)."""
    kind, usage = _TYPES[key]
    payload = encode_key_usage_request(KeyUsageRequest(usage))
    code = MessageCode.ISSUE_SECURITY_CREDENTIALS
    return KeyService("6.17", IssueSecurityCredentials(kind), code, payload)


def update(certificate: Certificate) -> KeyService:
    """6.15.2: use this certificate, and the key pair that it is for, from now on (CS02d)."""
    payload = encode_certificate_update(CertificateUpdate(certificate.der))
    body = UpdateSecurityCredentialsDevice(certificate.der)
    return KeyService("6.15.2", body, MessageCode.UPDATE_DEVICE_CERTIFICATE, payload)


def provide(key: KeyName) -> KeyService:
    """6.24.2: show the certificate of a key (CS02e)."""
    kind, usage = _TYPES[key]
    payload = encode_key_usage_request(KeyUsageRequest(usage))
    code = MessageCode.PROVIDE_DEVICE_CERTIFICATE
    return KeyService("6.24.2", RetrieveDeviceSecurityCredentialsDevice(kind), code, payload)


def command_device(
    connection: Connection, supplier: Supplier, meter: str, act: KeyService
) -> Outcome:
    """Ask for the Pre-Command, sign it, send it back; how the one that ended it ended.

    Raises:
        CommandError: what the broker wrote is not what was asked for (exit code 1).
        DuisError: what the broker answered is not the broker's.
    """
    request_id, document = signed_request(supplier, meter, (act.service, 4), act.body)
    written = submit(connection, document, str(request_id))
    if not written.ok or written.response is None:
        return written
    octets = signed(supplier, meter, act, supplier.read(written.response))
    request_id, document = signed_request(
        supplier, meter, (act.service, 5), SignedPreCommand(octets)
    )
    return submit(connection, document, str(request_id))


def signed(supplier: Supplier, meter: str, act: KeyService, response: Response) -> bytes:
    """The Pre-Command of a response with the supplier's signature: who signs must know what.

    Raises:
        CommandError: it is not the one command that does what was asked (exit code 1).
    """
    body = response.body
    content = body.content if isinstance(body, ResponseMessage) else None
    if not isinstance(content, PreCommand):
        raise CommandError(f"no Pre-Command was written: response code {response.code}", REFUSED)
    try:
        message = decode(content.gbcs_payload)
        other = OtherInformation(act.code)
        header = GroupingHeader(Cra.COMMAND, message.header.counter, supplier.eui, meter, other)
        if message != Message(header, act.payload, signature=None):
            raise CommandError("the Pre-Command is not the command that was asked for", REFUSED)
        return encode(sign(message, supplier.keys.signer("digital-signing").sign))
    except GbcsError as error:
        raise CommandError(f"the Pre-Command cannot be read: {error}", REFUSED) from error


def device_result(octets: bytes) -> DeviceResult:
    """What a device answered to one of the three.

    Raises:
        GbcsError: it cannot be read.
    """
    message = decode(octets)
    if message.message_code == MessageCode.UPDATE_DEVICE_CERTIFICATE:
        result = decode_certificate_update_response(message.payload).result
        return DeviceResult(result == 0, result.label)
    if message.message_code == MessageCode.ISSUE_SECURITY_CREDENTIALS:
        request = decode_issue_response(message.payload).answer
        if isinstance(request, bytes):
            pem = x509.load_der_x509_csr(request).public_bytes(Encoding.PEM)
            return DeviceResult(True, "success", pem.decode("ascii"))
        return DeviceResult(False, request.label)
    held = decode_certificate_read_response(message.payload).answer
    if isinstance(held, bytes):
        return DeviceResult(True, "success", Certificate.from_der(held).to_pem().decode("ascii"))
    return DeviceResult(False, held.label)
