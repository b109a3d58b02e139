"""CS02b and CS02g payloads as JSON objects, with the standard's names, and back."""

from __future__ import annotations

from typing import Any

from gbcs.codes import CredentialsReplacementMode, RemotePartyRole, SeqNumberUsage, StatusCode
from gbcs.errors import EncodeError
from gbcs.numbers import to_json
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsAlert,
    CredentialsOutcome,
    CredentialsResponse,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
)
from gbcs.text.certificate import certificate_from_json, certificate_to_json
from gbcs.text.fields import Fields

_CHECKS = {"apply": True, "disapply": False}


def update_to_json(update: UpdateCredentials) -> dict[str, Any]:
    """A command payload. Fields that are not on the wire are not in the object."""
    cell = update.authorising_cell
    key = update.plaintext_symmetric_key
    floor, specialist = update.new_floor, update.new_specialist_floors
    changes = update.other_changes
    shown = {
        "credentialsReplacementMode": update.mode.label,
        "plaintextSymmetricKey": None if key is None else key.hex(),
        "applyTimeBasedCPVChecks": "apply" if update.apply_time_checks else "disapply",
        "authorisingRemotePartyTACellIdentifier": None if cell is None else cell.name,
        "authorisingRemotePartySeqNumber": to_json(update.authorising_counter),
        "newRemotePartyFloorSeqNumber": None if floor is None else to_json(floor),
        "newRemotePartySpecialistFloorSeqNumber": (
            None if specialist is None else _specialist_to_json(specialist)
        ),
        "otherRemotePartySeqNumberChanges": (
            None if changes is None else [_change_to_json(change) for change in changes]
        ),
        "replacements": [
            {
                "replacementCertificate": certificate_to_json(r.certificate),
                "targetTrustAnchorCell": r.cell.name,
            }
            for r in update.replacements
        ],
        "certificationPathCertificates": [certificate_to_json(c) for c in update.path_certificates],
        "executionDateTime": update.execution_date_time,
    }
    return {name: value for name, value in shown.items() if value is not None}


def update_from_json(value: object) -> UpdateCredentials:
    """The inverse of update_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    checks = fields.text("applyTimeBasedCPVChecks")
    if checks not in _CHECKS:
        raise EncodeError("payload.applyTimeBasedCPVChecks: apply or disapply is needed")
    key, cell = "plaintextSymmetricKey", "authorisingRemotePartyTACellIdentifier"
    floor, specialist = "newRemotePartyFloorSeqNumber", "newRemotePartySpecialistFloorSeqNumber"
    changes, when = "otherRemotePartySeqNumberChanges", "executionDateTime"
    update = UpdateCredentials(
        mode=fields.label("credentialsReplacementMode", CredentialsReplacementMode),
        authorising_counter=fields.number("authorisingRemotePartySeqNumber"),
        authorising_cell=CellId.from_name(fields.text(cell)) if fields.has(cell) else None,
        replacements=tuple(_replacement_from_json(r) for r in fields.members("replacements")),
        path_certificates=tuple(
            certificate_from_json(c, "certificationPathCertificates")
            for c in fields.members("certificationPathCertificates")
        ),
        apply_time_checks=_CHECKS[checks],
        new_floor=fields.number(floor) if fields.has(floor) else None,
        new_specialist_floors=(
            _specialist_from_json(fields.members(specialist)) if fields.has(specialist) else None
        ),
        other_changes=_changes_from_json(fields.members(changes)) if fields.has(changes) else None,
        execution_date_time=fields.text(when) if fields.has(when) else None,
        plaintext_symmetric_key=fields.hexadecimal(key) if fields.has(key) else None,
    )
    fields.done()
    return update


def response_to_json(response: CredentialsResponse) -> dict[str, Any]:
    """A response payload."""
    shown: dict[str, Any] = {"commandAccepted": True}
    if response.outcome is not None:
        shown["executionOutcome"] = _outcome_to_json(response.outcome)
    return shown


def response_from_json(value: object) -> CredentialsResponse:
    """The inverse of response_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    if fields.take("commandAccepted") is not True:
        raise EncodeError("payload.commandAccepted: true is all it can say")
    outcome = None
    if fields.has("executionOutcome"):
        outcome = _outcome_from_json(fields.take("executionOutcome"))
    fields.done()
    return CredentialsResponse(outcome)


def alert_to_json(alert: CredentialsAlert) -> dict[str, Any]:
    """A future-dated alert's payload; the alert code in hexadecimal."""
    return {
        "alertCode": f"0x{alert.alert_code:04x}",
        "executionDateTime": alert.execution_date_time,
        "executionOutcome": _outcome_to_json(alert.outcome),
    }


