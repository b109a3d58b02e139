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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from acb.rules.need import need
from gbcs.codes import Cra, KeyUsage, MessageCode, RemotePartyRole, StatusCode
from gbcs.errors import GbcsError
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import CellId, Replacement
from gbcs.payloads.details import (
    CredentialDetails,
    ReadCredentials,
    RoleDetails,
    decode_details,
    decode_read,
    encode_read,
)
from gbcs.protect import add_mac, verify_mac
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "read_back"
READ_BACK: Final = "read-back"
"""Outbox kind: ask a device what the cells hold that a command was to change."""

OWN_CELL: Final = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, KeyUsage.KEY_AGREEMENT)
CODE: Final = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS


@dataclass(frozen=True, slots=True)
class DetailsEvidence:
    """Everything the checks on a read-back may look at.

    Attributes:
        raw: the octets the device answered; empty if it was silent.
        command: the question.
        secret: the secret shared with the device, for its MAC. Never shown.
        message: the answer, decoded; None if unreadable.
        details: its payload, decoded; None if unreadable.
        fault: why not.
    """

    raw: bytes
    command: Message
    secret: bytes
    message: Message | None = None
    details: CredentialDetails | None = None
    fault: str | None = None

    def __repr__(self) -> str:
        return f"DetailsEvidence({self.command.reference}, {len(self.raw)} octets)"


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
    message: Message | None = None
    try:
        message = decode(raw)
        return DetailsEvidence(raw, command, secret, message, decode_details(message.payload))
    except GbcsError as error:
        return DetailsEvidence(raw, command, secret, message, fault=str(error))


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


def received(evidence: DetailsEvidence) -> None:
    """The device answered."""
    if not evidence.raw:
        raise CheckFailed("the device said nothing")


def readable(evidence: DetailsEvidence) -> None:
    """The answer can be read."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    _details(evidence)
    if encode(_message(evidence)) != evidence.raw:
        raise CheckFailed("written again, it is not what was received")


def header(evidence: DetailsEvidence) -> None:
    """It is the response to this question: from the device, to the broker, same counter and use."""
    asked, found = evidence.command.header, _message(evidence).header
    wanted = (Cra.RESPONSE, asked.recipient, asked.originator, asked.counter, asked.other)
    if (found.cra, found.originator, found.recipient, found.counter, found.other) != wanted:
        raise CheckFailed(
            "it answers another question",
            expected=f"{asked.recipient}:{asked.originator}:{asked.counter}",
            found=_message(evidence).reference,
        )


def mac(evidence: DetailsEvidence) -> None:
    """Its MAC is by the key that only the device and the broker have."""
    try:
        verify_mac(_message(evidence), evidence.secret)
    except GbcsError as error:
        raise CheckFailed(str(error)) from error


def roles(evidence: DetailsEvidence) -> None:
    """It tells of exactly the role that was asked about, and of what its cells hold."""
    told: list[RoleDetails] = list(_details(evidence).roles)
    (role,) = decode_read(evidence.command.payload).roles
    if [item.role for item in told] != [role] or told[0].status != StatusCode.SUCCESS:
        raise CheckFailed(
            "it does not tell what was asked",
            expected=role.label,
            found=", ".join(f"{item.role.label}: {item.status.label}" for item in told) or "none",
        )


def _message(evidence: DetailsEvidence) -> Message:
    return need(evidence.message, "message")


def _details(evidence: DetailsEvidence) -> CredentialDetails:
    return need(evidence.details, "payload")


def _check(name: str, title: str, run: Callable[[DetailsEvidence], None]) -> Check[DetailsEvidence]:
    return Check(
        f"acb.read_back.{name}",
        title,
        "RTDS vector CS02a 6.24.1: docs/sources.md#device-credentials, #mac",
        run,
        section=SECTION,
    )


READ_BACK_CHECKS: Final[tuple[Check[DetailsEvidence], ...]] = (
    _check("received", "The device answered", received),
    _check("decode", "The answer can be read", readable),
    _check("header", "It is the response to this question", header),
    _check("mac", "Its MAC is the device's", mac),
    _check("roles", "It tells what was asked", roles),
)
