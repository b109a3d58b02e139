"""CS02b and CS02g payloads as JSON objects, with the standard's names, and back."""

from __future__ import annotations

from typing import Any, Final

from gbcs.codes import CredentialsReplacementMode, RemotePartyRole, SeqNumberUsage, StatusCode
from gbcs.errors import EncodeError
from gbcs.payloads.credentials import (
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
)
from gbcs.text.fields import Fields
from gbcs.text.shape import (
    CELL,
    CERTIFICATE,
    NUMBER,
    OCTETS,
    TEXT,
    Form,
    Shape,
    each,
    each_inner,
    hexadecimal_number,
    inner,
    label,
    optional,
)

_TIME_CHECKS: Final = {"apply": True, "disapply": False}


def _take_time_checks(fields: Fields, key: str) -> bool:
    checks = fields.text(key)
    if checks not in _TIME_CHECKS:
        raise EncodeError(f"payload.{key}: apply or disapply is needed")
    return _TIME_CHECKS[checks]


_MODE: Final = label(CredentialsReplacementMode)
_SPECIALIST: Final = Shape(
    "specialistSeqNumber",
    SpecialistSeqNumber,
    seqNumberUsage=("usage", label(SeqNumberUsage)),
    seqNumber=("number", NUMBER),
)
_CHANGE: Final = Shape(
    "seqNumberChange",
    SeqNumberChange,
    remotePartyRole=("role", label(RemotePartyRole)),
    floorSeqNumber=("floor", NUMBER),
    specialistFloorSeqNumber=("specialist", optional(each_inner(_SPECIALIST))),
)
_REPLACEMENT: Final = Shape(
    "replacements",
    Replacement,
    replacementCertificate=("certificate", CERTIFICATE),
    targetTrustAnchorCell=("cell", CELL),
)
_CELL_OUTCOME: Final = Shape(
    "replacementOutcomes",
    CellOutcome,
    affectedTrustAnchorCell=("cell", CELL),
    statusCode=("status", label(StatusCode)),
    existingSubjectUniqueID=("existing_subject", OCTETS),
    existingSubjectKeyIdentifier=("existing_key_id", OCTETS),
    replacingSubjectUniqueID=("replacing_subject", OCTETS),
    replacingSubjectKeyIdentifier=("replacing_key_id", OCTETS),
)
_OUTCOME: Final = Shape(
    "executionOutcome",
    CredentialsOutcome,
    authorisingRemotePartySeqNumber=("authorising_counter", NUMBER),
    credentialsReplacementMode=("mode", _MODE),
    remotePartySeqNumberChanges=("changes", each_inner(_CHANGE)),
    replacementOutcomes=("outcomes", each_inner(_CELL_OUTCOME)),
)

UPDATE: Final = Shape(
    "payload",
    UpdateCredentials,
    credentialsReplacementMode=("mode", _MODE),
    plaintextSymmetricKey=("plaintext_symmetric_key", optional(OCTETS)),
    applyTimeBasedCPVChecks=(
        "apply_time_checks",
        Form(lambda checks: "apply" if checks else "disapply", _take_time_checks),
    ),
    authorisingRemotePartyTACellIdentifier=("authorising_cell", optional(CELL)),
    authorisingRemotePartySeqNumber=("authorising_counter", NUMBER),
    newRemotePartyFloorSeqNumber=("new_floor", optional(NUMBER)),
    newRemotePartySpecialistFloorSeqNumber=(
        "new_specialist_floors",
        optional(each_inner(_SPECIALIST)),
    ),
    otherRemotePartySeqNumberChanges=("other_changes", optional(each_inner(_CHANGE))),
    replacements=("replacements", each_inner(_REPLACEMENT)),
    certificationPathCertificates=("path_certificates", each(CERTIFICATE)),
    executionDateTime=("execution_date_time", optional(TEXT)),
)
"""A command payload. Fields that are not on the wire are not in the object."""

ALERT: Final = Shape(
    "payload",
    CredentialsAlert,
    alertCode=("alert_code", hexadecimal_number(4)),
    executionDateTime=("execution_date_time", TEXT),
    executionOutcome=("outcome", inner(_OUTCOME)),
)
"""A future-dated alert's payload; the alert code in hexadecimal."""

_RESPONSE: Final = Shape(
    "payload", CredentialsResponse, executionOutcome=("outcome", optional(inner(_OUTCOME)))
)


def response_to_json(response: CredentialsResponse) -> dict[str, Any]:
    """A response payload."""
    return {"commandAccepted": True, **_RESPONSE.to_json(response)}


def response_from_json(value: object) -> CredentialsResponse:
    """The inverse of response_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    if not isinstance(value, dict) or value.get("commandAccepted") is not True:
        raise EncodeError("payload.commandAccepted: true is all it can say")
    return _RESPONSE.from_json({k: v for k, v in value.items() if k != "commandAccepted"})
