"""6.15.1 Update Security Credentials (KRP): written for the user, signed by it, protected here.

Variant 4: the broker writes the command as a Pre-Command (no signature octet) and answers at once.
Variant 5: the user sends it back with its signature, and the broker judges what is there without
remembering what it wrote: a signed command stands for itself. Only then does it get its MAC.

A date for the future goes into the command (future dating pattern "Device"): the device keeps it,
and its alert ends the request (`acb.rules.executed`).

The Pre-Command's originator counter is the counter of the variant 4 request (reconstruction); the
command may come back in any later request of the same user to the same device.
"""

from __future__ import annotations

from typing import Final

from acb.model import ServiceRules
from acb.rules import codes
from acb.rules.answer import ANSWER_CHECKS, learn_update, read_update_answer
from acb.rules.executed import ALERT_CHECKS, learn_alert, read_alert
from acb.rules.expected import execution_text
from acb.rules.path import require_path
from acb.services.credentials import (
    BY_MODE,
    MAPPING,
    acting_at,
    certificates,
    command_header,
    commanded,
    form,
    holder,
    party_of,
    role,
)
from acb.services.evidence import RECONSTRUCTION, ServiceEvidence
from acb.services.service import Judgement, Service, Signer, Silence, Variant
from duis.model import PreCommand
from gbcs.codes import MESSAGE_CODE_OF_MODE, Cra
from gbcs.errors import GbcsError
from gbcs.message import Message, OtherInformation, encode
from gbcs.payloads.credentials import decode_update, encode_update
from gbcs.protect import verify_signature
from gbcs.rules import command_findings
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed, check, need

GBCS_VERSION: Final = "4.1"
"""Said to the user with a Pre-Command; which versions are in force is a reconstruction."""

_CODES: Final = {MESSAGE_CODE_OF_MODE[mode]: mode for mode in BY_MODE}


def pre_command(evidence: ServiceEvidence) -> PreCommand:
    """The command for the user to sign, with the counter of its request."""
    name = evidence.request.header.request_id
    update = commanded(evidence, name.counter)
    header = command_header(update, name.originator, name.target)
    return PreCommand(GBCS_VERSION, encode(Message(header, encode_update(update), signature=None)))


@check("acb.signed_pre_command.decode", source=MAPPING, code=codes.CREDENTIALS_FORM)
def decode(evidence: ServiceEvidence) -> None:
    """It can be read.

    It is a GBCS message that updates credentials.
    """
    if evidence.signed.fault is not None:
        raise CheckFailed(evidence.signed.fault)
    _message(evidence)
    need(evidence.signed.update, "payload that updates credentials")


@check("acb.signed_pre_command.protection", source=MAPPING, code=codes.CREDENTIALS_FORM)
def protection(evidence: ServiceEvidence) -> None:
    """A signed command, no MAC, no extras.

    Its header has no more in it than a command has.
    """
    message = _message(evidence)
    header = message.header
    if header.cra != Cra.COMMAND:
        raise CheckFailed("not a command", expected=Cra.COMMAND.label, found=header.cra.label)
    if not message.signature:
        raise CheckFailed("it carries no signature")
    if message.mac is not None:
        raise CheckFailed("it carries a MAC, which is the broker's to make")
    if header.date_time is not None or header.other != OtherInformation(header.other.message_code):
        raise CheckFailed("its header carries more than a command's")


@check("acb.signed_pre_command.originator", source=MAPPING, code=codes.CREDENTIALS_FORM)
def originator(evidence: ServiceEvidence) -> None:
    """From who asks.

    That is its business originator.
    """
    found = _message(evidence).header.originator
    if found != evidence.requester:
        raise CheckFailed("another originator", expected=evidence.requester, found=found)


@check("acb.signed_pre_command.recipient", source=MAPPING, code=codes.CREDENTIALS_FORM)
def recipient(evidence: ServiceEvidence) -> None:
    """To the device requested.

    That is its business target.
    """
    found = _message(evidence).header.recipient
    if found != evidence.target:
        raise CheckFailed("to another device", expected=evidence.target, found=found)


@check("acb.signed_pre_command.message_code", source=MAPPING, code=codes.CREDENTIALS_FORM)
def message_code(evidence: ServiceEvidence) -> None:
    """Of this service.

    It is a use case of this service.
    """
    found = _message(evidence).message_code
    if found not in _CODES:
        raise CheckFailed(
            "not a use case of this service",
            expected=" or ".join(f"0x{code:04X}" for code in _CODES),
            found=f"0x{found:04X}",
        )


