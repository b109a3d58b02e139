"""The catalogue: which service requests this project speaks, and in which command variants.

Source: DUIS 5.4 (elements), the published request templates (references and variants); that the
critical services other than 6.15.1 also take variant 5 is an inference
(docs/sources.md#service-requests, #services).
"""

from __future__ import annotations

from dataclasses import dataclass

from duis.errors import UnsupportedService
from duis.model import Header

SIGNED_PRE_COMMAND = "SignedPreCommand"


@dataclass(frozen=True, slots=True)
class ServiceVariant:
    """One service reference variant.

    Attributes:
        variant: the ServiceReferenceVariant, e.g. `6.15.1`.
        title: the name of the service.
        element: the body element of the request.
        plain_variant: the command variant that carries `element`.
    """

    variant: str
    title: str
    element: str
    plain_variant: int

    @property
    def reference(self) -> str:
        """The ServiceReference, e.g. `6.15`."""
        return ".".join(self.variant.split(".")[:2])

    @property
    def critical(self) -> bool:
        """Whether the user signs the GBCS payload itself.

        Request in variant 4, answered with a Pre-Command, then variant 5 with the Signed
        Pre-Command.
        """
        return self.plain_variant == 4

    def element_for(self, command_variant: int) -> str | None:
        """The body element a command variant carries; None where there is no such variant."""
        if command_variant == self.plain_variant:
            return self.element
        return SIGNED_PRE_COMMAND if self.critical and command_variant == 5 else None


_ALL = (
    ServiceVariant(
        "6.15.1", "Update Security Credentials (KRP)", "UpdateSecurityCredentialsKRP", 4
    ),
    ServiceVariant(
        "6.15.2", "Update Security Credentials (Device)", "UpdateSecurityCredentialsDevice", 4
    ),
    ServiceVariant("6.17", "Issue Security Credentials", "IssueSecurityCredentials", 4),
    ServiceVariant(
        "6.21",
        "Request Handover of DCC Controlled Device",
        "RequestHandoverOfDCCControlledDevice",
        1,
    ),
    ServiceVariant("6.23", "Update Security Credentials (CoS)", "UpdateSecurityCredentialsCoS", 1),
    ServiceVariant(
        "6.24.1",
        "Retrieve Device Security Credentials (KRP)",
        "RetrieveDeviceSecurityCredentialsKRP",
        1,
    ),
    ServiceVariant(
        "6.24.2",
        "Retrieve Device Security Credentials (Device)",
        "RetrieveDeviceSecurityCredentialsDevice",
        4,
    ),
    ServiceVariant("8.2", "Read Inventory", "ReadInventory", 8),
)

SERVICES: dict[str, ServiceVariant] = {service.variant: service for service in _ALL}
_REFERENCES = {service.variant: service.reference for service in _ALL}
BODY_ELEMENTS = frozenset({service.element for service in _ALL} | {SIGNED_PRE_COMMAND})
RESPONSE_BODY_ELEMENTS = frozenset({"ResponseMessage", "DeviceAlertMessage", "DCCAlertMessage"})


def refuse_unknown_service(header: Header, element: str) -> None:
    """Hold reference, variant, command variant and body element against the catalogue.

    Raises:
        UnsupportedService: no such reference and variant (`unsupported_service`), no such command
            variant of that service (`command_variant`), or the body of another (`service_body`).
    """
    variant = header.service_reference_variant
    service = SERVICES.get(variant)
    if service is None or _REFERENCES[variant] != header.service_reference:
        shown = f"{header.service_reference[:20]} {variant[:20]}"
        raise UnsupportedService("unsupported_service", shown, "not spoken here")
    wanted = service.element_for(header.command_variant)
    if wanted is None:
        shown = f"{variant} variant {header.command_variant}"
        raise UnsupportedService("command_variant", shown, "this service has no such variant")
    if wanted != element:
        raise UnsupportedService("service_body", f"{variant} {element}", f"{wanted} belongs to it")
