"""Every check of the meters, section by section, in the order in which they are made."""

from __future__ import annotations

from typing import Any, Final

from meter_sim.device.rules import block, certificate, message, own_certificate, reception
from meter_sim.factory import installation
from services.chassis.checks import Check

RECEPTION: Final[tuple[Check[Any], ...]] = (reception.known, reception.content_type)

BLOCK: Final[tuple[Check[Any], ...]] = (
    block.frame,
    block.device,
    block.kind,
    block.acknowledgement,
    block.new,
    block.overlap,
    block.size,
    block.room,
    block.message,
)

REQUEST: Final[tuple[Check[Any], ...]] = (
    message.frame,
    message.inner,
    message.cra,
    message.recipient,
    message.message_code,
    message.originator,
    message.contingency_key_held,
    message.mac,
    message.counter,
    message.signature,
    message.payload,
    message.mode,
    message.authorising_counter,
    message.authorising_cell,
    message.floors,
    message.cells_permitted,
)

CERTIFICATE: Final[tuple[Check[Any], ...]] = (
    certificate.cell,
    certificate.profile,
    certificate.role,
    certificate.key_usage,
    certificate.validity,
    certificate.path,
)

OWN_CERTIFICATE: Final[tuple[Check[Any], ...]] = (
    own_certificate.profile,
    own_certificate.identity,
    own_certificate.key_usage,
    own_certificate.awaited,
    own_certificate.public_key,
)

INSTALLATION: Final[tuple[Check[Any], ...]] = (
    installation.identity,
    installation.cells_of_its_type,
    installation.contents,
    installation.contingency_key,
    installation.own_certificates,
    installation.simulated,
)


def meter_checks() -> tuple[Check[Any], ...]:
    """The book's contents."""
    return (*RECEPTION, *BLOCK, *REQUEST, *CERTIFICATE, *OWN_CERTIFICATE, *INSTALLATION)
