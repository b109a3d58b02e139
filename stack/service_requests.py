"""The service requests other than a change of supplier, written and signed as a supplier."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from duis.model import (
    CANCEL_DATE,
    Header,
    PreCommand,
    ReadInventory,
    RemotePartyRole,
    RequestBody,
    RequestHandoverOfDCCControlledDevice,
    Response,
    ResponseMessage,
    RetrieveDeviceSecurityCredentialsKRP,
    ServiceRequest,
    SignedPreCommand,
    UpdateSecurityCredentialsKRP,
)
from duis.request_id import RequestId
from duis.xml import request_to_xml
from gbcs.date_time import to_generalized_time
from gbcs.errors import GbcsError
from gbcs.message import decode, encode
from gbcs.payloads.credentials import CANCEL_EXECUTION, decode_update
from gbcs.protect import sign
from keys.certificate import Certificate
from stack.errors import REFUSED, CommandError
from stack.supplier import Supplier


@dataclass(frozen=True)
class NewCertificates:
    """What goes into the cells of a supplier; None leaves a cell as it is."""

    digital_signing: Certificate | None = None
    key_agreement: Certificate | None = None
    key_agreement_top_up: Certificate | None = None

    @classmethod
    def of(cls, supplier: Supplier) -> NewCertificates:
        """The certificates that a supplier holds now, for all three cells."""
        return cls(
            supplier.keys.certificate("digital-signing"),
            supplier.keys.certificate("key-agreement"),
            supplier.keys.certificate("prepayment-key-agreement"),
        )


def signed_request(
    supplier: Supplier,
    target: str,
    service: tuple[str, int],
    body: RequestBody,
    counter: int | None = None,
) -> tuple[RequestId, bytes]:
    """Write a request and sign it with the supplier's XML-signing key.

    Args:
        supplier: who asks.
        target: entity identifier of the device, or of the broker.
        service: service reference variant and command variant, e.g. `("6.15.1", 4)`.
        body: what is asked.
        counter: counter of the request ID; milliseconds of the real clock by default.

    Returns:
        the request ID and the signed document.
    """
    variant, command_variant = service
    reference = ".".join(variant.split(".")[:2])
    request_id = RequestId(supplier.eui, target, counter or time.time_ns() // 1_000_000)
    header = Header(request_id, command_variant, reference, variant)
    return request_id, supplier.sign(request_to_xml(ServiceRequest(header, body)))


def read_inventory(
    supplier: Supplier, broker: str, *, device: str | None = None, mpxn: str | None = None
) -> tuple[RequestId, bytes]:
    """8.2: what the broker's inventory knows of a device, or of a meter point's devices."""
    body = ReadInventory(device=device, mpxn=mpxn)
    return signed_request(supplier, broker, ("8.2", 8), body)


def read_credentials(
    supplier: Supplier, meter: str, roles: tuple[RemotePartyRole, ...]
) -> tuple[RequestId, bytes]:
    """6.24.1: whose credentials a device holds for these roles."""
    body = RetrieveDeviceSecurityCredentialsKRP(roles)
    return signed_request(supplier, meter, ("6.24.1", 1), body)


def request_handover(
    supplier: Supplier, meter: str, execution: datetime | None = None
) -> tuple[RequestId, bytes]:
    """6.21: the broker's own device shall be this supplier's, with the keys it has now.

    Args:
        supplier: who asks.
        meter: entity identifier of the device.
        execution: the day to come, whole seconds; `CANCEL_DATE` withdraws it; None for at once.
    """
    new = NewCertificates.of(supplier)
    floor = time.time_ns() // 1_000_000
    body = RequestHandoverOfDCCControlledDevice(
        remote_party_role=RemotePartyRole.SUPPLIER,
        digital_signing=supplier.keys.certificate("digital-signing").der,
        key_agreement=_der(new.key_agreement),
        key_agreement_top_up=_der(new.key_agreement_top_up),
        path_certificates=(supplier.issuing_authority.der,),
        floor=floor,
        prepayment_top_up_floor=floor,
        execution_date_time=execution,
    )
    return signed_request(supplier, meter, ("6.21", 1), body, floor)


def ask_update(
    supplier: Supplier, meter: str, new: NewCertificates, execution: datetime | None = None
) -> tuple[RequestId, bytes]:
    """6.15.1, variant 4: have a command written that replaces this supplier's credentials.

    `execution` as for `request_handover`.
    """
    body = UpdateSecurityCredentialsKRP(
        remote_party_role=RemotePartyRole.SUPPLIER,
        path_certificates=(supplier.issuing_authority.der,),
        digital_signing=_der(new.digital_signing),
        key_agreement=_der(new.key_agreement),
        key_agreement_top_up=_der(new.key_agreement_top_up),
        execution_date_time=execution,
    )
    return signed_request(supplier, meter, ("6.15.1", 4), body)


def sign_pre_command(
    supplier: Supplier,
    response: Response,
    asked: NewCertificates,
    execution: datetime | None = None,
) -> bytes:
    """The Pre-Command of a response, signed with the supplier's GBCS signing key.

    Args:
        supplier: whose key signs.
        response: the broker's answer, already verified.
        asked: what was asked for: a Pre-Command that does anything else is not signed.
        execution: the date that was asked for.

    Raises:
        CommandError: the response holds no Pre-Command, or one that is not this supplier's or
            carries other certificates or another date than were asked for (exit code 1).
    """
    body = response.body
    content = body.content if isinstance(body, ResponseMessage) else None
    if not isinstance(content, PreCommand):
        raise CommandError(f"no Pre-Command was written: response code {response.code}", REFUSED)
    try:
        message = decode(content.gbcs_payload)
        if message.header.originator != supplier.eui:
            raise CommandError("the Pre-Command is not to be signed by this supplier", REFUSED)
        _hold_against(message.payload, asked, execution)
        return encode(sign(message, supplier.keys.signer("digital-signing").sign))
    except GbcsError as error:
        raise CommandError(f"the Pre-Command cannot be read: {error}", REFUSED) from error


def send_update(supplier: Supplier, meter: str, signed: bytes) -> tuple[RequestId, bytes]:
    """6.15.1, variant 5: the signed command, for the broker to protect and deliver."""
    return signed_request(supplier, meter, ("6.15.1", 5), SignedPreCommand(signed))


def _hold_against(payload: bytes, asked: NewCertificates, execution: datetime | None) -> None:
    """Who signs must know what: certificates and date of the command are the ones asked for."""
    wanted = [
        item.der
        for item in (asked.digital_signing, asked.key_agreement, asked.key_agreement_top_up)
        if item is not None
    ]
    update = decode_update(payload)
    if [item.certificate for item in update.replacements] != wanted:
        raise CommandError("the Pre-Command carries other certificates than asked for", REFUSED)
    if update.execution_date_time != _dated(execution):
        raise CommandError("the Pre-Command is for another date than asked for", REFUSED)


def _dated(execution: datetime | None) -> str | None:
    """How a command writes an execution date."""
    if execution is None:
        return None
    return CANCEL_EXECUTION if execution == CANCEL_DATE else to_generalized_time(execution)


def _der(certificate: Certificate | None) -> bytes | None:
    return None if certificate is None else certificate.der
