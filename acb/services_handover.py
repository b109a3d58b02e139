"""6.21 Request Handover of DCC Controlled Device: the broker signs its own cells away.

A new device may hold the broker's certificates in the cells of its supplier or network operator.
On request the broker puts the asker's there: CS02b mode 2 or 3, signed by the broker's signing key
(whose certificate is in the authorising cell), with the broker's identifier and its own counter.
RTDS vector 6.21; docs/domain facts 1.8.

A date for the future is the broker's to keep (future dating pattern "DSP"): nothing is sent before
it, and the checks below are made again on the day (`acb.waiting`).
"""

from __future__ import annotations

from typing import Final

from acb.model import ServiceRules
from acb.need import need
from acb.services_credentials import command_header, commanded, credential_checks, party_of
from acb.services_evidence import ServiceEvidence, Variant
from gbcs.credentials import encode_update
from gbcs.message import Message
from services.chassis.checks import CheckFailed

SECTION: Final = "handover"

HANDOVER_RULES: Final = ServiceRules(
    variant="6.21",
    reference="6.21",
    command_variants=frozenset({1}),
    roles=frozenset({"IS", "GS", "ED", "GT"}),
    device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
    uses_cos_party=False,
)
"""Roles: docs/domain facts 5.2 lists IS and GS; that network operators may ask too follows from
mode 3 in 1.8 [K]. Eligible statuses are [K]."""


def held(evidence: ServiceEvidence) -> None:
    """By the record, the cells hold the broker's certificates, the signing cell its present one."""
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


def handover(evidence: ServiceEvidence, counter: int) -> Message:
    """The command, for the broker to sign."""
    update = commanded(evidence, counter)
    header = command_header(
        update,
        evidence.broker.subject_eui or "",
        evidence.request.header.request_id.target,
    )
    return Message(header, encode_update(update), signature=None)


HANDOVER_CHECKS: Final = credential_checks(SECTION, held, "The broker's own device, to give away")
HANDOVER: Final = {1: Variant(HANDOVER_CHECKS, command=handover, originates=True)}
