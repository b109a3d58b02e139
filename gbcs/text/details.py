"""CS02a, CS02c, CS02d, CS02e, CS02f and generic alert payloads as JSON objects, and back."""

from __future__ import annotations

import base64
from typing import Any

from gbcs.codes import (
    AlertCode,
    CellUsage,
    CertificateReadFailure,
    CertificateUpdateResult,
    CertificationRequestFailure,
    KeyUsage,
    RemotePartyRole,
    StatusCode,
)
from gbcs.errors import EncodeError
from gbcs.numbers import to_json
from gbcs.payloads.alerts import AnyAlert, GenericAlert, ZigBeeAlert
from gbcs.payloads.credentials import CellId
from gbcs.payloads.details import CredentialDetails, HeldCredential, ReadCredentials, RoleDetails
from gbcs.payloads.device_certificates import (
    CertificateReadResponse,
    CertificateUpdate,
    CertificateUpdateResponse,
    IssueResponse,
    KeyUsageRequest,
)
from gbcs.text.certificate import certificate_from_json, certificate_to_json
from gbcs.text.credentials import hexadecimal_number
from gbcs.text.fields import Fields


def read_to_json(read: ReadCredentials) -> dict[str, Any]:
    """The command of CS02a and CS02f."""
    return {
        "authorisingRemotePartyTACellIdentifier": read.authorising_cell.name,
        "remotePartyRolesCredentialsRequired": [role.label for role in read.roles],
    }


def read_from_json(value: object) -> ReadCredentials:
    """The inverse of read_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    cell = CellId.from_name(fields.text("authorisingRemotePartyTACellIdentifier"))
    roles = tuple(_role(r) for r in fields.members("remotePartyRolesCredentialsRequired"))
    fields.done()
    return ReadCredentials(cell, roles)


def details_to_json(details: CredentialDetails) -> dict[str, Any]:
    """The response of CS02a and CS02f."""
    return {"remotePartyDetails": [_role_to_json(role) for role in details.roles]}


def details_from_json(value: object) -> CredentialDetails:
    """The inverse of details_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    roles = tuple(_role_from_json(role) for role in fields.members("remotePartyDetails"))
    fields.done()
    return CredentialDetails(roles)


def key_usage_to_json(request: KeyUsageRequest) -> dict[str, Any]:
    """The command of CS02c and CS02e."""
    return {"keyUsage": request.key_usage.label}


def key_usage_from_json(value: object) -> KeyUsageRequest:
    """The inverse of key_usage_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    usage = fields.label("keyUsage", KeyUsage)
    fields.done()
    return KeyUsageRequest(usage)


def issue_response_to_json(response: IssueResponse) -> dict[str, Any]:
    """The response of CS02c."""
    if isinstance(response.answer, bytes):
        return {"certificationRequest": base64.b64encode(response.answer).decode()}
    return {"responseCode": response.answer.label}


def issue_response_from_json(value: object) -> IssueResponse:
    """The inverse of issue_response_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    answer: bytes | CertificationRequestFailure
    if fields.has("responseCode"):
        answer = fields.label("responseCode", CertificationRequestFailure)
    else:
        answer = fields.base64("certificationRequest")
    fields.done()
    return IssueResponse(answer)


def certificate_update_to_json(update: CertificateUpdate) -> dict[str, Any]:
    """The command of CS02d."""
    return {"certificate": certificate_to_json(update.certificate)}


def certificate_update_from_json(value: object) -> CertificateUpdate:
    """The inverse of certificate_update_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    certificate = certificate_from_json(fields.take("certificate"), "payload.certificate")
    fields.done()
    return CertificateUpdate(certificate)


def certificate_update_response_to_json(response: CertificateUpdateResponse) -> dict[str, Any]:
    """The response of CS02d."""
    return {"responseCode": response.result.label}


def certificate_update_response_from_json(value: object) -> CertificateUpdateResponse:
    """The inverse of certificate_update_response_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    result = fields.label("responseCode", CertificateUpdateResult)
    fields.done()
    return CertificateUpdateResponse(result)


