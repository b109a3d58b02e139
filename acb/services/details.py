"""6.24.1 Retrieve Device Security Credentials (KRP): the broker asks the device, under a MAC.

Use case CS02a, or CS02f where the load controller's role is asked for: by the broker's own
authority and with its own counter; the device's answer carries a MAC by the same pair of keys
(RTDS vector CS02a 6.24.1: docs/sources.md#mac, #device-credentials) and is passed to the user as it
is. That a user reads only devices one of whose cells holds its certificate is a reconstruction.
"""

from __future__ import annotations

from typing import Final

from acb.model import ServiceRules
from acb.rules import answer, codes, read_back
from acb.rules.answer import Learned, Sent, read_answer
from acb.rules.read_back import OWN_CELL, DetailsEvidence
from acb.services.evidence import RECONSTRUCTION, ServiceEvidence, holds_a_cell
from acb.services.service import Judgement, Service, Signer, Silence, Variant
from duis.model import RemotePartyRole as Named
from duis.model import RetrieveDeviceSecurityCredentialsKRP
from gbcs.codes import Cra, MessageCode, RemotePartyRole
from gbcs.message import GroupingHeader, Message, OtherInformation
from gbcs.payloads.details import ReadCredentials, decode_details, decode_read, encode_read
from services.chassis.checks import Approved, Check, CheckFailed, check, need

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

_SOURCE: Final = "RTDS vector CS02a 6.24.1: docs/sources.md#device-credentials, #mac"
_CODE: Final = codes.DEVICE_ANSWER_UNACCEPTABLE


@check("acb.details.roles", source=RECONSTRUCTION, code=codes.DETAILS_ROLE)
def named_once(evidence: ServiceEvidence) -> None:
    """Each role is named once."""
    roles = _roles(evidence)
    if len(set(roles)) != len(roles):
        raise CheckFailed("a role is named twice", found=", ".join(item.value for item in roles))


@check("acb.details.visible", source=RECONSTRUCTION, code=codes.DEVICE_NOT_ELIGIBLE)
def visible(evidence: ServiceEvidence) -> None:
    """The user may see it.

    A cell of the device holds a certificate of the user.
    """
    if not holds_a_cell(need(evidence.device, "device record"), evidence.requester):
        raise CheckFailed("no cell of the device holds a certificate of the user")


@check(
    "acb.details.load_controller",
    source="docs/sources.md#device-credentials (CS02f)",
    code=codes.DETAILS_ROLE,
)
def load_controller(evidence: ServiceEvidence) -> None:
    """The device can have the role.

    The load controller's is asked only of a device that can have one.
    """
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
        evidence.target,
        OtherInformation(code),
    )
    read = ReadCredentials(OWN_CELL, tuple(ROLES[item] for item in roles))
    return Message(header, encode_read(read), signature=b"")


def read_own_answer(raw: bytes, sent: Sent) -> DetailsEvidence:
    """The device's answer, read as far as it can be."""
    return read_answer(raw, sent, decode_details)


def learn_details(approved: Approved[DetailsEvidence]) -> Learned:
    """What the device says its cells hold, by an approved answer."""
    return Learned(details=approved.evidence.payload)


@check("acb.details_answer.roles", source=_SOURCE, code=_CODE)
def roles_told(evidence: DetailsEvidence) -> None:
    """It tells what was asked.

    Of exactly the roles that were asked for, in their order.
    """
    asked = decode_read(evidence.sent.command.payload).roles
    found = tuple(item.role for item in need(evidence.payload, "payload").roles)
    if found != asked:
        raise CheckFailed(
            "it tells of other roles",
            expected=", ".join(item.label for item in asked),
            found=", ".join(item.label for item in found) or "none",
        )


def _roles(evidence: ServiceEvidence) -> tuple[Named, ...]:
    body = evidence.request.body
    if not isinstance(body, RetrieveDeviceSecurityCredentialsKRP):
        raise CheckFailed("the request does not ask for remote parties' credentials")
    return body.roles


DETAILS_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (named_once, visible, load_controller)

DETAILS_ANSWER_CHECKS: Final[tuple[Check[DetailsEvidence], ...]] = (
    answer.received.again("acb.details_answer.received", source=_SOURCE),
    read_back.readable.again("acb.details_answer.decode", code=_CODE),
    read_back.header.again("acb.details_answer.header", code=_CODE),
    read_back.mac.again("acb.details_answer.mac", code=_CODE),
    roles_told,
)
"""What a device's answer to 6.24.1 must be."""

READ_DETAILS: Final = Service(
    ServiceRules(
        variant="6.24.1",
        reference="6.24",
        command_variants=frozenset({1}),
        roles=frozenset({"IS", "GS", "ED", "GT"}),
        device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
        uses_cos_party=False,
    ),
    {1: Variant(DETAILS_CHECKS, Signer.NOBODY, command=question)},
    response=Judgement(DETAILS_ANSWER_CHECKS, read_own_answer, learn_details),
    silence=Silence.ASK_ANEW,
)
"""docs/sources.md#services. Eligible statuses are reconstructions."""
