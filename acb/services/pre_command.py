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
from acb.rules.expected import execution_text
from acb.rules.need import need
from acb.rules.path import hold_path
from acb.services.credentials import (
    BY_MODE,
    MAPPING,
    acting_at,
    command_header,
    commanded,
    credential_checks,
    holder,
    party_of,
)
from acb.services.evidence import ServiceEvidence, Variant, service_check
from duis.model import PreCommand
from gbcs.codes import MESSAGE_CODE_OF_MODE, Cra
from gbcs.errors import GbcsError
from gbcs.message import Message, OtherInformation, encode
from gbcs.payloads.credentials import encode_update
from gbcs.protect import verify_signature
from gbcs.rules import command_findings
from keys.certificate import Certificate
from services.chassis.checks import Check, CheckFailed

ASKED: Final = "pre_command"
SIGNED: Final = "signed_pre_command"
GBCS_VERSION: Final = "4.1"
"""Said to the user with a Pre-Command; which versions are in force is a reconstruction."""

UPDATE_CREDENTIALS_RULES: Final = ServiceRules(
    variant="6.15.1",
    reference="6.15",
    command_variants=frozenset({4, 5}),
    roles=frozenset({"IS", "GS", "ED", "GT"}),
    device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
    uses_cos_party=False,
)
"""docs/sources.md#services. Eligible statuses are reconstructions."""

_CODES: Final = {MESSAGE_CODE_OF_MODE[mode]: mode for mode in BY_MODE}


def pre_command(evidence: ServiceEvidence) -> PreCommand:
    """The command for the user to sign, with the counter of its request."""
    name = evidence.request.header.request_id
    update = commanded(evidence, name.counter)
    header = command_header(update, name.originator, name.target)
    return PreCommand(GBCS_VERSION, encode(Message(header, encode_update(update), signature=None)))


def decode(evidence: ServiceEvidence) -> None:
    """It is a GBCS message that updates credentials, and written again it is the same."""
    if evidence.fault is not None:
        raise CheckFailed(evidence.fault)
    _message(evidence)
    need(evidence.update, "payload that updates credentials")


def protection(evidence: ServiceEvidence) -> None:
    """A command with a signature and no MAC, and no more in its header than a command has."""
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


def originator(evidence: ServiceEvidence) -> None:
    """The business originator is who asks."""
    found = _message(evidence).header.originator
    if found != evidence.asker:
        raise CheckFailed("another originator", expected=evidence.asker, found=found)


def recipient(evidence: ServiceEvidence) -> None:
    """The business target is the device the request names."""
    wanted = evidence.request.header.request_id.target
    found = _message(evidence).header.recipient
    if found != wanted:
        raise CheckFailed("to another device", expected=wanted, found=found)


def message_code(evidence: ServiceEvidence) -> None:
    """It is a use case of this service."""
    found = _message(evidence).message_code
    if found not in _CODES:
        raise CheckFailed(
            "not a use case of this service",
            expected=" or ".join(f"0x{code:04X}" for code in _CODES),
            found=f"0x{found:04X}",
        )


def counter(evidence: ServiceEvidence) -> None:
    """The counter is above every counter that the user's commands to this device have had."""
    found = _message(evidence).header.counter
    last = evidence.last_counter
    if last is not None and found <= last:
        raise CheckFailed("the counter did not advance", expected=f"> {last}", found=str(found))


def standard_form(evidence: ServiceEvidence) -> None:
    """Header and payload belong together, as the standard has it for this mode."""
    update = commanded(evidence)
    for finding in command_findings(_message(evidence).header, update):
        raise CheckFailed(finding.rule.value, expected=finding.expected, found=finding.found)


def execution_date(evidence: ServiceEvidence) -> None:
    """Its date is one to come, the cancellation value or none, and the request names no other."""
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


def signer(evidence: ServiceEvidence) -> None:
    """The certificate in the role's signing cell leads to the root and is not revoked."""
    hold_path(_held(evidence), need(evidence.path, "trust anchor"), revocation=True)


def signature(evidence: ServiceEvidence) -> None:
    """The signature verifies by the certificate the device holds for that role."""
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
    return need(evidence.message, "signed command")


def _held(evidence: ServiceEvidence) -> Certificate:
    cell = party_of(commanded(evidence)).signing_cell.name
    device = need(evidence.device, "device record")
    return need(device.cells.get(cell), f"certificate in {cell}")


_OWN: Final = "The user's own device"
ASKED_CHECKS: Final = credential_checks(ASKED, holder, _OWN)

_SHARED: Final = {check.id: check for check in credential_checks(SIGNED, holder, _OWN)}

SIGNED_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (
    *(
        service_check(SIGNED, name, title, run, codes.CREDENTIALS_FORM, source=MAPPING)
        for name, title, run in (
            ("decode", "It can be read", decode),
            ("protection", "A signed command, no MAC, no extras", protection),
            ("originator", "From who asks", originator),
            ("recipient", "To the device requested", recipient),
            ("message_code", "Of this service", message_code),
            ("counter", "Its counter advanced", counter),
            ("form", "Header and payload belong together", standard_form),
        )
    ),
    service_check(
        SIGNED,
        "execution_date",
        "Its execution date can be kept",
        execution_date,
        codes.EXECUTION_DATE,
        source="docs/sources.md#future-dating, #services; that it is judged: reconstruction",
    ),
    *(check for name, check in _SHARED.items() if not name.endswith(".form")),
    service_check(
        SIGNED,
        "signer",
        "The certificate it is judged by is good and not revoked",
        signer,
        codes.CREDENTIALS_SIGNATURE,
    ),
    service_check(
        SIGNED,
        "signature",
        "Signed by the key that the device holds for the role",
        signature,
        codes.CREDENTIALS_SIGNATURE,
        source="docs/sources.md#signature",
    ),
)

UPDATE_CREDENTIALS: Final = {
    4: Variant(ASKED_CHECKS, answer=pre_command),
    5: Variant(SIGNED_CHECKS, command=signed_command),
}
