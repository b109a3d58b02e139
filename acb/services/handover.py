"""6.21 Request Handover of DCC Controlled Device: the broker signs its own cells away.

A new device may hold the broker's certificates in the cells of its supplier or network operator.
On request the broker puts the user's there: CS02b mode 2 or 3, signed by the broker's signing key
(whose certificate is in the authorising cell), with the broker's identifier and its own counter.
RTDS vector 6.21; docs/sources.md#trust-anchor-cells.

A date for the future is the broker's to keep (future dating pattern "DSP"): nothing is sent before
it, and the checks below are made again on the day (`acb.steps.dates`).
"""

from __future__ import annotations

from typing import Final

from acb.model import ServiceRules
from acb.rules import codes
from acb.rules.answer import ANSWER_CHECKS, learn_update, read_update_answer
from acb.rules.executed import ALERT_CHECKS, learn_alert, read_alert
from acb.services.credentials import (
    certificates,
    command_header,
    commanded,
    form,
    party_of,
    role,
)
from acb.services.evidence import RECONSTRUCTION, ServiceEvidence
from acb.services.service import Appointment, Judgement, Service, Signer, Silence, Variant
from duis.model import CANCEL_DATE, RequestBody, RequestHandoverOfDCCControlledDevice
from gbcs.codes import CellUsage, RemotePartyRole
from gbcs.message import Message
from gbcs.payloads.credentials import encode_update
from services.chassis.checks import Check, CheckFailed, check, need


@check("acb.handover.holder", source=RECONSTRUCTION, code=codes.DEVICE_NOT_ELIGIBLE)
def held(evidence: ServiceEvidence) -> None:
    """The broker's own device, to give away.

    By the record, the cells hold the broker's certificates, the signing cell its present one.
    """
    update = commanded(evidence)
    device = need(evidence.device, "device record")
    signing = party_of(update).signing_cell.name
    for name in (signing, *(item.cell.name for item in update.replacements)):
        found = device.cells.get(name)
        if found is None or found.subject_eui != evidence.broker.subject_eui:
            raise CheckFailed(
                f"{name} is not the broker's",
                expected=evidence.broker.subject_eui,
                found="nothing" if found is None else found.subject_eui,
            )
    if device.cells[signing].key_identifier != evidence.broker.key_identifier:
        raise CheckFailed(f"{signing} holds another certificate of the broker")


@check(
    "acb.handover.top_up",
    source="reconstruction: GBCS 0.8.1 page 179",
    code=codes.CREDENTIALS_FORM,
)
def top_up(evidence: ServiceEvidence) -> None:
    """A floor for top-ups comes with their certificate.

    reconstruction: a specialist floor is for a supplier that runs a sequence of its own for
    top-ups (GBCS 0.8.1 page 179), and nothing says what it would count without that key. What the
    CoS Parties make of it in 6.23 is theirs: it is judged apart here. That a network operator has
    no such floor at all is the business of `form`.
    """
    update = commanded(evidence)
    uses = {item.cell.cell_usage for item in update.replacements}
    supplier = party_of(update).role is RemotePartyRole.SUPPLIER
    if supplier and update.new_specialist_floors and CellUsage.PREPAYMENT_TOP_UP not in uses:
        raise CheckFailed(
            "a floor for top-ups is given, but no key agreement certificate for top-ups",
            expected="both or no floor",
            found=f"floor {update.new_specialist_floors[0].number}",
        )


def handover(evidence: ServiceEvidence, counter: int) -> Message:
    """The command, for the broker to sign."""
    update = commanded(evidence, counter)
    header = command_header(update, evidence.broker.subject_eui or "", evidence.target)
    return Message(header, encode_update(update), signature=None)


def appointment(body: RequestBody) -> Appointment | None:
    """The date until which the broker keeps the request; one role of a device is one place."""
    if not isinstance(body, RequestHandoverOfDCCControlledDevice):
        return None
    at = body.execution_date_time
    return None if at is None else Appointment(at, at == CANCEL_DATE, body.remote_party_role)


HANDOVER_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    role.again("acb.handover.role"),
    form.again("acb.handover.form"),
    top_up,
    held,
    certificates.again("acb.handover.certificates"),
)

HANDOVER: Final = Service(
    ServiceRules(
        variant="6.21",
        reference="6.21",
        command_variants=frozenset({1}),
        roles=frozenset({"IS", "GS", "ED", "GT"}),
        device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
        uses_cos_party=False,
    ),
    {1: Variant(HANDOVER_CHECKS, Signer.BROKER, command=handover)},
    response=Judgement(ANSWER_CHECKS, read_update_answer, learn_update),
    alert=Judgement(ALERT_CHECKS, read_alert, learn_alert),
    silence=Silence.READ_BACK,
    appointment=appointment,
)
"""Roles: docs/sources.md#services lists IS and GS; that network operators may ask too follows from
mode 3 and the eligible statuses are a reconstruction."""