def certificate_read_response_to_json(response: CertificateReadResponse) -> dict[str, Any]:
    """The response of CS02e."""
    if isinstance(response.answer, bytes):
        return {"certificate": certificate_to_json(response.answer)}
    return {"responseCode": response.answer.label}


def certificate_read_response_from_json(value: object) -> CertificateReadResponse:
    """The inverse of certificate_read_response_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    answer: bytes | CertificateReadFailure
    if fields.has("responseCode"):
        answer = fields.label("responseCode", CertificateReadFailure)
    else:
        answer = certificate_from_json(fields.take("certificate"), "payload.certificate")
    fields.done()
    return CertificateReadResponse(answer)


_ALERT_NAMES = {int(code): code.label for code in AlertCode}


def generic_alert_to_json(alert: AnyAlert) -> dict[str, Any]:
    """A generic alert; code and octets in hexadecimal; of a code known here, its name.

    The ZigBee form has `utcTime`, in seconds since 2000, where the DLMS form has `dateTime` and
    `invokeId`, which follows the originator counter (see gbcs.payloads.alerts).
    """
    shown: dict[str, Any] = {"alertCode": f"0x{alert.alert_code:04x}"}
    if isinstance(alert, ZigBeeAlert):
        shown["utcTime"] = alert.time
    else:
        shown["invokeId"] = f"0x{alert.invoke_id:06x}"
        shown["dateTime"] = alert.date_time.hex()
    if alert.alert_code in _ALERT_NAMES:
        shown["alert"] = _ALERT_NAMES[alert.alert_code]
    if isinstance(alert, GenericAlert) and alert.content is not None:
        shown["content"] = alert.content.hex()
    return shown


def generic_alert_from_json(value: object) -> AnyAlert:
    """The inverse of generic_alert_to_json; the name is for the reader.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    code = hexadecimal_number(fields.text("alertCode"), "payload.alertCode")
    if fields.has("alert"):
        fields.text("alert")
    alert: AnyAlert
    if fields.has("utcTime"):
        alert = ZigBeeAlert(code, fields.number("utcTime"))
    else:
        invoke_id = hexadecimal_number(fields.text("invokeId"), "payload.invokeId")
        date_time = fields.hexadecimal("dateTime")
        content = fields.hexadecimal("content") if fields.has("content") else None
        alert = GenericAlert(code, date_time, content, invoke_id)
    fields.done()
    return alert


def _role(label: object) -> RemotePartyRole:
    try:
        return RemotePartyRole.from_label(str(label))
    except KeyError:
        raise EncodeError(f"{label!r} is not a remote party role") from None


def _role_to_json(details: RoleDetails) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "remotePartyRole": details.role.label,
        "statusCode": details.status.label,
    }
    if details.held is not None:
        counter = details.current_counter
        shown["currentSeqNumber"] = None if counter is None else to_json(counter)
        shown["trustAnchorCells"] = [
            {
                "keyUsage": held.key_usage.label,
                "cellUsage": held.cell_usage.label,
                "subjectUniqueID": held.subject.hex(),
                "subjectKeyIdentifier": held.key_id.hex(),
            }
            for held in details.held
        ]
    return shown


def _role_from_json(value: object) -> RoleDetails:
    fields = Fields(value, "remotePartyDetails")
    role = fields.label("remotePartyRole", RemotePartyRole)
    status = fields.label("statusCode", StatusCode)
    counter = held = None
    if fields.has("trustAnchorCells"):
        counter = fields.number("currentSeqNumber")
        held = tuple(_held_from_json(cell) for cell in fields.members("trustAnchorCells"))
    fields.done()
    return RoleDetails(role, status, counter, held)


def _held_from_json(value: object) -> HeldCredential:
    fields = Fields(value, "trustAnchorCells")
    held = HeldCredential(
        fields.label("keyUsage", KeyUsage),
        fields.label("cellUsage", CellUsage),
        fields.hexadecimal("subjectUniqueID"),
        fields.hexadecimal("subjectKeyIdentifier"),
    )
    fields.done()
    return held
