"""The catalogue: which service requests this project speaks, and in which command variants.

Source: DUIS 5.4 (elements), the published request templates (references and variants); that the
critical services other than 6.15.1 also take variant 5 is an inference
(docs/sources.md#service-requests, #services).
"""

from __future__ import annotations

from dataclasses import dataclass

SIGNED_PRE_COMMAND = "SignedPreCommand"


@dataclass(frozen=True, slots=True)
class Service:
    """One service reference variant.

    Attributes:
        variant: the ServiceReferenceVariant, e.g. `6.15.1`.
        reference: the ServiceReference, e.g. `6.15`.
        title: the name of the service.
        element: the body element of the request.
        critical: whether the user signs the GBCS payload itself: request in variant 4, answered
            with a Pre-Command, then variant 5 with the Signed Pre-Command.
        plain_variant: the command variant that carries `element`.
    """

    variant: str
    reference: str
    title: str
    element: str
    critical: bool
    plain_variant: int

    def element_for(self, command_variant: int) -> str | None:
        """The body element a command variant carries; None where there is no such variant."""
        if command_variant == self.plain_variant:
            return self.element
        return SIGNED_PRE_COMMAND if self.critical and command_variant == 5 else None


_ALL = (
    Service(
        "6.15.1",
        "6.15",
        "Update Security Credentials (KRP)",
        "UpdateSecurityCredentialsKRP",
        True,
        4,
    ),
    Service(
        "6.15.2",
        "6.15",
        "Update Security Credentials (Device)",
        "UpdateSecurityCredentialsDevice",
        True,
        4,
    ),
    Service("6.17", "6.17", "Issue Security Credentials", "IssueSecurityCredentials", True, 4),
    Service(
        "6.21",
        "6.21",
        "Request Handover of DCC Controlled Device",
        "RequestHandoverOfDCCControlledDevice",
        False,
        1,
    ),
    Service(
        "6.23",
        "6.23",
        "Update Security Credentials (CoS)",
        "UpdateSecurityCredentialsCoS",
        False,
        1,
    ),
    Service(
        "6.24.1",
        "6.24",
        "Retrieve Device Security Credentials (KRP)",
        "RetrieveDeviceSecurityCredentialsKRP",
        False,
        1,
    ),
    Service(
        "6.24.2",
        "6.24",
        "Retrieve Device Security Credentials (Device)",
        "RetrieveDeviceSecurityCredentialsDevice",
        True,
        4,
    ),
    Service("8.2", "8.2", "Read Inventory", "ReadInventory", False, 8),
)

SERVICES: dict[str, Service] = {service.variant: service for service in _ALL}
BODY_ELEMENTS = frozenset({service.element for service in _ALL} | {SIGNED_PRE_COMMAND})
RESPONSE_BODY_ELEMENTS = frozenset({"ResponseMessage", "DeviceAlertMessage", "DCCAlertMessage"})
