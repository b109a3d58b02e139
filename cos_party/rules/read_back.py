"""The checks on what the broker read back from a device that kept silent.

A device answers such a question under a MAC that only it and the broker can make or verify
(docs/sources.md#mac, #device-credentials). So nobody here can tell whether the device said it: what
these checks let through is the broker's word, kept with the octets as its evidence, and marked as
that in the record. Nothing is ever decided by it.
"""

from __future__ import annotations

from cos_party.model import ReturnEvidence
from cos_party.rules import response
from cos_party.rules.response import RESPONSE_PURPOSE
from gbcs.codes import Cra, MessageCode, RemotePartyRole, StatusCode
from services.chassis.checks import CheckFailed, check, need

CODE = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS

known_command = response.known_command.again("read_back.known_command", code="B01")
decodes = response.decodes.again("read_back.decode", code="B02")
originator = response.originator.again("read_back.originator", code="B03")
"""The same rules as on a response, under names and codes of their own."""


def is_read_back(evidence: ReturnEvidence) -> bool:
    """Whether a message is judged here: by its message code, and by how it is brought."""
    message = evidence.reading.message
    return (
        evidence.incoming.purpose == RESPONSE_PURPOSE
        and message is not None
        and message.message_code == CODE
    )


@check("read_back.answer", source="docs/sources.md#device-credentials", code="B04")
def answers_question(evidence: ReturnEvidence) -> None:
    """Is a device's answer."""
    header = need(evidence.reading.message, "readable message").header
    if header.cra is not Cra.RESPONSE:
        raise CheckFailed("not an answer", expected=Cra.RESPONSE.label, found=header.cra.label)


@check(
    "read_back.role",
    source="reconstruction: docs/sources.md#device-credentials, #party-checks",
    code="B05",
)
def tells_supplier_cells(evidence: ReturnEvidence) -> None:
    """Tells of the cells that the command was to change."""
    told = need(evidence.reading.details, "readable payload").roles
    if [one.role for one in told] != [RemotePartyRole.SUPPLIER] or (
        told[0].status != StatusCode.SUCCESS
    ):
        raise CheckFailed(
            "it does not tell what the command was about",
            expected=RemotePartyRole.SUPPLIER.label,
            found=", ".join(f"{one.role.label}: {one.status.label}" for one in told) or "none",
        )
