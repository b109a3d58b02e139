"""The services offered here: one entry per service reference variant.

A service that is not in `SUPPORTED` is refused by `acb.request.supported`. To add one, write its
rules, its checks and what it answers or commands in a module `acb.services_<name>`, and add the
line; `acb.steps.serve` does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from acb.model import ServiceRules
from acb.services.details import READ_DETAILS, READ_DETAILS_RULES
from acb.services.evidence import Variant
from acb.services.handover import HANDOVER, HANDOVER_RULES
from acb.services.inventory import READ_INVENTORY, READ_INVENTORY_RULES
from acb.services.own_credentials import DEVICE_CREDENTIALS, rules_of
from acb.services.pre_command import UPDATE_CREDENTIALS, UPDATE_CREDENTIALS_RULES


@dataclass(frozen=True, slots=True)
class Service:
    """One service offered.

    Attributes:
        rules: what the interface allows for it; read by the checks on requests.
        first_step: outbox kind of the first step after acceptance (see `acb.steps.have_signed`).
        variants: what `acb.steps.serve` does, by command variant; none for a change of supplier,
            which has a workflow of its own.
    """

    rules: ServiceRules
    first_step: str
    variants: Mapping[int, Variant] = field(default_factory=dict)


ASK_COS_PARTY: Final = "cos-command"
"""Outbox kind: have the device's CoS Party sign the command."""

SERVE: Final = "serve-request"
"""Outbox kind: do what another service asks (`acb.steps.serve`)."""

CHANGE_OF_SUPPLIER: Final = Service(
    ServiceRules(
        variant="6.23",
        reference="6.23",
        command_variants=frozenset({1}),
        roles=frozenset({"IS", "GS"}),
        device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
        uses_cos_party=True,
    ),
    first_step=ASK_COS_PARTY,
)
"""6.23 Update Security Credentials (CoS): docs/sources.md#services.

Eligible statuses are a reconstruction.
"""

SUPPORTED: Final[Mapping[str, Service]] = MappingProxyType(
    {
        "6.23": CHANGE_OF_SUPPLIER,
        "6.15.1": Service(UPDATE_CREDENTIALS_RULES, SERVE, UPDATE_CREDENTIALS),
        "6.15.2": Service(rules_of("6.15.2"), SERVE, DEVICE_CREDENTIALS),
        "6.17": Service(rules_of("6.17"), SERVE, DEVICE_CREDENTIALS),
        "6.21": Service(HANDOVER_RULES, SERVE, HANDOVER),
        "6.24.1": Service(READ_DETAILS_RULES, SERVE, READ_DETAILS),
        "6.24.2": Service(rules_of("6.24.2"), SERVE, DEVICE_CREDENTIALS),
        "8.2": Service(READ_INVENTORY_RULES, SERVE, READ_INVENTORY),
    }
)

RULES: Final[Mapping[str, ServiceRules]] = MappingProxyType(
    {variant: service.rules for variant, service in SUPPORTED.items()}
)

SERVICE_CHECKS: Final = tuple(
    dict.fromkeys(
        check
        for service in SUPPORTED.values()
        for variant in service.variants.values()
        for check in variant.checks
    )
)
"""The checks of every service but a change of supplier, in order, each once."""
