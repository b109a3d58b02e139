"""Step 4: the counter, the broker's own signature where it is due, and the MAC.

Nothing gets here but by an `Approved`: of what a CoS Party signed (section "return"), or of a
service's own checks, made again now that the request's turn has come. What is protected is taken
from the evidence that was approved. The finished command is kept, and only ever sent as it is.
"""

from __future__ import annotations

from acb.model import DeviceRecord, ReturnEvidence, State, Tracked
from acb.rules.quirks import with_quirks
from acb.services.evidence import ServiceEvidence
from acb.services.service import Signer, Variant
from acb.services.table import service_of, variant_of
from acb.steps import gather, lanes
from acb.steps.context import OWN_COUNTER, Context
from acb.steps.outcome import Outcomes
from acb.store import records
from acb.store import requests as store
from gbcs.errors import GbcsError
from gbcs.message import Message, encode
from gbcs.payloads.credentials import decode_update
from gbcs.protect import add_mac, sign
from services.chassis.checks import Approved, CheckRun, Refused
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import OutboxItem, Undeliverable


def judge_service(
    context: Context, variant: Variant, evidence: ServiceEvidence, runs: list[CheckRun]
) -> Approved[ServiceEvidence]:
    """Make the checks of a service; the run is added to `runs`.

    Raises:
        services.chassis.checks.Refused: one of them said no.
    """
    section = variant.checks[0].section
    run = context.base.book.start(evidence.request.header.request_id.text, section)
    runs.append(run)
    return run.judge(evidence)


def answer_at_once(
    context: Context, variant: Variant, approved: Approved[ServiceEvidence]
) -> bytes | None:
    """The signed answer of a service that is answered at once; None for any other."""
    if variant.answer is None:
        return None
    evidence = approved.evidence
    content = with_quirks(variant.answer(evidence), context.base.quirks)
    return context.replies.served(evidence.request.header, content, context.base.clock.now())


class Protection:
    """Finishes commands."""

    def __init__(self, context: Context, outcomes: Outcomes) -> None:
        self._context = context
        self._outcomes = outcomes
        self._counter = OriginatorCounter(OWN_COUNTER)

    async def serve(self, item: OutboxItem) -> None:
        """Do what was asked, once its turn has come: answer it, or have its command sent."""
        base = self._context.base
        async with base.database.connect() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
        request = gather.accepted_request(tracked)
        variant = variant_of(request.header)
        if variant is None or tracked.state is not State.ACCEPTED:
            return
        path = await gather.look_up_path(self._context)
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, tracked.sequence)
            if tracked.state is not State.ACCEPTED:
                return
            evidence = await gather.look_up_service(conn, self._context, request, path)
            runs: list[CheckRun] = []
            try:
                approved = judge_service(self._context, variant, evidence, runs)
            except Refused as refused:
                await self._outcomes.refused_by_check(conn, tracked, runs[-1], refused)
                await base.outbox.complete(conn, item)
                return
            document = answer_at_once(self._context, variant, approved)
            if document is not None:  # an answer that had to wait, in quarantine
                await self._outcomes.complete(conn, tracked, document)
                await self._outcomes.release_device(conn, tracked.target)
            else:
                await self._protect_own(conn, approved, variant, tracked)
            await base.outbox.complete(conn, item)

    async def protect_returned(
        self, conn: StoreConnection, approved: Approved[ReturnEvidence], tracked: Tracked
    ) -> None:
        """Keep what a CoS Party signed, with the MAC that only this broker can make.

        Raises:
            Undeliverable: there is nothing that could be sent (only with checks switched off).
        """
        returned = approved.evidence
        command = self._protected(returned.message, returned.device)
        await self._keep(
            conn, tracked, command, spent_by=returned.cos_party.eui, signed_command=returned.raw
        )

    async def _protect_own(
        self,
        conn: StoreConnection,
        approved: Approved[ServiceEvidence],
        variant: Variant,
        tracked: Tracked,
    ) -> None:
        """Keep a command that the user signed, or that the broker makes by its own authority.

        Raises:
            Undeliverable: there is nothing that could be sent (only with checks switched off).
        """
        if variant.command is None:
            raise Undeliverable("there is nothing that could be sent")
        own = variant.signer is not Signer.USER
        counter = await self._counter.next(conn) if own else tracked.counter
        try:
            message = variant.command(approved.evidence, counter)
            if variant.signer is Signer.BROKER:
                message = sign(message, self._context.signer.sign)
        except GbcsError as error:
            raise Undeliverable(str(error)) from error
        command = self._protected(message, approved.evidence.device)
        await self._keep(conn, tracked, command, None if own else message.header.originator)

    def _protected(self, message: Message | None, device: DeviceRecord | None) -> Message:
        """The command with the ACB-SMD MAC: what only this broker can make, made only here."""
        if message is None or device is None:
            raise Undeliverable("there is nothing that could be sent")
        try:
            return add_mac(message, self._context.secret_with(device))
        except GbcsError as error:
            raise Undeliverable(str(error)) from error

    async def _keep(
        self,
        conn: StoreConnection,
        tracked: Tracked,
        command: Message,
        spent_by: str | None,
        **more: bytes,
    ) -> None:
        """Keep the finished command, and the counter that it spends of who originates it."""
        counter, service = command.header.counter, service_of(tracked.service_reference_variant)
        if spent_by is not None:  # the broker's own is kept where it is given out
            await records.raise_counter(conn, spent_by, tracked.target, counter)
        await store.change(
            conn,
            tracked.sequence,
            state=State.SIGNED.value,
            command=encode(command),
            command_counter=counter,
            execution=_date_in(command) if service.dated_in_device else None,
            **more,
        )
        await self._context.enqueue(conn, service.delivery, tracked, lanes.for_device(tracked))
        self._context.notify(tracked.request_id)


def _date_in(command: Message) -> str | None:
    """The date a command carries, as it carries it; None if it is not dated."""
    try:
        return decode_update(command.payload).execution_date_time
    except GbcsError:  # only with checks switched off
        return None
