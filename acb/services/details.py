"""6.24.1 Retrieve Device Security Credentials (KRP): the broker asks the device, under a MAC.

Use case CS02a, or CS02f where the load controller's role is asked for: by the broker's own
authority and with its own counter; the device's answer carries a MAC by the same pair of keys
(RTDS vector CS02a 6.24.1: docs/sources.md#mac, #device-credentials) and is passed to the user as it
is. That a user reads only devices one of whose cells holds its certificate is a reconstruction.
"""

from __future__ import annotations

from typing import Final

from acb.model import ServiceRules
from acb.rules import codes, read_back
from acb.rules.need import need
from acb.rules.read_back import OWN_CELL, DetailsEvidence
from acb.services.evidence import ServiceEvidence, Variant, holds_a_cell, service_check
from duis.model import RemotePartyRole as Named
from duis.model import RetrieveDeviceSecurityCredentialsKRP
from gbcs.codes import Cra, MessageCode, RemotePartyRole
from gbcs.message import GroupingHeader, Message, OtherInformation
from gbcs.payloads.details import ReadCredentials, decode_read, encode_read
from services.chassis.checks import Check, CheckFailed

SECTION: Final = "details"
ANSWER_SECTION: Final = "details_answer"

ROLES: Final = {
    Named.ROOT: RemotePartyRole.ROOT,
    Named.RECOVERY: RemotePartyRole.RECOVERY,
    Named.SUPPLIER: RemotePartyRole.SUPPLIER,
    Named.NETWORK_OPERATOR: RemotePartyRole.NETWORK_OPERATOR,
    Named.ACB: RemotePartyRole.ACCESS_CONTROL_BROKER,
    Named.TRANS_COS: RemotePartyRole.TRANSITIONAL_COS,
    Named.LOAD_CONTROLLER: RemotePartyRole.LOAD_CONTROLLER,
}
"""The standard's role of each role that DUIS names."""

WITH_LOAD_CONTROLLER: Final = frozenset({"ESME", "SAPC"})
"""Device types that know CS02f (docs/sources.md#device-credentials)."""

READ_DETAILS_RULES: Final = ServiceRules(
    variant="6.24.1",
    reference="6.24",
    command_variants=frozenset({1}),
    roles=frozenset({"IS", "GS", "ED", "GT"}),
    device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
    uses_cos_party=False,
)
"""docs/sources.md#services. Eligible statuses are reconstructions."""


def body_kind(evidence: ServiceEvidence) -> None:
    """It names each role once."""
    roles = _roles(evidence)
    if len(set(roles)) != len(roles):
        raise CheckFailed("a role is named twice", found=", ".join(item.value for item in roles))


def visible(evidence: ServiceEvidence) -> None:
    """A cell of the device holds a certificate of the user."""
    if not holds_a_cell(need(evidence.device, "device record"), evidence.asker):
        raise CheckFailed("no cell of the device holds a certificate of the user")


def load_controller(evidence: ServiceEvidence) -> None:
    """The load controller's role is asked only of a device that can have one."""
    kind = need(evidence.device, "device record").device_type
    if Named.LOAD_CONTROLLER in _roles(evidence) and kind not in WITH_LOAD_CONTROLLER:
        raise CheckFailed(
            "a device of this type has no load controller",
            expected=" or ".join(sorted(WITH_LOAD_CONTROLLER)),
            found=kind,
        )


def question(evidence: ServiceEvidence, counter: int) -> Message:
    """CS02a or CS02f with the broker's counter: no signature, still without its MAC."""
    roles = _roles(evidence)
    code = (
        MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS_ROLE_8
        if Named.LOAD_CONTROLLER in roles
        else MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS
    )
    header = GroupingHeader(
        Cra.COMMAND,
        counter,
        evidence.broker.subject_eui or "",
        evidence.request.header.request_id.target,
        OtherInformation(code),
    )
    read = ReadCredentials(OWN_CELL, tuple(ROLES[item] for item in roles))
    return Message(header, encode_read(read), signature=b"")


def told_roles(evidence: DetailsEvidence) -> None:
    """The answer tells of exactly the roles that were asked for, in their order."""
    asked = decode_read(evidence.command.payload).roles
    told = tuple(item.role for item in need(evidence.details, "payload").roles)
    if told != asked:
        raise CheckFailed(
            "it tells of other roles",
            expected=", ".join(item.label for item in asked),
            found=", ".join(item.label for item in told) or "none",
        )


def _roles(evidence: ServiceEvidence) -> tuple[Named, ...]:
    body = evidence.request.body
    if not isinstance(body, RetrieveDeviceSecurityCredentialsKRP):
        raise CheckFailed("the request does not ask for remote parties' credentials")
    return body.roles


DETAILS_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    service_check(SECTION, "roles", "Each role is named once", body_kind, codes.DETAILS_ROLE),
    service_check(SECTION, "visible", "The user may see it", visible, codes.DEVICE_NOT_ELIGIBLE),
    service_check(
        SECTION,
        "load_controller",
        "The device can have the role",
        load_controller,
        codes.DETAILS_ROLE,
        source="docs/sources.md#device-credentials (CS02f)",
    ),
)

DETAILS_ANSWER_CHECKS: Final[tuple[Check[DetailsEvidence], ...]] = tuple(
    Check(
        f"acb.{ANSWER_SECTION}.{name}",
        title,
        "RTDS vector CS02a 6.24.1: docs/sources.md#device-credentials, #mac",
        run,
        code=code,
        section=ANSWER_SECTION,
    )
    for name, title, run, code in (
        ("received", "The device answered", read_back.received, codes.NO_ANSWER_FROM_DEVICE),
        (
            "decode",
            "The answer can be read",
            read_back.readable,
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
        (
            "header",
            "It is the response to this question",
            read_back.header,
            codes.DEVICE_ANSWER_UNACCEPTABLE,
        ),
        ("mac", "Its MAC is the device's", read_back.mac, codes.DEVICE_ANSWER_UNACCEPTABLE),
        ("roles", "It tells what was asked", told_roles, codes.DEVICE_ANSWER_UNACCEPTABLE),
    )
)
"""What a device's answer to 6.24.1 must be."""

READ_DETAILS: Final = {1: Variant(DETAILS_CHECKS, command=question, originates=True)}
