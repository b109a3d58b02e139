"""What a device says to CS02c, CS02d and CS02e: a request, a result or a certificate.

Signed by the device, no date-time, no MAC (RTDS vectors: docs/sources.md#message-categories,
#device-credentials). The response to CS02d is signed by the key that was in use when the command
came (reconstruction).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from acb.model import DeviceRecord
from acb.rules import codes
from acb.rules.need import need
from gbcs.codes import CertificateUpdateResult, Cra, MessageCode
from gbcs.errors import GbcsError
from gbcs.message import Message, decode
from gbcs.payloads.device_certificates import (
    CertificateReadResponse,
    CertificateUpdateResponse,
    IssueResponse,
    decode_certificate_read_response,
    decode_certificate_update,
    decode_certificate_update_response,
    decode_issue_response,
)
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "device_answer"
Told = IssueResponse | CertificateUpdateResponse | CertificateReadResponse

_READERS: Final[dict[int, Callable[[bytes], Told]]] = {
    int(MessageCode.ISSUE_SECURITY_CREDENTIALS): decode_issue_response,
    int(MessageCode.UPDATE_DEVICE_CERTIFICATE): decode_certificate_update_response,
    int(MessageCode.PROVIDE_DEVICE_CERTIFICATE): decode_certificate_read_response,
}
OWN_KEYS: Final = frozenset(_READERS)
"""The message codes of these use cases."""


@dataclass(frozen=True, slots=True)
class DeviceAnswerEvidence:
    """Everything the checks on such an answer may look at.

    Attributes:
        raw: the octets; empty if the device was silent.
        command: what was sent.
        device: record of the device.
        message: the answer, read; None if unreadable.
        told: its payload, read; None if unreadable.
        fault: why not.
    """

    raw: bytes
    command: Message
    device: DeviceRecord
    message: Message | None = None
    told: Told | None = None
    fault: str | None = None

    @property
    def installed(self) -> Certificate | None:
        """The certificate that the device says it uses from now on; None if it says no such."""
        if not isinstance(self.told, CertificateUpdateResponse):
            return None
        if self.told.result != CertificateUpdateResult.SUCCESS:
            return None
        return Certificate.from_der(decode_certificate_update(self.command.payload).certificate)


def read_device_answer(raw: bytes, command: Message, device: DeviceRecord) -> DeviceAnswerEvidence:
    """The answer, read as far as it can be."""
    message: Message | None = None
    try:
        message = decode(raw)
        told = _READERS[command.message_code](message.payload)
    except GbcsError as error:
        return DeviceAnswerEvidence(raw, command, device, message, fault=str(error))
    return DeviceAnswerEvidence(raw, command, device, message, told)


def received(evidence: DeviceAnswerEvidence) -> None:
    """The device answered."""
    if not evidence.raw:
        raise CheckFailed("the device said nothing")


def readable(evidence: DeviceAnswerEvidence) -> None:
    """The answer can be read."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    need(evidence.told, "payload")


def header(evidence: DeviceAnswerEvidence) -> None:
    """It is the response to this command: from the device, to the originator, same counter."""
    asked, message = evidence.command.header, need(evidence.message, "message")
    found = message.header
    wanted = (Cra.RESPONSE, asked.recipient, asked.originator, asked.counter, asked.other)
    if (found.cra, found.originator, found.recipient, found.counter, found.other) != wanted:
        raise CheckFailed(
            "it answers another command",
            expected=f"{asked.recipient}:{asked.originator}:{asked.counter}",
            found=message.reference,
        )


def signature(evidence: DeviceAnswerEvidence) -> None:
    """It is signed by the device."""
    held = need(
        evidence.device.certificates.get("digital-signing"), "signing certificate of the device"
    )
    try:
        verify_signature(need(evidence.message, "message"), held.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not the device's", expected=held.key_identifier.hex()
        ) from error


DEVICE_ANSWER_CHECKS: Final[tuple[Check[DeviceAnswerEvidence], ...]] = tuple(
    Check(
        f"acb.{SECTION}.{name}",
        title,
        "docs/sources.md#signature, #message-categories, #device-credentials (RTDS vectors)",
        run,
        code=code,
        section=SECTION,
    )
    for name, title, run, code in (
        ("received", "The device answered", received, codes.NO_ANSWER_FROM_DEVICE),
        ("decode", "The answer can be read", readable, codes.DEVICE_ANSWER_UNACCEPTABLE),
        (
            "header",
            "It is the response to this command",
            header,
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
        ("signature", "Signed by the device", signature, codes.DEVICE_ANSWER_UNACCEPTABLE),
    )
)
