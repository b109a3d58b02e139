"""Asking a device what cells of one role hold, when its answer was lost.

A device answers a command once: sent again, the command is met with silence, because its counter
is no longer new. If the first answer never arrived (the broker died in that moment, or the WAN
lost it) the broker does not know whether the cells changed. It then reads them: use case CS02a,
Provide Security Credential Details, by its own authority, protected by the MAC alone.

Layout: GBCS 0.8.1 and RTDS vector CS02a 6.24.1 (docs/sources.md#device-credentials): payload
SEQUENCE { accessControlBroker/keyAgreement/management, { role } }, signature of length 0, MAC by {
broker, device }; the response carries the same counter and a MAC by the same pair.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from acb.rules import answer
from acb.rules.answer import AnswerEvidence, Sent, read_answer
from gbcs.codes import Cra, KeyUsage, MessageCode, RemotePartyRole, StatusCode
from gbcs.errors import GbcsError
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.credentials import CellId, Replacement
from gbcs.payloads.details import (
    CredentialDetails,
    ReadCredentials,
    decode_details,
    decode_read,
    encode_read,
)
from gbcs.protect import add_mac, verify_mac
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed, check, need

OWN_CELL: Final = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, KeyUsage.KEY_AGREEMENT)
CODE: Final = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS


DetailsEvidence: TypeAlias = AnswerEvidence[CredentialDetails]

_SOURCE: Final = "RTDS vector CS02a 6.24.1: docs/sources.md#device-credentials, #mac"


def question(
    broker: str,
    device: str,
    counter: int,
    secret: bytes,
    role: RemotePartyRole = RemotePartyRole.SUPPLIER,
) -> Message:
    """The command that asks a device whose credentials its cells of a role hold.

    Args:
        broker: the broker's entity identifier.
        device: the device's.
        counter: the broker's own originator counter, never used before.
        secret: the secret shared with the device.
        role: the role whose cells a command was to change.
    """
    header = GroupingHeader(Cra.COMMAND, counter, broker, device, OtherInformation(CODE))
    payload = encode_read(ReadCredentials(OWN_CELL, (role,)))
    return add_mac(Message(header, payload, signature=b""), secret)


def read_details(raw: bytes, command: Message, secret: bytes) -> DetailsEvidence:
    """The answer, read as far as it can be."""
    return read_answer(raw, Sent(command, secret=secret), decode_details)


def cells_holding(
    details: CredentialDetails, wanted: tuple[Replacement, ...]
) -> dict[str, Certificate]:
    """Of the certificates a command was to place, those that the device says it holds."""
    held = {
        CellId(role.role, item.key_usage, item.cell_usage): (item.subject, item.key_id)
        for role in details.roles
        for item in role.held or ()
    }
    found: dict[str, Certificate] = {}
    for item in wanted:
        certificate = Certificate.from_der(item.certificate)
        if held.get(item.cell) == (certificate.subject_unique_id, certificate.key_identifier):
            found[item.cell.name] = certificate
    return found


received: Final = check("acb.read_back.received", source=_SOURCE)(answer.received.run)


@check("acb.read_back.decode", source=_SOURCE)
def readable(evidence: DetailsEvidence) -> None:
    """The answer can be read."""
    answer.readable(evidence)
    if encode(need(evidence.message, "message")) != evidence.raw:
        raise CheckFailed("written again, it is not what was received")


@check("acb.read_back.header", source=_SOURCE)
def header(evidence: DetailsEvidence) -> None:
    """It is the response to this question.

    From the device, to the broker, with the same counter and message code.
    """
    answer.header(evidence)


@check("acb.read_back.mac", source=_SOURCE)
def mac(evidence: DetailsEvidence) -> None:
    """Its MAC is the device's.

    Made with the key that only the device and the broker have.
    """
    try:
        verify_mac(need(evidence.message, "message"), evidence.sent.secret)
    except GbcsError as error:
        raise CheckFailed(str(error)) from error


@check("acb.read_back.roles", source=_SOURCE)
def roles(evidence: DetailsEvidence) -> None:
    """It tells what was asked.

    Of exactly the role that was asked about, and what its cells hold.
    """
    told = need(evidence.payload, "payload").roles
    (role,) = decode_read(evidence.sent.command.payload).roles
    if [item.role for item in told] != [role] or told[0].status != StatusCode.SUCCESS:
        raise CheckFailed(
            "it does not tell what was asked",
            expected=role.label,
            found=", ".join(f"{item.role.label}: {item.status.label}" for item in told) or "none",
        )


READ_BACK_CHECKS: Final[tuple[Check[DetailsEvidence], ...]] = (
    received,
    readable,
    header,
    mac,
    roles,
)
