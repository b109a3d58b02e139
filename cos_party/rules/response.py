"""The checks on what a device sent back: a response, or the alert of a future-dated command.

The access control broker brings the message but is not believed about it: who speaks, to whom, in
answer to what, and whether it is genuine is judged here with the device's own certificate
(docs/sources.md#outcomes; GBCS 0.8.1 page 35).
"""

from __future__ import annotations

from cos_party.model import ReturnEvidence, SignedCommandRecord
from cos_party.rules.revocation import revoked_in
from cos_party.rules.sources import DEVICE
from gbcs.codes import AlertCode, Cra, CredentialsReplacementMode, MessageCode, StatusCode
from gbcs.errors import GbcsError, SignatureInvalid
from gbcs.message import Message, decode
from gbcs.payloads.credentials import CredentialsOutcome, UpdateCredentials, decode_update
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import PathError
from keys.path import validate_path
from keys.roles import Usage
from services.chassis.checks import CheckFailed, check, need

RESPONSE_PURPOSE = "device-response"


@check("response.known_command", source=DEVICE, code="D01")
def known_command(evidence: ReturnEvidence) -> None:
    """Belongs to a command this party signed."""
    if evidence.command is None:
        raise CheckFailed(
            "this party signed no command in this transaction",
            found=f"transaction {evidence.incoming.transaction}",
        )


@check("response.decode", source=DEVICE, code="D02")
def decodes(evidence: ReturnEvidence) -> None:
    """Is one readable GBCS message."""
    failure = evidence.reading.failure
    if failure is not None:
        raise CheckFailed(f"cannot be read: {failure.reason}", found=f"octet {failure.offset}")


@check("response.originator", source=DEVICE, code="D03")
def originator(evidence: ReturnEvidence) -> None:
    """Comes from the device the command was for."""
    command = _command(evidence)
    found = _message(evidence).header.originator
    if found != command.device:
        raise CheckFailed("it speaks for another device", command.device, found)


@check("response.recipient", source=DEVICE, code="D04")
def recipient(evidence: ReturnEvidence) -> None:
    """Is addressed to this CoS Party."""
    found = _message(evidence).header.recipient
    if found != evidence.eui:
        raise CheckFailed("it is addressed to another party", evidence.eui, found)


@check("response.message_code", source=DEVICE, code="D05")
def message_code(evidence: ReturnEvidence) -> None:
    """Is of the command's use case."""
    header = _message(evidence).header
    if evidence.incoming.purpose == RESPONSE_PURPOSE:
        cra, code = Cra.RESPONSE, MessageCode.SUPPLIER_BY_TRANS_COS
    else:
        cra, code = Cra.ALERT, MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT
    if (header.cra, header.other.message_code) != (cra, code):
        raise CheckFailed(
            f"not what a {evidence.incoming.purpose} is",
            expected=f"{cra.label} {code:#06x}",
            found=f"{header.cra.label} {header.other.message_code:#06x}",
        )


@check("response.counter", source=DEVICE, code="D06")
def counter(evidence: ReturnEvidence) -> None:
    """Answers that command and no other.

    A response repeats the command's counter in its header. An alert counts for itself and names
    the command's counter inside (docs/sources.md#outcomes).
    """
    command = _command(evidence)
    header = _message(evidence).header
    outcome = evidence.reading.outcome
    if header.cra != Cra.ALERT and header.counter != command.counter:
        raise CheckFailed("it answers another command", str(command.counter), str(header.counter))
    if outcome is not None and outcome.authorising_counter != command.counter:
        raise CheckFailed(
            "its outcome is of another command",
            expected=str(command.counter),
            found=str(outcome.authorising_counter),
        )
    last = evidence.last_alert_counter
    if header.cra == Cra.ALERT and last is not None and header.counter <= last:
        raise CheckFailed(
            "the device has sent a later alert already", f"more than {last}", str(header.counter)
        )


