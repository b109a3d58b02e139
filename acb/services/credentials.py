"""What 6.15.1 and 6.21 have in common: a party's own credentials go into its own cells.

Mapping to use case CS02b, mode 2 (supplierBySupplier) or 3 (networkOperatorByNetworkOperator), from
docs/sources.md#modes, #update-payload, #services (published commands of both services):

=========================================  =====================================================
DUIS                                       GBCS
=========================================  =====================================================
RemotePartyRole                            mode, role of every cell, authorising cell of the role
DigitalSigningCertificate                  <role>/digitalSignature/management
KeyAgreementCertificate                    <role>/keyAgreement/management
KeyAgreementTopUpCertificate               <role>/keyAgreement/prePaymentTopUp
RemotePartyFloorSeqNumber                  [4]
RemotePartyPrepaymentTopUpFloorSeqNumber   [5]
CertificationPathCertificates              certificationPathCertificates, same order
ApplyTimeBasedCPVChecks true / false       [1] absent / disapply
ExecutionDateTime, 6.15.1                  "YYYYMMDDHHMMSSZ"; to cancel "99991231235959Z"
ExecutionDateTime, 6.21                    nothing: the broker itself waits (`acb.steps.dates`)
=========================================  =====================================================

The future dating patterns are "Device" and "DSP": docs/sources.md#future-dating, #services.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from acb.rules import codes
from acb.rules.expected import execution_text
from acb.rules.path import require_path
from acb.services.evidence import RECONSTRUCTION, ServiceEvidence
from duis.model import (
    CANCEL_DATE,
    RequestHandoverOfDCCControlledDevice,
    UpdateSecurityCredentialsKRP,
)
from duis.model import RemotePartyRole as Named
from gbcs.codes import (
    MESSAGE_CODE_OF_MODE,
    CellUsage,
    Cra,
    CredentialsReplacementMode,
    KeyUsage,
    RemotePartyRole,
)
from gbcs.date_time import from_generalized_time
from gbcs.errors import ParseError
from gbcs.message import GroupingHeader, OtherInformation
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    CellId,
    Replacement,
    SpecialistSeqNumber,
    UpdateCredentials,
)
from gbcs.rules import command_findings
from keys.certificate import Certificate
from keys.errors import CertificateError
from keys.roles import OrganisationRole, Usage
from services.chassis.checks import CheckFailed, check, need

MAPPING: Final = "docs/sources.md#modes, #update-payload, #services (RTDS vectors 6.15.1, 6.21)"

_USAGE: Final = {
    KeyUsage.DIGITAL_SIGNATURE: Usage.DIGITAL_SIGNATURE,
    KeyUsage.KEY_AGREEMENT: Usage.KEY_AGREEMENT,
}


@dataclass(frozen=True, slots=True)
class Party:
    """Who may replace its own credentials: by which mode, certified how, as which users."""

    mode: CredentialsReplacementMode
    role: RemotePartyRole
    certified: OrganisationRole
    user_roles: frozenset[str]

    @property
    def signing_cell(self) -> CellId:
        """The cell whose key authorises."""
        return CellId(self.role, KeyUsage.DIGITAL_SIGNATURE)


PARTIES: Final = {
    Named.SUPPLIER: Party(
        CredentialsReplacementMode.SUPPLIER_BY_SUPPLIER,
        RemotePartyRole.SUPPLIER,
        OrganisationRole.SUPPLIER,
        frozenset({"IS", "GS"}),
    ),
    Named.NETWORK_OPERATOR: Party(
        CredentialsReplacementMode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR,
        RemotePartyRole.NETWORK_OPERATOR,
        OrganisationRole.NETWORK_OPERATOR,
        frozenset({"ED", "GT"}),
    ),
}
BY_MODE: Final = {party.mode: party for party in PARTIES.values()}


def commanded(evidence: ServiceEvidence, counter: int = 0) -> UpdateCredentials:
    """What is asked for, as a command: mapped from the request, or read from the signed one.

    Raises:
        CheckFailed: it asks nothing that this service can do.
    """
    body = evidence.request.body
    if not isinstance(body, UpdateSecurityCredentialsKRP | RequestHandoverOfDCCControlledDevice):
        return need(evidence.signed.update, "payload that updates credentials")
    party = PARTIES.get(body.remote_party_role)
    if party is None:
        raise CheckFailed(
            "credentials of this role are not replaced by this service",
            expected=" or ".join(item.value for item in PARTIES),
            found=body.remote_party_role.value,
        )
    pairs = (
        (body.digital_signing, party.signing_cell),
        (body.key_agreement, CellId(party.role, KeyUsage.KEY_AGREEMENT)),
        (
            body.key_agreement_top_up,
            CellId(party.role, KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP),
        ),
    )
    top_up = body.prepayment_top_up_floor
    dated = isinstance(body, UpdateSecurityCredentialsKRP)
    return UpdateCredentials(
        mode=party.mode,
        authorising_counter=counter,
        authorising_cell=party.signing_cell,
        replacements=tuple(Replacement(der, cell) for der, cell in pairs if der is not None),
        path_certificates=body.path_certificates,
        apply_time_checks=body.apply_time_checks,
        new_floor=body.floor,
        new_specialist_floors=None if top_up is None else (SpecialistSeqNumber(top_up),),
        execution_date_time=execution_text(body.execution_date_time) if dated else None,
    )


def command_header(update: UpdateCredentials, originator: str, device: str) -> GroupingHeader:
    """The grouping header that goes with a payload."""
    other = OtherInformation(MESSAGE_CODE_OF_MODE[update.mode])
    return GroupingHeader(Cra.COMMAND, update.authorising_counter, originator, device, other)


def party_of(update: UpdateCredentials) -> Party:
    """The party whose credentials a command of this mode replaces.

    Raises:
        CheckFailed: no party may ask this of this service.
    """
    party = BY_MODE.get(update.mode)
    if party is None:
        raise CheckFailed(
            "this mode is not of this service",
            expected=" or ".join(mode.label for mode in BY_MODE),
            found=update.mode.label,
        )
    return party


@check("acb.pre_command.role", source=RECONSTRUCTION, code=codes.CREDENTIALS_ROLE)
def role(evidence: ServiceEvidence) -> None:
    """A role the user has.

    And one whose credentials this service replaces.
    """
    party = party_of(commanded(evidence))
    roles = need(evidence.user, "user").roles
    if not party.user_roles & set(roles):
        raise CheckFailed(
            "the user's roles are not those of the remote party role",
            expected=" or ".join(sorted(party.user_roles)),
            found=", ".join(roles) or "none",
        )


@check("acb.pre_command.form", source=MAPPING, code=codes.CREDENTIALS_FORM)
def form(evidence: ServiceEvidence) -> None:
    """A command the standard has.

    Cells, floors and counters go with the mode.
    """
    counter = evidence.request.header.request_id.counter
    update = commanded(evidence, counter)
    header = command_header(update, evidence.requester, evidence.target)
    for finding in command_findings(header, update):
        raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)


def acting_at(evidence: ServiceEvidence) -> datetime | None:
    """When the device is to act, if that is later; None for at once, and where it never shall.

    Raises:
        CheckFailed: the command says something that is no date.
    """
    body = evidence.request.body
    if isinstance(body, RequestHandoverOfDCCControlledDevice):
        asked = body.execution_date_time
        return None if asked == CANCEL_DATE else asked
    dated = commanded(evidence).execution_date_time
    if dated is None or dated == CANCEL_EXECUTION:
        return None
    try:
        return from_generalized_time(dated)
    except ParseError as error:
        raise CheckFailed(str(error), found=dated) from error


@check("acb.pre_command.certificates", source=RECONSTRUCTION, code=codes.CREDENTIALS_CERTIFICATE)
def certificates(evidence: ServiceEvidence) -> None:
    """The user's own certificates, fit for their cells.

    Each with a good path to the root, now and on the day on which the device acts.
    """
    update, path, later = commanded(evidence), need(evidence.path, "trust anchor"), None
    if (at := acting_at(evidence)) is not None:
        later = replace(path, now=at)
    party = party_of(update)
    for item in update.replacements:
        try:
            certificate = Certificate.from_der(item.certificate)
        except CertificateError as error:
            raise CheckFailed(f"{item.cell.name}: {error}") from error
        wanted = (evidence.requester, party.certified, _USAGE.get(item.cell.key_usage))
        found = (certificate.subject_eui, certificate.role, certificate.usage)
        if found != wanted:
            raise CheckFailed(
                f"{item.cell.name}: not the user's own certificate for this cell",
                expected=" ".join(map(str, wanted)),
                found=" ".join(map(str, found)),
            )
        require_path(certificate, path, revocation=True)
        if later is not None:
            require_path(certificate, later, revocation=False)


@check("acb.pre_command.holder", source=RECONSTRUCTION, code=codes.DEVICE_NOT_ELIGIBLE)
def holder(evidence: ServiceEvidence) -> None:
    """The user's own device.

    The role's signing cell in the device holds the user's certificate.
    """
    cell = party_of(commanded(evidence)).signing_cell.name
    held = need(evidence.device, "device record").cells.get(cell)
    if held is None or held.subject_eui != evidence.requester:
        raise CheckFailed(
            f"{cell} does not hold a certificate of the user",
            expected=evidence.requester,
            found="nothing" if held is None else held.subject_eui,
        )
