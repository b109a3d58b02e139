"""From an approved service request to the bytes the CoS Party signs.

The command is CS02b Update Security Credentials, mode 7 supplierByTransCoS (GBCS 0.8.1 pages 163
and 179; docs/sources.md#modes, #update-payload, #message-sizes, #future-dating; confirmed by the
published 6.23 vectors):

* originator and counter are the CoS Party's own, recipient is the device the request names;
* the authorising cell is ``transitionalCoS/digitalSignature/management`` for both CoS Parties;
* one replacement per certificate of the request: the supplier's digital signing cell, then its
  key agreement cells for management and for prepayment top-up;
* the floors become one entry of ``otherRemotePartySeqNumberChanges`` for the supplier's role; the
  top-up floor is its specialist floor. A cancellation omits the whole field;
* ``applyTimeBasedCPVChecks`` false becomes disapply; true leaves the field out (DEFAULT);
* the execution date becomes a GeneralizedTime in whole seconds; the date that stands for
  cancellation becomes ``99991231235959Z``.

The payload carries the certificates exactly as the supplier signed them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cos_party.model import ChangeRequest
from duis.model import UpdateSecurityCredentialsCoS
from gbcs.codes import (
    CellUsage,
    Cra,
    CredentialsReplacementMode,
    KeyUsage,
    MessageCode,
    RemotePartyRole,
    SeqNumberUsage,
)
from gbcs.message import GroupingHeader, Message, OtherInformation
from gbcs.payloads.credentials import (
    CANCEL_EXECUTION,
    CellId,
    Replacement,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
    encode_update,
)

AUTHORISING_CELL = CellId(
    RemotePartyRole.TRANSITIONAL_COS, KeyUsage.DIGITAL_SIGNATURE, CellUsage.MANAGEMENT
)
SUPPLIER_DIGITAL_SIGNING = CellId(
    RemotePartyRole.SUPPLIER, KeyUsage.DIGITAL_SIGNATURE, CellUsage.MANAGEMENT
)
SUPPLIER_KEY_AGREEMENT = CellId(
    RemotePartyRole.SUPPLIER, KeyUsage.KEY_AGREEMENT, CellUsage.MANAGEMENT
)
SUPPLIER_TOP_UP = CellId(
    RemotePartyRole.SUPPLIER, KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP
)


def generalized_time(moment: datetime) -> str:
    """`moment` as GeneralizedTime in whole seconds, ``YYYYMMDDHHMMSSZ``."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")


def execution_time(body: UpdateSecurityCredentialsCoS) -> str | None:
    """The command's execution time: None when immediate, the far date when it cancels."""
    if body.execution_date_time is None:
        return None
    if body.cancels:
        return CANCEL_EXECUTION
    return generalized_time(body.execution_date_time)


def replacements(body: UpdateSecurityCredentialsCoS) -> tuple[tuple[CellId, bytes], ...]:
    """Each certificate the request carries beside the cell it is for, in the command's order."""
    pairs = (
        (SUPPLIER_DIGITAL_SIGNING, body.digital_signing),
        (SUPPLIER_KEY_AGREEMENT, body.key_agreement),
        (SUPPLIER_TOP_UP, body.key_agreement_top_up),
    )
    return tuple((cell, der) for cell, der in pairs if der is not None)


def floor_changes(body: UpdateSecurityCredentialsCoS) -> tuple[SeqNumberChange, ...] | None:
    """The floors to set for the supplier's role, or None for a cancellation."""
    if body.cancels:
        return None
    specialist = (
        None
        if body.prepayment_top_up_floor is None
        else (SpecialistSeqNumber(body.prepayment_top_up_floor, SeqNumberUsage.PREPAYMENT_TOP_UP),)
    )
    return (SeqNumberChange(RemotePartyRole.SUPPLIER, body.supplier_floor, specialist),)


def credentials_update(body: UpdateSecurityCredentialsCoS, counter: int) -> UpdateCredentials:
    """The CS02b payload for `body`, authorised under the CoS Party's own `counter`."""
    return UpdateCredentials(
        mode=CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS,
        authorising_counter=counter,
        authorising_cell=AUTHORISING_CELL,
        replacements=tuple(Replacement(der, cell) for cell, der in replacements(body)),
        path_certificates=body.path_certificates,
        apply_time_checks=body.apply_time_checks,
        other_changes=floor_changes(body),
        execution_date_time=execution_time(body),
    )


def pre_command(request: ChangeRequest, originator: str, counter: int) -> Message:
    """The unsigned command: grouping header and payload, no signature octets.

    Args:
        request: the service request the checks approved.
        originator: the CoS Party's entity identifier.
        counter: the originator counter taken for this command alone.

    Raises:
        gbcs.errors.EncodeError: if a value has no place in the format.
    """
    update = credentials_update(request.body, counter)
    header = GroupingHeader(
        cra=Cra.COMMAND,
        counter=counter,
        originator=originator,
        recipient=request.header.request_id.target,
        other=OtherInformation(message_code=MessageCode.SUPPLIER_BY_TRANS_COS),
    )
    return Message(header=header, payload=encode_update(update), signature=None)
