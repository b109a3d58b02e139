"""The checks on what a device sent back: a response, or the alert of a future-dated command.

The access control broker brings the message but is not believed about it: who speaks, to whom, in
answer to what, and whether it is genuine is judged here with the device's own certificate
(docs/sources.md#outcomes; GBCS 0.8.1 page 35).
"""

from __future__ import annotations

from cos_party.model import ReturnEvidence, SignedCommandRecord
from cos_party.rules.need import need
from cos_party.rules.revocation import revoked_in
from gbcs.codes import AlertCode, Cra, CredentialsReplacementMode, MessageCode, StatusCode
from gbcs.errors import GbcsError, SignatureInvalid
from gbcs.message import Message, decode
from gbcs.payloads.credentials import CredentialsOutcome, UpdateCredentials, decode_update
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import PathError
from keys.path import validate_path
from keys.roles import Usage
from services.chassis.checks import CheckFailed

RESPONSE_PURPOSE = "device-response"


def known_command(evidence: ReturnEvidence) -> None:
    """The transaction is one for which this party signed a command."""
    if evidence.command is None:
        raise CheckFailed(
            "this party signed no command in this transaction",
            found=f"transaction {evidence.delivery.transaction}",
        )


def decodes(evidence: ReturnEvidence) -> None:
    """The bytes are one GBCS message with a payload of its kind."""
    failure = evidence.reading.failure
    if failure is not None:
        raise CheckFailed(f"cannot be read: {failure.reason}", found=f"octet {failure.offset}")


def originator(evidence: ReturnEvidence) -> None:
    """The message says it is from the device the command was for."""
    command = _command(evidence)
    found = _message(evidence).header.originator
    if found != command.device:
        raise CheckFailed("it speaks for another device", command.device, found)


def recipient(evidence: ReturnEvidence) -> None:
    """The message is addressed to this CoS Party."""
    found = _message(evidence).header.recipient
    if found != evidence.eui:
        raise CheckFailed("it is addressed to another party", evidence.eui, found)


def message_code(evidence: ReturnEvidence) -> None:
    """It is the response, or the alert, of the use case the command belongs to."""
    header = _message(evidence).header
    if evidence.delivery.purpose == RESPONSE_PURPOSE:
        cra, code = Cra.RESPONSE, MessageCode.SUPPLIER_BY_TRANS_COS
    else:
        cra, code = Cra.ALERT, MessageCode.UPDATE_SECURITY_CREDENTIALS_ALERT
    if (header.cra, header.other.message_code) != (cra, code):
        raise CheckFailed(
            f"not what a {evidence.delivery.purpose} is",
            expected=f"{cra.label} {code:#06x}",
            found=f"{header.cra.label} {header.other.message_code:#06x}",
        )


def counter(evidence: ReturnEvidence) -> None:
    """It answers that very command; an alert is also newer than the device's last alert.

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


def signature(evidence: ReturnEvidence) -> None:
    """The device signed it, by a certificate of the SMKI repository that leads to the device root.

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


def outcome(evidence: ReturnEvidence) -> None:
    """What the device says it did fits what it was told to do.

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
