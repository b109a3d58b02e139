"""Replacing the contents of trust anchor cells, one by one, and the floors that go with it.

A Command is not atomic: each cell succeeds or fails by itself, and a failed one reports what it
still holds (docs/sources.md#outcomes, confirmed by RTDS vectors). Each certificate is judged
against the root cell as it stands at that moment (reconstruction).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from gbcs.codes import AlertCode, CredentialsReplacementMode, RemotePartyRole, StatusCode
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsOutcome,
    SeqNumberChange,
    SpecialistSeqNumber,
    UpdateCredentials,
)
from keys.certificate import NO_SUBJECT, Certificate
from keys.errors import CertificateError
from meter_sim.device import anti_replay
from meter_sim.device.device_types import ROOT, SUPPLIER_TOP_UP, signing_cell
from meter_sim.device.model import (
    CellResult,
    Counters,
    DeviceContext,
    DeviceState,
    OwnKeyFault,
    Pending,
    SecurityEvent,
)
from meter_sim.device.rules.certificate import SECTION, STATUS_OF_CHECK
from meter_sim.device.rules.evidence import Candidate
from services.chassis.checks import Refused

NO_KEY_IDENTIFIER = bytes(8)
CERTIFICATES_READ = 1024
STORE_FAULTS = (
    (OwnKeyFault.TRUST_ANCHOR_BUSY, StatusCode.RESOURCES_BUSY),
    (OwnKeyFault.TRUST_ANCHOR_MEMORY, StatusCode.INSUFFICIENT_MEMORY),
)
"""What a cell says that could not be written, certificate and all in order
(docs/sources.md#device-checks); which of the two where both are so is a reconstruction."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What one Command did: the state after it, its outcome for the wire, and the verdicts.

    `dropped`: what replaced parties had left pending, which is forgotten with them.
    """

    state: DeviceState
    outcome: CredentialsOutcome
    cells: tuple[CellResult, ...]
    dropped: tuple[Pending, ...] = ()


def replace_credentials(
    state: DeviceState,
    update: UpdateCredentials,
    authority: RemotePartyRole,
    context: DeviceContext,
) -> Replaced:
    """Do what an approved Command asks, on behalf of role `authority`."""
    cells = dict(state.cells)
    path = readable(update.path_certificates)
    outcomes: list[CellOutcome] = []
    results: list[CellResult] = []
    for replacement in update.replacements:
        candidate = Candidate(
            cell=replacement.cell,
            der=replacement.certificate,
            certificate=_read(replacement.certificate),
            held=cells.get(replacement.cell),
            root=cells.get(ROOT),
            path=path,
            at=context.at if update.apply_time_checks else None,
            by_contingency=update.mode is CredentialsReplacementMode.ANY_BY_CONTINGENCY,
        )
        result, new = _judge(candidate, state.eui, context)
        if new is not None:
            cells[result.cell] = new
        outcomes.append(_outcome(candidate, result.status))
        results.append(result)
    done = frozenset(result.cell for result in results if result.status is StatusCode.SUCCESS)
    counters, changes = _apply_floors(state, cells, update, authority, done)
    dropped = _orphaned(state, cells)
    left = {role: kept for role, kept in state.pending.items() if kept not in dropped}
    after = replace(state, cells=cells, counters=counters, pending=left)
    outcome = CredentialsOutcome(update.authorising_counter, update.mode, changes, tuple(outcomes))
    return Replaced(after, outcome, tuple(results), dropped)


def readable(ders: tuple[bytes, ...]) -> tuple[Certificate, ...]:
    """Those of these certificates that can be read; the others cannot help to build a path."""
    found = (_read(der) for der in ders)
    return tuple(certificate for certificate in found if certificate is not None)


@lru_cache(maxsize=CERTIFICATES_READ)
def _read(der: bytes) -> Certificate | None:
    """The certificate of these octets. Pure, and the same for every device of a change: kept."""
    try:
        return Certificate.from_der(der)
    except CertificateError:
        return None


def _judge(
    candidate: Candidate, eui: str, context: DeviceContext
) -> tuple[CellResult, Certificate | None]:
    """What is decided, and the certificate to put into the cell, if one is."""
    run = context.book.start(f"{eui} {candidate.cell.name}", section=SECTION)
    new: Certificate | None = None
    try:
        new = run.judge(candidate).evidence.certificate
    except Refused as refused:
        status = STATUS_OF_CHECK[refused.check]
    else:  # whatever is turned off, nothing unreadable is kept
        status = StatusCode.BAD_CERTIFICATE if new is None else StatusCode.SUCCESS
    if status is StatusCode.SUCCESS:
        status = next((code for fault, code in STORE_FAULTS if fault in context.faults), status)
    kept = new if status is StatusCode.SUCCESS else None
    return CellResult(candidate.cell, status, tuple(run.verdicts())), kept


def _outcome(candidate: Candidate, status: StatusCode) -> CellOutcome:
    existing_subject, existing_key = _identity(candidate.held)
    new = candidate.certificate if status is StatusCode.SUCCESS else candidate.held
    subject, key = _identity(new)
    return CellOutcome(candidate.cell, status, existing_subject, existing_key, subject, key)


def _identity(certificate: Certificate | None) -> tuple[bytes, bytes]:
    if certificate is None:
        return NO_SUBJECT, NO_KEY_IDENTIFIER
    return certificate.subject_unique_id, certificate.key_identifier


def _apply_floors(
    before: DeviceState,
    after: Mapping[CellId, Certificate],
    update: UpdateCredentials,
    authority: RemotePartyRole,
    done: frozenset[CellId],
) -> tuple[Counters, tuple[SeqNumberChange, ...]]:
    """Set the floors that were asked for and are due; echo those (docs/sources.md#outcomes)."""
    asked = list(update.other_changes or ())
    if update.new_floor is not None:
        own = SeqNumberChange(authority, update.new_floor, update.new_specialist_floors)
        asked.insert(0, own)
    counters = before.counters
    applied: list[SeqNumberChange] = []
    for change in asked:
        cell = signing_cell(change.role)
        if cell not in done:
            continue
        same = _same_key(before.cells, after, cell)
        counters, floor = anti_replay.floor(counters, change.role, change.floor, same_key=same)
        special: list[SpecialistSeqNumber] = []
        for item in change.specialist or ():
            if SUPPLIER_TOP_UP in done and change.role is SUPPLIER_TOP_UP.role:
                same = _same_key(before.cells, after, SUPPLIER_TOP_UP)
                counters, number = anti_replay.top_up_floor(
                    counters, change.role, item.number, same_key=same
                )
                special.append(SpecialistSeqNumber(number, item.usage))
        applied.append(SeqNumberChange(change.role, floor, tuple(special) or None))
    return counters, tuple(applied)


def _same_key(
    before: Mapping[CellId, Certificate], after: Mapping[CellId, Certificate], cell: CellId
) -> bool:
    old, new = before.get(cell), after.get(cell)
    return old is not None and new is not None and old.public_key == new.public_key


def events_of(use_case: str, done: Replaced) -> tuple[SecurityEvent, ...]:
    """The Security Log lines of what was done."""
    code = int(AlertCode.CREDENTIALS_UPDATED)
    forgotten = (f"pending {one.reference} dropped with its authority" for one in done.dropped)
    return (SecurityEvent(code, use_case), *(SecurityEvent(code, line) for line in forgotten))


def _orphaned(before: DeviceState, after: Mapping[CellId, Certificate]) -> tuple[Pending, ...]:
    """What parties left pending whose signing credentials are now others.

    Reconstruction (docs/sources.md#future-dating): an old supplier's future-dated Command must
    not be executed over its successor.
    """
    return tuple(
        pending
        for role, pending in before.pending.items()
        if after.get(signing_cell(role)) != before.cells.get(signing_cell(role))
    )
