"""The checks on what a CoS Party sent back: does it do exactly what was asked, and nothing else.

The point of the broker: a CoS Party that is mistaken, or no longer its own master, can only obtain
this broker's MAC for the very change a supplier asked for, on the very device. Each property is
its own check so that a refusal names what was wrong; `acb.return.nothing_else` closes the list by
comparing octet for octet with the one command the request allows.

Sources: GBCS 0.8.1 p163 and p179 (fields, when present), RTDS vectors, docs/sources.md#modes,
#update-payload, #message-sizes, #device-checks, #outcomes, #future-dating, #party-checks.
Independence of the two parties' checks: ECoS separation consultation (2020) 3-4.
"""

from __future__ import annotations

from typing import Final

from acb.model import ReturnEvidence
from acb.rules import codes
from acb.rules.expected import (
    AUTHORISING_CELL,
    execution_text,
    expected_command,
    floor_changes,
    replacements,
)
from acb.rules.path import require_path
from duis.model import UpdateSecurityCredentialsCoS
from gbcs.codes import Cra, CredentialsReplacementMode, MessageCode
from gbcs.errors import GbcsError
from gbcs.message import Message, OtherInformation, encode
from gbcs.payloads.credentials import Replacement, SeqNumberChange, UpdateCredentials, encode_update
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from keys.errors import KeysError
from services.chassis.checks import Check, CheckFailed, check, need

SECTION: Final = "return"
_CODE: Final = codes.INTERNAL_TO_DCC

_CONSTRUCTION = "GBCS 0.8.1 p163, RTDS vectors: docs/sources.md#modes, #message-layout"
_MAPPING = "RTDS vectors and DUIS templates: docs/sources.md#services"
_FIELDS = "GBCS 0.8.1 p179: docs/sources.md#update-payload"