@check("acb.signed_pre_command.counter", source=MAPPING, code=codes.CREDENTIALS_FORM)
def counter(evidence: ServiceEvidence) -> None:
    """Its counter advanced.

    It is above every counter that the user's commands to this device have had.
    """
    found = _message(evidence).header.counter
    last = evidence.last_counter
    if last is not None and found <= last:
        raise CheckFailed("the counter did not advance", expected=f"> {last}", found=str(found))


@check("acb.signed_pre_command.form", source=MAPPING, code=codes.CREDENTIALS_FORM)
def standard_form(evidence: ServiceEvidence) -> None:
    """Header and payload belong together.

    As the standard has it for this mode.
    """
    update = commanded(evidence)
    for finding in command_findings(_message(evidence).header, update):
        raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)


@check(
    "acb.signed_pre_command.execution_date",
    source="docs/sources.md#future-dating, #services; that it is judged: reconstruction",
    code=codes.EXECUTION_DATE,
)
def execution_date(evidence: ServiceEvidence) -> None:
    """Its execution date can be kept.

    It is one to come, the cancellation value or none, and the request names no other.
    """
    found = commanded(evidence).execution_date_time
    asked = getattr(evidence.request.body, "execution_date_time", None)
    if asked is not None and execution_text(asked) != found:
        raise CheckFailed(
            "the request names another date than the command",
            expected=execution_text(asked),
            found=found or "none",
        )
    at, now = acting_at(evidence), need(evidence.path, "time").now
    if at is not None and at <= now:
        raise CheckFailed(
            "the execution date is past", expected=f"after {now.isoformat()}", found=found
        )


@check("acb.signed_pre_command.signer", source=RECONSTRUCTION, code=codes.CREDENTIALS_SIGNATURE)
def signer(evidence: ServiceEvidence) -> None:
    """The certificate it is judged by is good and not revoked.

    It is the one in the role's signing cell, and leads to the root.
    """
    require_path(_held(evidence), need(evidence.path, "trust anchor"), revocation=True)


@check(
    "acb.signed_pre_command.signature",
    source="docs/sources.md#signature",
    code=codes.CREDENTIALS_SIGNATURE,
)
def signature(evidence: ServiceEvidence) -> None:
    """Signed by the key that the device holds for the role."""
    certificate = _held(evidence)
    try:
        verify_signature(_message(evidence), certificate.public_key)
    except GbcsError as error:
        raise CheckFailed(
            "the signature is not by the key of the certificate in the role's signing cell",
            expected=certificate.key_identifier.hex(),
        ) from error


def signed_command(evidence: ServiceEvidence, _: int) -> Message:
    """The command as the user signed it.

    Raises:
        ParseError: there is none (only with checks switched off).
    """
    try:
        return _message(evidence)
    except CheckFailed as error:
        raise GbcsError(error.detail) from error


def _message(evidence: ServiceEvidence) -> Message:
    return need(evidence.signed.message, "signed command")


def _held(evidence: ServiceEvidence) -> Certificate:
    cell = party_of(commanded(evidence)).signing_cell.name
    device = need(evidence.device, "device record")
    return need(device.cells.get(cell), f"certificate in {cell}")


ASKED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (role, form, holder, certificates)

SIGNED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    decode,
    protection,
    originator,
    recipient,
    message_code,
    counter,
    standard_form,
    execution_date,
    role.again("acb.signed_pre_command.role"),
    holder.again("acb.signed_pre_command.holder"),
    certificates.again("acb.signed_pre_command.certificates"),
    signer,
    signature,
)

UPDATE_CREDENTIALS: Final = Service(
    ServiceRules(
        variant="6.15.1",
        reference="6.15",
        command_variants=frozenset({4, 5}),
        roles=frozenset({"IS", "GS", "ED", "GT"}),
        device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
        uses_cos_party=False,
    ),
    {
        4: Variant(ASKED_CHECKS, answer=pre_command),
        5: Variant(SIGNED_CHECKS, Signer.USER, command=signed_command, payload=decode_update),
    },
    response=Judgement(ANSWER_CHECKS, read_update_answer, learn_update),
    alert=Judgement(ALERT_CHECKS, read_alert, learn_alert),
    silence=Silence.READ_BACK,
    dated_in_device=True,
)
"""docs/sources.md#services. Eligible statuses are reconstructions."""