def alert_from_json(value: object) -> CredentialsAlert:
    """The inverse of alert_to_json.

    Raises:
        EncodeError: a field is missing, unknown, or of another kind.
    """
    fields = Fields(value, "payload")
    alert = CredentialsAlert(
        hexadecimal_number(fields.text("alertCode"), "payload.alertCode"),
        fields.text("executionDateTime"),
        _outcome_from_json(fields.take("executionOutcome")),
    )
    fields.done()
    return alert


def hexadecimal_number(text: str, name: str) -> int:
    """The number of a text like `0x8f66`.

    Raises:
        EncodeError: it is not written so.
    """
    try:
        if text.startswith("0x"):
            return int(text, 16)
    except ValueError:
        pass
    raise EncodeError(f"{name}: hexadecimal digits after 0x are needed")


def _outcome_to_json(outcome: CredentialsOutcome) -> dict[str, Any]:
    return {
        "authorisingRemotePartySeqNumber": to_json(outcome.authorising_counter),
        "credentialsReplacementMode": outcome.mode.label,
        "remotePartySeqNumberChanges": [_change_to_json(change) for change in outcome.changes],
        "replacementOutcomes": [
            {
                "affectedTrustAnchorCell": o.cell.name,
                "statusCode": o.status.label,
                "existingSubjectUniqueID": o.existing_subject.hex(),
                "existingSubjectKeyIdentifier": o.existing_key_id.hex(),
                "replacingSubjectUniqueID": o.replacing_subject.hex(),
                "replacingSubjectKeyIdentifier": o.replacing_key_id.hex(),
            }
            for o in outcome.outcomes
        ],
    }


def _outcome_from_json(value: object) -> CredentialsOutcome:
    fields = Fields(value, "executionOutcome")
    outcome = CredentialsOutcome(
        fields.number("authorisingRemotePartySeqNumber"),
        fields.label("credentialsReplacementMode", CredentialsReplacementMode),
        _changes_from_json(fields.members("remotePartySeqNumberChanges")),
        tuple(_cell_outcome_from_json(o) for o in fields.members("replacementOutcomes")),
    )
    fields.done()
    return outcome


def _cell_outcome_from_json(value: object) -> CellOutcome:
    fields = Fields(value, "replacementOutcomes")
    outcome = CellOutcome(
        CellId.from_name(fields.text("affectedTrustAnchorCell")),
        fields.label("statusCode", StatusCode),
        fields.hexadecimal("existingSubjectUniqueID"),
        fields.hexadecimal("existingSubjectKeyIdentifier"),
        fields.hexadecimal("replacingSubjectUniqueID"),
        fields.hexadecimal("replacingSubjectKeyIdentifier"),
    )
    fields.done()
    return outcome


def _replacement_from_json(value: object) -> Replacement:
    fields = Fields(value, "replacements")
    replacement = Replacement(
        certificate_from_json(fields.take("replacementCertificate"), "replacementCertificate"),
        CellId.from_name(fields.text("targetTrustAnchorCell")),
    )
    fields.done()
    return replacement


def _change_to_json(change: SeqNumberChange) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "remotePartyRole": change.role.label,
        "floorSeqNumber": to_json(change.floor),
    }
    if change.specialist is not None:
        shown["specialistFloorSeqNumber"] = _specialist_to_json(change.specialist)
    return shown


def _changes_from_json(values: list[Any]) -> tuple[SeqNumberChange, ...]:
    changes = []
    for value in values:
        fields = Fields(value, "seqNumberChange")
        role = fields.label("remotePartyRole", RemotePartyRole)
        floor = fields.number("floorSeqNumber")
        specialist = None
        if fields.has("specialistFloorSeqNumber"):
            specialist = _specialist_from_json(fields.members("specialistFloorSeqNumber"))
        fields.done()
        changes.append(SeqNumberChange(role, floor, specialist))
    return tuple(changes)


def _specialist_to_json(numbers: tuple[SpecialistSeqNumber, ...]) -> list[dict[str, Any]]:
    return [{"seqNumberUsage": n.usage.label, "seqNumber": to_json(n.number)} for n in numbers]


def _specialist_from_json(values: list[Any]) -> tuple[SpecialistSeqNumber, ...]:
    numbers = []
    for value in values:
        fields = Fields(value, "specialistSeqNumber")
        usage = fields.label("seqNumberUsage", SeqNumberUsage)
        numbers.append(SpecialistSeqNumber(fields.number("seqNumber"), usage))
        fields.done()
    return tuple(numbers)
