"""The services other than a change of supplier: judged at the door, then answered or commanded.

What each of them is, is said in `acb.services_*` and listed in `acb.services.table`; this module
does it. A service whose variant has an `answer` is answered at once, in the transaction that keeps
the request; the others wait until their device is free, like a change of supplier (see
`acb.steps.have_signed`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.model import PathEvidence, State, Tracked
from acb.rules.own_key_answer import OWN_KEYS
from acb.rules.quirks import as_said
from acb.services.evidence import ServiceEvidence, Variant
from acb.services.inventory import matches
from acb.services.table import SERVE, SUPPORTED
from acb.steps import gather
from acb.steps.context import Parts
from acb.steps.deliver_service import ServiceDelivery
from acb.steps.notices import Notices
from acb.steps.outcome import Outcomes
from acb.steps.service_outcome import ServiceOutcomes
from acb.steps.waiting import Waiting
from acb.store import records
from acb.store import requests as store
from duis.gate import parse
from duis.model import (
    Header,
    ReadInventory,
    RequestBody,
    ServiceRequest,
    SignedPreCommand,
)
from duis.xml import request_from_xml
from gbcs.errors import GbcsError
from gbcs.message import Message, decode
from gbcs.payloads.credentials import UpdateCredentials, decode_update
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.data.outbox import OutboxItem


def variant_of(header: Header) -> Variant | None:
    """What is done for this service and command variant; None for a change of supplier."""
    service = SUPPORTED.get(header.service_reference_variant)
    return None if service is None else service.variants.get(header.command_variant)


def read_signed(
    body: RequestBody,
) -> tuple[Message | None, UpdateCredentials | None, str | None]:
    """The command in a Signed Pre-Command, its payload, and why either could not be read."""
    message: Message | None = None
    if not isinstance(body, SignedPreCommand):
        return None, None, None
    try:
        message = decode(body.gbcs_payload)
        if message.message_code in OWN_KEYS:
            return message, None, None
        return message, decode_update(message.payload), None
    except GbcsError as error:
        return message, None, str(error)


class OtherServices:
    """Judges and serves them."""

    def __init__(self, parts: Parts, notices: Notices, outcomes: Outcomes) -> None:
        self._parts = parts
        self._outcomes = outcomes
        self.heard = ServiceOutcomes(parts, notices, outcomes)
        self.waiting = Waiting(parts, outcomes)
        self._delivery = ServiceDelivery(parts, outcomes, self.heard)
        parts.base.outbox.register(SERVE, self.serve, on_dead=self._delivery.gave_up)

    async def look_up(
        self, conn: AsyncConnection, request: ServiceRequest, path: PathEvidence | None
    ) -> ServiceEvidence:
        """What the checks of a service look at, in the transaction in which they are made."""
        name = request.header.request_id
        body = request.body
        found = await records.list_devices(conn) if isinstance(body, ReadInventory) else []
        message, update, fault = read_signed(body)
        return ServiceEvidence(
            message=message,
            update=update,
            fault=fault,
            request=request,
            broker=self._parts.signer.certificate,
            user=await records.find_user(conn, name.originator),
            device=await records.find_device(conn, name.target),
            found=tuple(
                item for item in found if isinstance(body, ReadInventory) and matches(item, body)
            ),
            path=path,
            last_counter=await records.seen_counter(conn, name.originator, name.target),
        )

    def judge(
        self, variant: Variant, evidence: ServiceEvidence, runs: list[CheckRun]
    ) -> Approved[Any]:
        """Make the checks of a service; the run is added to `runs`.

        Raises:
            services.chassis.checks.Refused: one of them said no.
        """
        run = self._parts.base.book.start(evidence.request.header.request_id.text, variant.section)
        runs.append(run)
        for check in variant.checks:
            run.apply(check, evidence)
        return run.approve()

    def answer(self, variant: Variant, evidence: ServiceEvidence) -> bytes | None:
        """The signed answer of a service that is answered at once; None for any other."""
        if variant.answer is None:
            return None
        told = as_said(variant.answer(evidence), self._parts.base.quirks)
        return self._parts.replies.served(
            evidence.request.header, told, self._parts.base.clock.now()
        )

    async def serve(self, item: OutboxItem) -> None:
        """Do what was asked, once its turn has come."""
        base = self._parts.base
        async with base.database.connect() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
        request = request_from_xml(parse(tracked.body))
        variant = variant_of(request.header)
        if variant is None or tracked.state is not State.ACCEPTED:
            return
        path = await gather.look_up_path(self._parts.smki, self._parts.trust, base.clock)
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, tracked.sequence)
            if tracked.state is not State.ACCEPTED:
                return
            evidence = await self.look_up(conn, request, path)
            runs: list[CheckRun] = []
            try:
                approved = self.judge(variant, evidence, runs)
            except Refused as refused:
                await self._outcomes.refused_by_check(conn, tracked, runs[-1], refused)
                await base.outbox.complete(conn, item)
                return
            document = self.answer(variant, evidence)
            if document is not None:
                await self._answered(conn, tracked, document)
            else:
                await self._delivery.finish(conn, approved, variant, tracked, evidence)
            await base.outbox.complete(conn, item)

    async def _answered(self, conn: AsyncConnection, tracked: Tracked, document: bytes) -> None:
        """An answer that had to wait (in quarantine) is owed like any other."""
        await self._outcomes.complete(conn, tracked, document)
        await self._outcomes.release_device(conn, tracked.target)
