"""What a command must be, given the request: the broker's own reading of the mapping.

The CoS Party builds the command; this module says, independently of it, what a faithful command
looks like, so that a fault or a lie on that side cannot pass here. Shared formats, separate
judgement: nothing here is imported from a CoS Party or by one.

Mapping DUIS 6.23 -> GBCS CS02b mode 7, docs/sources.md#services, #future-dating (templates and
vectors):

==============================================  ===============================================
DUIS                                            GBCS
==============================================  ===============================================
DigitalSigningCertificate                       supplier/digitalSignature/management
KeyAgreementCertificate                         supplier/keyAgreement/management
KeyAgreementTopUpCertificate                    supplier/keyAgreement/prePaymentTopUp
SupplierFloorSeqNumber                          [6] role supplier, floor
SupplierPrepaymentTopUpFloorSeqNumber           [6] role supplier, specialist prepaymentTopUp
CertificationPathCertificates                   certificationPathCertificates, same order
ApplyTimeBasedCPVChecks true / false            [1] absent / disapply
ExecutionDateTime absent                        absent (at once)
ExecutionDateTime 3000-12-31T00:00:00.00Z       "99991231235959Z" (cancel), and no [6] at all
ExecutionDateTime otherwise                     "YYYYMMDDHHMMSSZ"
==============================================  ===============================================
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from duis.model import CANCEL_DATE, UpdateSecurityCredentialsCoS
from gbcs.codes import CellUsage, CredentialsReplacementMode, KeyUsage, RemotePartyRole
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    CellId,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
)

AUTHORISING_CELL: Final = CellId(RemotePartyRole.TRANSITIONAL_COS, KeyUsage.DIGITAL_SIGNATURE)
SUPPLIER_SIGNING: Final = CellId(RemotePartyRole.SUPPLIER, KeyUsage.DIGITAL_SIGNATURE)
SUPPLIER_AGREEMENT: Final = CellId(RemotePartyRole.SUPPLIER, KeyUsage.KEY_AGREEMENT)
SUPPLIER_TOP_UP: Final = CellId(
    RemotePartyRole.SUPPLIER, KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP
)


def is_cancellation(body: UpdateSecurityCredentialsCoS) -> bool:
    """Whether the request withdraws a change that was dated for the future."""
    return body.execution_date_time == CANCEL_DATE


def execution_text(at: datetime | None) -> str | None:
    """The GeneralizedTime a command must carry for a request's execution date; None for none."""
    if at is None:
        return None
    if at == CANCEL_DATE:
        return CANCEL_EXECUTION
    return at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def replacements(body: UpdateSecurityCredentialsCoS) -> tuple[Replacement, ...]:
    """The cells to be replaced and the certificate for each, in the order of the vectors."""
    pairs = (
        (body.digital_signing, SUPPLIER_SIGNING),
        (body.key_agreement, SUPPLIER_AGREEMENT),
        (body.key_agreement_top_up, SUPPLIER_TOP_UP),
    )
    return tuple(
        Replacement(certificate, cell) for certificate, cell in pairs if certificate is not None
    )


def floor_changes(body: UpdateSecurityCredentialsCoS) -> tuple[SeqNumberChange, ...] | None:
    """Field [6]: the incoming supplier's floors; None for a cancellation, which omits it."""
    if is_cancellation(body):
        return None
    specialist = (
        None
        if body.prepayment_top_up_floor is None
        else (SpecialistSeqNumber(body.prepayment_top_up_floor),)
    )
    return (SeqNumberChange(RemotePartyRole.SUPPLIER, body.supplier_floor, specialist),)


def expected_command(body: UpdateSecurityCredentialsCoS, counter: int) -> UpdateCredentials:
    """The one command that does what the request asks, with the given originator counter."""
    return UpdateCredentials(
        mode=CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS,
        authorising_counter=counter,
        authorising_cell=AUTHORISING_CELL,
        replacements=replacements(body),
        path_certificates=body.path_certificates,
        apply_time_checks=body.apply_time_checks,
        other_changes=floor_changes(body),
        execution_date_time=execution_text(body.execution_date_time),
    )