@check("acb.return.decode", source=_CONSTRUCTION, code=_CODE)
def decode(evidence: ReturnEvidence) -> None:
    """It can be read."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    message = need(evidence.message, "message")
    need(evidence.update, "payload")
    if encode(message) != evidence.raw:
        raise CheckFailed("written again, it is not what was received")


@check("acb.return.form", source=_CONSTRUCTION, code=_CODE)
def form(evidence: ReturnEvidence) -> None:
    """A signed command, no MAC, no extras."""
    message = _message(evidence)
    header = message.header
    if header.cra is not Cra.COMMAND:
        raise CheckFailed("it is not a command", expected="command", found=header.cra.label)
    if message.mac is not None:
        raise CheckFailed("the CoS Party sent a MAC, which is the broker's to make")
    if not message.signature:
        raise CheckFailed("it carries no signature")
    if header.date_time is not None:
        raise CheckFailed("a command carries no date-time")
    if header.other != OtherInformation(header.other.message_code):
        raise CheckFailed(
            "the header carries more than a message code (a supplementary party, a counter or a "
            "key agreement certificate)"
        )


@check("acb.return.originator", source=_CONSTRUCTION, code=_CODE)
def originator(evidence: ReturnEvidence) -> None:
    """From the CoS Party that was asked."""
    _same("business originator", evidence.cos_party.eui, _message(evidence).header.originator)


@check("acb.return.recipient", source=_CONSTRUCTION, code=_CODE)
def recipient(evidence: ReturnEvidence) -> None:
    """To the device requested."""
    target = evidence.request.header.request_id.target
    _same("business target", target, _message(evidence).header.recipient)


@check("acb.return.message_code", source=_CONSTRUCTION, code=_CODE)
def message_code(evidence: ReturnEvidence) -> None:
    """Use case CS02b supplierByTransCoS."""
    _same(
        "message code",
        f"0x{int(MessageCode.SUPPLIER_BY_TRANS_COS):04X}",
        f"0x{int(_message(evidence).message_code):04X}",
    )


@check("acb.return.counter", source="docs/sources.md#device-checks, #counters", code=_CODE)
def counter(evidence: ReturnEvidence) -> None:
    """The counter advanced and is the same twice.

    It is above the last from that party for that device. The grouping header's originator
    counter and the payload's authorising sequence number are equal in every published CS02b command
    (docs/sources.md#device-checks step 7).
    """
    found = _message(evidence).header.counter
    _same("authorising counter", str(found), str(_update(evidence).authorising_counter))
    if evidence.last_counter is not None and found <= evidence.last_counter:
        raise CheckFailed(
            "the CoS Party's counter for this device did not advance",
            expected=f"> {evidence.last_counter}",
            found=str(found),
        )


@check(
    "acb.return.signer",
    source="reconstruction: docs/sources.md#hierarchy (devices do not check revocation)",
    code=_CODE,
)
def signer(evidence: ReturnEvidence) -> None:
    """The CoS Party's certificate is good and not revoked.

    Devices look at neither dates nor revocation lists of the certificates they hold: if a CoS
    Party's key is withdrawn, this is the place where its commands end.
    """
    require_path(evidence.certificate, evidence.path, revocation=True)


@check("acb.return.signature", source="docs/sources.md#signature", code=_CODE)
def signature(evidence: ReturnEvidence) -> None:
    """Signed by the device's CoS Party.

    The signature verifies by the certificate the device itself holds for its CoS Party.
    """
    try:
        verify_signature(_message(evidence), evidence.certificate.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not by the key of the certificate in the device's role-5 cell",
            expected=evidence.certificate.key_identifier.hex(),
        ) from error


@check("acb.return.mode", source=_FIELDS, code=_CODE)
def mode(evidence: ReturnEvidence) -> None:
    """Mode 7."""
    wanted = CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS
    found = _update(evidence).mode
    if found != wanted:
        raise CheckFailed("another replacement mode", expected=wanted.label, found=str(int(found)))


@check("acb.return.authorising_cell", source=_FIELDS, code=_CODE)
def authorising_cell(evidence: ReturnEvidence) -> None:
    """By authority of the role-5 cell."""
    found = _update(evidence).authorising_cell
    _same("authorising cell", AUTHORISING_CELL.name, found.name if found is not None else "none")


@check("acb.return.certificates", source=_MAPPING, code=_CODE)
def certificates(evidence: ReturnEvidence) -> None:
    """The requested certificates in the requested cells."""
    wanted = replacements(_body(evidence))
    found = _update(evidence).replacements
    if found != wanted:
        raise CheckFailed(
            "other certificates or other cells than requested",
            expected=_list_replacements(wanted),
            found=_list_replacements(found),
        )


@check("acb.return.path_certificates", source=_MAPPING, code=_CODE)
def path_certificates(evidence: ReturnEvidence) -> None:
    """The requested path certificates."""
    wanted = tuple(_body(evidence).path_certificates)
    found = tuple(_update(evidence).path_certificates)
    if found != wanted:
        raise CheckFailed(
            "other path certificates than requested",
            expected=", ".join(map(_name, wanted)),
            found=", ".join(map(_name, found)) or "none",
        )


@check("acb.return.floors", source=_MAPPING, code=_CODE)
def floors(evidence: ReturnEvidence) -> None:
    """The requested floors.

    Exactly the requested floors, for the supplier role and no other; none when cancelling.
    """
    wanted = floor_changes(_body(evidence))
    update = _update(evidence)
    if update.other_changes != wanted:
        raise CheckFailed(
            "other floors than requested",
            expected=_list_floors(wanted),
            found=_list_floors(update.other_changes),
        )
    if update.new_floor is not None or update.new_specialist_floors is not None:
        raise CheckFailed("the command sets a floor for the CoS Party's own counters")


@check("acb.return.time_checks", source=_MAPPING, code=_CODE)
def time_checks(evidence: ReturnEvidence) -> None:
    """The requested time checks."""
    wanted = _body(evidence).apply_time_checks
    found = _update(evidence).apply_time_checks
    _same("time-based path checks", _applied(wanted), _applied(found))


@check("acb.return.execution_date", source="docs/sources.md#future-dating", code=_CODE)
def execution_date(evidence: ReturnEvidence) -> None:
    """The requested execution date.

    The command takes effect when the request says: at once, then, or never (cancelled).
    """
    wanted = execution_text(_body(evidence).execution_date_time)
    _same("execution date", wanted or "none", _update(evidence).execution_date_time or "none")


@check(
    "acb.return.pending_change",
    source="reconstruction: docs/sources.md#future-dating, #party-checks",
    code=_CODE,
)
def pending_change(evidence: ReturnEvidence) -> None:
    """No other supplier's waiting change is taken away.

    A device keeps one dated change for its CoS Party: a newer one takes its place and a
    cancellation withdraws it, whoever asked. Whose it is, is on record here. Whether registration
    has put somebody else before that participant since, only the CoS Party knows: it names, in its
    signed answer, each request that has to give way.
    """
    if _update(evidence).execution_date_time is None:
        return
    for change in evidence.waiting:
        if change.participant != evidence.participant and (
            change.request_id not in evidence.displaces
        ):
            raise CheckFailed(
                "a change that another participant asked for waits in the device",
                expected=f"nothing before {change.due.isoformat()} that would take its place",
                found=f"{change.request_id} of {change.participant}",
            )


@check("acb.return.nothing_else", source="docs/sources.md#party-checks", code=_CODE)
def nothing_else(evidence: ReturnEvidence) -> None:
    """And nothing else.

    Octet for octet, the payload is the one command this request allows.
    """
    update = _update(evidence)
    if update.plaintext_symmetric_key is not None:
        raise CheckFailed("the command carries a symmetric key, which belongs to contingency only")
    wanted = encode_update(expected_command(_body(evidence), update.authorising_counter))
    payload = _message(evidence).payload
    if payload != wanted:
        first = next(
            (at for at, (a, b) in enumerate(zip(payload, wanted, strict=False)) if a != b),
            min(len(payload), len(wanted)),
        )
        raise CheckFailed(
            f"the payload differs from the one command the request allows, at octet {first}",
            expected=f"{len(wanted)} octets",
            found=f"{len(payload)} octets",
        )


def _message(evidence: ReturnEvidence) -> Message:
    return need(evidence.message, "message")


def _update(evidence: ReturnEvidence) -> UpdateCredentials:
    return need(evidence.update, "payload")


def _body(evidence: ReturnEvidence) -> UpdateSecurityCredentialsCoS:
    body = evidence.request.body
    if not isinstance(body, UpdateSecurityCredentialsCoS):
        raise CheckFailed("the request is not for a change of supplier")
    return body


def _same(what: str, wanted: str, found: str) -> None:
    if wanted != found:
        raise CheckFailed(f"the {what} is not the one requested", expected=wanted, found=found)


def _applied(apply: bool) -> str:
    return "apply" if apply else "disapply"


def _name(der: bytes) -> str:
    """A few words for a certificate that may be anything at all."""
    try:
        certificate = Certificate.from_der(der)
    except KeysError:
        return f"unreadable ({len(der)} octets)"
    return f"{certificate.subject_eui or certificate.common_name} {certificate.fingerprint[:16]}"


def _list_replacements(items: tuple[Replacement, ...]) -> str:
    return "; ".join(f"{item.cell.name}: {_name(item.certificate)}" for item in items) or "none"


def _list_floors(changes: tuple[SeqNumberChange, ...] | None) -> str:
    if changes is None:
        return "none"
    parts = []
    for change in changes:
        text = f"{change.role.label} {change.floor}"
        for special in change.specialist or ():
            text += f" ({special.usage.label} {special.number})"
        parts.append(text)
    return "; ".join(parts) or "an empty list"


RETURN_CHECKS: Final[tuple[Check[ReturnEvidence], ...]] = (
    decode,
    form,
    originator,
    recipient,
    message_code,
    counter,
    signer,
    signature,
    mode,
    authorising_cell,
    certificates,
    path_certificates,
    floors,
    time_checks,
    execution_date,
    pending_change,
    nothing_else,
)