@check("response.signature", source="GBCS 0.8.1 p35; docs/sources.md#signature", code="D07")
def signature(evidence: ReturnEvidence) -> None:
    """Is signed by the device.

    A device may hold one of several certificates; it is enough that one of them verifies. A
    device's certificate runs without end, so the path is judged by the party's own clock.
    """
    message = _message(evidence)
    detail = "the SMKI repository has no signing certificate of this device"
    found: str | None = None
    for certificate in evidence.device_certificates:
        if not _signs_for(certificate, message.header.originator):
            continue
        try:
            verify_signature(message, certificate.der)
            validate_path(
                certificate,
                evidence.trust.device_authorities,
                evidence.trust.device_root,
                at=evidence.at,
            )
            revoked_in(evidence.revocations, (certificate,), evidence.at)
        except SignatureInvalid as error:
            detail = error.reason
        except PathError as error:
            detail, found = error.detail, error.failure.value
        except CheckFailed as error:
            detail, found = error.detail, error.found
        else:
            return
    raise CheckFailed(detail, expected="a signature by the device", found=found)


@check("response.outcome", source=DEVICE, code="D08")
def outcome(evidence: ReturnEvidence) -> None:
    """Says what the command could have led to.

    An immediate command has an outcome at once, a future-dated one only its acceptance and later
    an alert of its own time; the mode and the cells are the command's; a replaced cell holds the
    command's certificate and any other what it held; no floor was set that was not asked for; and
    the alert's code says whether any cell failed.
    """
    update = _update(_command(evidence))
    reading = evidence.reading
    result = reading.outcome
    if result is None:
        if update.execution_date_time is None:
            raise CheckFailed("an immediate command was answered without an outcome")
        return
    alerting = _message(evidence).header.cra == Cra.ALERT
    if update.execution_date_time is not None and not alerting:
        raise CheckFailed("a future-dated command was answered with an outcome at once")
    if alerting and reading.executed_at != update.execution_date_time:
        raise CheckFailed(
            "the alert is of another execution time",
            expected=str(update.execution_date_time),
            found=str(reading.executed_at),
        )
    if result.mode != CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS:
        raise CheckFailed("the outcome is of another mode", "7", str(int(result.mode)))
    _cells(update, result)
    for change in result.changes:
        if change not in (update.other_changes or ()):
            raise CheckFailed(
                "a floor is reported that the command did not set",
                found=f"{change.role.label} {change.floor}",
            )
    _alert_code(reading.alert_code, result)


def _cells(update: UpdateCredentials, result: CredentialsOutcome) -> None:
    wanted = tuple(replacement.cell.name for replacement in update.replacements)
    found = tuple(one.cell.name for one in result.outcomes)
    if wanted != found:
        raise CheckFailed("other cells than the command's", ", ".join(wanted), ", ".join(found))
    for replacement, one in zip(update.replacements, result.outcomes, strict=True):
        if one.status == StatusCode.SUCCESS:
            sent = Certificate.from_der(replacement.certificate)
            told = (sent.subject_unique_id, sent.key_identifier)
        else:
            told = (one.existing_subject, one.existing_key_id)
        if (one.replacing_subject, one.replacing_key_id) != told:
            raise CheckFailed(
                f"{one.cell.name} is reported {one.status.label}, holding another certificate",
                expected=" ".join(part.hex() for part in told),
                found=f"{one.replacing_subject.hex()} {one.replacing_key_id.hex()}",
            )


def _alert_code(said: int | None, result: CredentialsOutcome) -> None:
    if said is None:
        return
    succeeded = all(one.status == StatusCode.SUCCESS for one in result.outcomes)
    wanted = AlertCode.FUTURE_DATED_SUCCESS if succeeded else AlertCode.FUTURE_DATED_FAILURE
    if said != wanted:
        raise CheckFailed(
            "the alert's code contradicts its outcome",
            expected=f"{wanted:#06x}",
            found=f"{said:#06x}",
        )


def _command(evidence: ReturnEvidence) -> SignedCommandRecord:
    return need(evidence.command, "command in this transaction")


def _message(evidence: ReturnEvidence) -> Message:
    return need(evidence.reading.message, "readable message")


def _signs_for(certificate: Certificate, eui: str) -> bool:
    return (
        certificate.is_device
        and certificate.subject_eui == eui
        and certificate.usage == Usage.DIGITAL_SIGNATURE
    )


def _update(command: SignedCommandRecord) -> UpdateCredentials:
    try:
        return decode_update(decode(command.command).payload)
    except GbcsError as error:
        raise CheckFailed(f"the command recorded cannot be read: {error.reason}") from error
