"""The services offered here: one entry per service reference variant.

A service that is not here is refused by `acb.request.supported`. To add one, write its entry
(`acb.services.service`) with its checks in a module of this folder, and add the line: the pipeline
(`acb.steps`), the check book and the interface follow the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from acb.model import ServiceRules
from acb.services.change_of_supplier import CHANGE_OF_SUPPLIER
from acb.services.details import READ_DETAILS
from acb.services.handover import HANDOVER
from acb.services.inventory import READ_INVENTORY
from acb.services.own_credentials import device_credentials
from acb.services.pre_command import UPDATE_CREDENTIALS
from acb.services.service import Service, Variant
from duis.model import Header

_ENTRIES: Final = (
    CHANGE_OF_SUPPLIER,
    UPDATE_CREDENTIALS,
    device_credentials("6.15.2"),
    device_credentials("6.17"),
    HANDOVER,
    READ_DETAILS,
    device_credentials("6.24.2"),
    READ_INVENTORY,
)

SUPPORTED: Final[Mapping[str, Service]] = MappingProxyType(
    {entry.rules.variant: entry for entry in _ENTRIES}
)

RULES: Final[Mapping[str, ServiceRules]] = MappingProxyType(
    {variant: service.rules for variant, service in SUPPORTED.items()}
)

UNCLAIMED: Final = CHANGE_OF_SUPPLIER
"""By whose list a device's message is judged that is about no command sent from here."""

SERVICE_CHECKS: Final = tuple(
    dict.fromkeys(check for service in SUPPORTED.values() for check in service.checks)
)
"""The checks of every service, in order, each once."""


def service_of(variant: str) -> Service:
    """The service of an accepted request, by its reference variant."""
    return SUPPORTED[variant]


def variant_of(header: Header) -> Variant | None:
    """What is done for a service and command variant; None if it is not offered."""
    service = SUPPORTED.get(header.service_reference_variant)
    return None if service is None else service.variants.get(header.command_variant)
