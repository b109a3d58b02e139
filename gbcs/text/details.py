"""CS02a, CS02c, CS02d, CS02e, CS02f and generic alert payloads as JSON objects, and back."""

from __future__ import annotations

from typing import Any, Final

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
from gbcs.payloads.alerts import AnyAlert, GenericAlert, ZigBeeAlert
from gbcs.payloads.details import CredentialDetails, HeldCredential, ReadCredentials, RoleDetails
from gbcs.payloads.device_certificates import (
    CertificateReadResponse,
    CertificateUpdate,
    CertificateUpdateResponse,
    IssueResponse,
    KeyUsageRequest,
)
from gbcs.text.fields import Fields
from gbcs.text.shape import (
    BASE64,
    CELL,
    CERTIFICATE,
    NUMBER,
    OCTETS,
    Either,
    Shape,
    each_inner,
    label,
    labels,
    optional,
)

READ: Final = Shape(
    "payload",
    ReadCredentials,
    authorisingRemotePartyTACellIdentifier=("authorising_cell", CELL),
    remotePartyRolesCredentialsRequired=("roles", labels(RemotePartyRole)),
)
"""The command of CS02a and CS02f."""

_HELD: Final = Shape(
    "trustAnchorCells",
    HeldCredential,
    keyUsage=("key_usage", label(KeyUsage)),
    cellUsage=("cell_usage", label(CellUsage)),
    subjectUniqueID=("subject", OCTETS),
    subjectKeyIdentifier=("key_id", OCTETS),
)
_ROLE: Final = Shape(
    "remotePartyDetails",
    RoleDetails,
    remotePartyRole=("role", label(RemotePartyRole)),
    statusCode=("status", label(StatusCode)),
    currentSeqNumber=("current_counter", optional(NUMBER)),
    trustAnchorCells=("held", optional(each_inner(_HELD))),
)

DETAILS: Final = Shape(
    "payload", CredentialDetails, remotePartyDetails=("roles", each_inner(_ROLE))
)
"""The response of CS02a and CS02f."""

KEY_USAGE: Final = Shape("payload", KeyUsageRequest, keyUsage=("key_usage", label(KeyUsage)))
"""The command of CS02c and CS02e."""

ISSUE_RESPONSE: Final = Either(
    IssueResponse, ("certificationRequest", BASE64), CertificationRequestFailure
)
"""The response of CS02c."""

CERTIFICATE_UPDATE: Final = Shape(
    "payload", CertificateUpdate, certificate=("certificate", CERTIFICATE)
)
"""The command of CS02d."""

CERTIFICATE_UPDATE_RESPONSE: Final = Shape(
    "payload", CertificateUpdateResponse, responseCode=("result", label(CertificateUpdateResult))
)
"""The response of CS02d."""

CERTIFICATE_READ_RESPONSE: Final = Either(
    CertificateReadResponse, ("certificate", CERTIFICATE), CertificateReadFailure
)
"""The response of CS02e."""

_ALERT_NAMES: Final = {int(code): code.label for code in AlertCode}


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
    code = fields.hexadecimal_number("alertCode")
    if fields.has("alert"):
        fields.text("alert")
    alert: AnyAlert
    if fields.has("utcTime"):
        alert = ZigBeeAlert(code, fields.number("utcTime"))
    else:
        invoke_id = fields.hexadecimal_number("invokeId")
        date_time = fields.hexadecimal("dateTime")
        content = fields.hexadecimal("content") if fields.has("content") else None
        alert = GenericAlert(code, date_time, content, invoke_id)
    fields.done()
    return alert
