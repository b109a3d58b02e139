"""6.23 Update Security Credentials (CoS): a CoS Party signs, the broker checks and protects.

The broker makes no check of its own beyond those on every request: who may take a device is judged
by the CoS Party of the device's record. What that signs is held to the request, octet for octet,
before it is given a MAC (`acb.rules.returned`), and what the device says to the command
(`acb.rules.response`). A dated command waits in the device; its alert ends the request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from acb.model import IssuedCommand, ResponseEvidence, ServiceRules
from acb.rules.answer import Learned, Sent
from acb.rules.response import RESPONSE_CHECKS, read_device_message
from acb.rules.returned import RETURN_CHECKS
from acb.services.service import Judgement, Service, Signer, Silence, Variant
from gbcs.payloads.credentials import decode_update
from services.chassis.checks import Approved


def read_response(raw: bytes, sent: Sent) -> ResponseEvidence:
    """What a device said about a command that a CoS Party signed and this broker sent."""
    command = None
    if sent.cos_party is not None and sent.device is not None:
        command = IssuedCommand(
            request_id=sent.request_id,
            device=sent.device.eui,
            cos_party=sent.cos_party,
            counter=sent.command.header.counter,
            update=decode_update(sent.command.payload),
        )
    return replace(
        read_device_message(raw),
        device=sent.device,
        command=command,
        last_alert_counter=sent.last_alert_counter,
    )


def learn_response(approved: Approved[ResponseEvidence]) -> Learned | None:
    """What became of the cells, by an approved response or alert."""
    evidence = approved.evidence
    if evidence.command is None or evidence.message is None:  # only with checks switched off
        return None
    if evidence.alert is not None:
        alert = (evidence.alert.alert_code, evidence.message.header.counter)
        return Learned(evidence.command.update, evidence.alert.outcome, alert)
    return Learned(
        evidence.command.update, None if evidence.response is None else evidence.response.outcome
    )


_RESPONSE: Final = Judgement(RESPONSE_CHECKS, read_response, learn_response)

CHANGE_OF_SUPPLIER: Final = Service(
    ServiceRules(
        variant="6.23",
        reference="6.23",
        command_variants=frozenset({1}),
        roles=frozenset({"IS", "GS"}),
        device_statuses=frozenset({"Commissioned", "InstalledNotCommissioned"}),
        uses_cos_party=True,
    ),
    {1: Variant(signer=Signer.COS_PARTY)},
    returned=RETURN_CHECKS,
    response=_RESPONSE,
    alert=_RESPONSE,
    silence=Silence.READ_BACK,
    dated_in_device=True,
    announced=False,
    delivery="deliver-command",
    names={
        "command": "cos-command",
        "response": "cos-response",
        "late": "cos-response",
        "alert": "cos-alert",
    },
)
"""docs/sources.md#services. Eligible statuses are a reconstruction. The supplier that was replaced
is told by an alert of its own."""
