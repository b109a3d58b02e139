"""How a CoS Party takes what a device sent back, its steps numbered.

The response to a command, or the alert of a future-dated one: judged with the device's own
certificate, and recorded as what the device's cells hold now, in the party's own record. Or, of a
device that kept silent, what the broker read back from it: recorded as the broker's word.
"""

from __future__ import annotations

import json
from typing import Any

from cos_party.checks import READ_BACK_SECTION, RETURN_SECTION
from cos_party.model import (
    Decided,
    Incoming,
    ReturnEvidence,
    ReturnReading,
)
from cos_party.rules.read_back import is_read_back
from cos_party.rules.reading import read_return
from cos_party.steps.gather import Gatherer
from cos_party.steps.judging import judge
from cos_party.store import decisions as store
from gbcs.codes import StatusCode
from gbcs.payloads.credentials import CredentialsOutcome
from services.chassis.checks import Approved, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.chassis.log import about


class DeviceReturns:
    """What one CoS Party does with purposes `device-response` and `device-alert`."""

    def __init__(self, base: ServiceContext, gatherer: Gatherer) -> None:
        self._base = base
        self._gatherer = gatherer
        self._party = base.settings.party

    async def take(self, incoming: Incoming) -> dict[str, Any]:
        """Judge what a device sent back and record what its cells hold now.

        Raises:
            Refused: a check said no; the record of the device is unchanged.
        """
        # 1. the very same bytes, recorded before: the same answer
        async with self._base.database.connect() as conn:
            known = await _recorded(conn, incoming)
        if known is not None:
            return known
        # 2. read it, as far as it can be read
        reading = read_return(incoming.content)
        # 3. bring the party's own copies up to date
        device = None if reading.message is None else reading.message.header.originator
        anew = await self._gatherer.puller.for_return(device, anew=False)
        while True:
            # 4. judge, and commit either the refusal or what the device said, with the answer
            async with self._base.database.begin() as conn:
                known = await _recorded(conn, incoming)
                if known is not None:  # recorded while step 3 waited for others
                    return known
                evidence = await self._gatherer.return_evidence(conn, incoming, reading)
                command = evidence.command
                subject = incoming.transaction if command is None else command.request_id
                if command is not None:
                    about(duis_request_id=subject)
                section = READ_BACK_SECTION if is_read_back(evidence) else RETURN_SECTION
                judged = await judge(
                    self._base, conn, evidence, section=section, subject=subject, final=anew
                )
                if not isinstance(judged, Refused):
                    return await self._record(conn, judged)
            if anew:
                raise judged
            # 5. refused by the certificates held: the device may have been given another
            anew = await self._gatherer.puller.for_return(device, anew=True)

    async def _record(
        self, conn: StoreConnection, approved: Approved[ReturnEvidence]
    ) -> dict[str, Any]:
        """Record what the device said, with the answer, and give the answer."""
        evidence = approved.evidence
        incoming, reading, command = evidence.incoming, evidence.reading, evidence.command
        if reading.message is None or command is None:
            raise RuntimeError("approved, but there is nothing to record")
        device = reading.message.header.originator
        said = describe_outcome(reading)
        await store.record_return(conn, evidence, reading.message, said)
        if reading.outcome is not None:
            await store.record_cells(conn, evidence, device, reading.outcome)
        for told in () if reading.details is None else reading.details.roles:
            await store.record_read_back(conn, evidence, device, command, told)
        await store.record_decision(
            conn,
            incoming,
            evidence.at,
            Decided.RECORDED,
            request_id=command.request_id,
            requester=command.requester,
            device=command.device,
            counter=command.counter,
        )
        await self._base.traces.record(
            approved.subject,
            "recorded",
            sender=incoming.opened.sender,
            receiver=self._party,
            name=incoming.purpose,
            summary=said["summary"],
            message=incoming.content,
            gbcs_ref=reading.message.reference,
            verdicts=approved.verdicts,
            conn=conn,
        )
        answer = _accepted(incoming, said)
        await incoming.opened.remember(conn, answer)
        return answer


def describe_outcome(reading: ReturnReading) -> dict[str, Any]:
    """What a device said, as JSON-ready values: a summary in words, and cell by cell."""
    outcome = reading.outcome
    if reading.details is not None:
        return {"summary": "what its cells hold, by the broker's word", "accepted": True}
    if outcome is None:
        return {"summary": "accepted, nothing replaced yet", "accepted": True, "cells": []}
    return {
        "summary": _summary(outcome),
        "accepted": True,
        "alert_code": None if reading.alert_code is None else f"{reading.alert_code:#06x}",
        "cells": [
            {
                "cell": cell.cell.name,
                "status": StatusCode(cell.status).label,
                "holds": {
                    "subject": cell.replacing_subject.hex(),
                    "key_identifier": cell.replacing_key_id.hex(),
                },
            }
            for cell in outcome.outcomes
        ],
    }


def _summary(outcome: CredentialsOutcome) -> str:
    failed = [cell for cell in outcome.outcomes if cell.status != StatusCode.SUCCESS]
    return f"{len(outcome.outcomes) - len(failed)} of {len(outcome.outcomes)} cells replaced"


async def _recorded(conn: StoreConnection, incoming: Incoming) -> dict[str, Any] | None:
    """The answer to the very same bytes in the same transaction, if they were recorded before."""
    known = await store.known_return(
        conn,
        digest=incoming.digest,
        purpose=incoming.purpose,
        transaction=incoming.transaction,
    )
    return None if known is None else _accepted(incoming, json.loads(known))


def _accepted(incoming: Incoming, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": 1,
        "transaction": incoming.transaction,
        "accepted": True,
        "outcome": said,
    }
