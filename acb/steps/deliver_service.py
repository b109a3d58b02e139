"""Commands of the services other than a change of supplier: protected, and sent.

As in `acb.steps.deliver`, the same octets are sent again into silence. What follows if the device
stays silent differs by what was asked of it:

* 6.15.1 and 6.21 change cells: the device is asked what they hold, and that settles the request
  (`Delivery.read_back`). A dated command is not read back yet: the device's alert will
  tell (`acb.steps.overdue`).
* 6.24.1 is the broker's own question and changes nothing: it is asked again, not sent again, each
  time with a counter of its own.
* 6.17, 6.15.2 and 6.24.2 carry the supplier's signature, over a counter that is spent: nobody but
  the supplier can ask again. The request fails by the check `received` and the record stays as it
  was; what the device says later is still heard (`acb.steps.service_outcome`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY
from acb.model import FINAL, Refusal, State, Tracked
from acb.peers.outbound import Unreachable
from acb.rules import codes
from acb.rules.own_key_answer import OWN_KEYS
from acb.rules.read_back import READ_BACK
from acb.services.evidence import ServiceEvidence, Variant
from acb.steps import gather, lanes
from acb.steps.context import Parts
from acb.steps.outcome import Outcomes, Unacceptable
from acb.steps.service_outcome import ServiceOutcomes
from acb.store import records
from acb.store import requests as store
from gbcs.errors import GbcsError
from gbcs.message import decode, encode
from gbcs.payloads.credentials import decode_update
from gbcs.protect import add_mac, sign
from services.chassis.checks import Approved
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import OutboxItem, TryLater, Undeliverable

SEND: Final = "send-service-command"
"""Outbox kind: send the finished command of another service to its device."""


class ServiceDelivery:
    """Finishes commands and speaks to devices."""

    def __init__(self, parts: Parts, outcomes: Outcomes, heard: ServiceOutcomes) -> None:
        self._parts = parts
        self._outcomes = outcomes
        self._heard = heard
        self._counter = OriginatorCounter("acb")
        parts.base.outbox.register(SEND, self.send, on_dead=self.gave_up, pool=lanes.DEVICES)

    async def finish(
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        variant: Variant,
        tracked: Tracked,
        evidence: ServiceEvidence,
    ) -> None:
        """Keep the finished command, with the MAC that only this broker can make.

        Args:
            conn: the transaction in which the checks were made.
            approved: that every check of the variant said yes.
            variant: the service and command variant.
            tracked: the request.
            evidence: what the checks looked at.

        Raises:
            Undeliverable: there is nothing that could be sent (only with checks switched off).
        """
        if approved.section != variant.section:
            raise TypeError("only an approved request is given a MAC")
        if variant.command is None or evidence.device is None:
            raise Undeliverable("there is nothing that could be sent")
        try:
            counter = await self._counter.next(conn) if variant.originates else tracked.counter
            message = variant.command(evidence, counter)
            if message.signature is None and variant.originates:
                message = sign(message, self._parts.signer.sign)
            command = encode(add_mac(message, self._parts.secret_with(evidence.device)))
        except GbcsError as error:
            raise Undeliverable(str(error)) from error
        header = message.header
        if not variant.originates:
            await records.raise_counter(conn, header.originator, tracked.target, header.counter)
        await store.change(
            conn,
            tracked.sequence,
            state=State.SIGNED.value,
            command=command,
            command_counter=header.counter,
        )
        await self._parts.base.outbox.put(
            conn,
            SEND,
            str(tracked.sequence),
            {"sequence": tracked.sequence},
            lane=lanes.for_device(tracked),
        )
        self._outcomes.tell(tracked.request_id)

    async def send(self, item: OutboxItem) -> None:
        """Send the kept command; what the device answers is judged and settled."""
        base = self._parts.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state not in (State.SIGNED, State.SENT_TO_DEVICE) or not tracked.command:
                return
            if tracked.attempts:
                tracked = await self._anew(conn, tracked)
            command = tracked.command or b""
            tracked = await store.change(
                conn,
                tracked.sequence,
                state=State.SENT_TO_DEVICE.value,
                attempts=tracked.attempts + 1,
            )
            await self._trace(conn, tracked, "sent", command)
            self._outcomes.tell(tracked.request_id)
        try:
            answer = await self._parts.wan.deliver(tracked.target, command)
        except Unreachable as error:
            if item.attempts >= self._parts.settings.delivery_attempts:
                raise Undeliverable(str(error)) from error
            raise TryLater(str(error)) from error
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, tracked.sequence)
            device = await records.find_device(conn, tracked.target)
            if tracked.state is not State.SENT_TO_DEVICE or device is None:
                return
            if not answer and tracked.attempts < self._parts.settings.sends_into_silence:
                raise TryLater("the device said nothing")
            if answer:
                await self._trace(conn, tracked, "received", answer)
            elif await self._ask_back(conn, tracked):
                await base.outbox.complete(conn, item)
                return
            try:
                await self._heard.hear(conn, tracked, device, answer or b"")
            except Unacceptable as verdict:
                await self._outcomes.refused_by_check(
                    conn, tracked, verdict.run, verdict.refused, State.FAILED
                )
            await base.outbox.complete(conn, item)

    async def _anew(self, conn: AsyncConnection, tracked: Tracked) -> Tracked:
        """The broker's own question, with its next counter: a device answers each but once."""
        question = decode(tracked.command or b"")
        device = await records.find_device(conn, tracked.target)
        if question.signature or device is None:
            return tracked
        counter = await self._counter.next(conn)
        again = replace(question, header=replace(question.header, counter=counter), mac=None)
        command = encode(add_mac(again, self._parts.secret_with(device)))
        return await store.change(conn, tracked.sequence, command=command, command_counter=counter)

    async def _ask_back(self, conn: AsyncConnection, tracked: Tracked) -> bool:
        """Have cells read that the command was to change at once; False if it was not."""
        command = decode(tracked.command or b"")
        if not command.signature or command.message_code in OWN_KEYS:
            return False
        if decode_update(command.payload).execution_date_time is not None:
            return False
        await self._parts.base.traces.record(
            tracked.request_id,
            "unanswered",
            summary="silent again: it refused, or it acted and its answer was lost",
            conn=conn,
        )
        await self._parts.base.outbox.put(
            conn,
            READ_BACK,
            str(tracked.sequence),
            {"sequence": tracked.sequence},
            lane=lanes.for_device(tracked),
        )
        return True

    async def gave_up(self, conn: AsyncConnection, item: OutboxItem, reason: str) -> None:
        """A step was given up after many attempts: the request ends as failed, visibly."""
        tracked = await store.get_request(conn, item.payload["sequence"])
        if tracked.state in (*FINAL, State.SCHEDULED):  # a late answer has settled it meanwhile
            return
        why = Refusal(PARTY, "acb.device.unreachable", reason, codes.NOT_DELIVERABLE)
        await self._parts.base.traces.record(
            tracked.request_id, "failed", name=why.check, summary=reason, conn=conn
        )
        await self._outcomes.end_refused(conn, tracked, why, State.FAILED)

    async def _trace(
        self, conn: AsyncConnection, tracked: Tracked, kind: str, octets: bytes
    ) -> None:
        sender, receiver = PARTY, tracked.target
        if kind == "received":
            sender, receiver = receiver, sender
        await self._parts.base.traces.record(
            tracked.request_id,
            kind,
            sender=sender,
            receiver=receiver,
            name=f"service {tracked.service_reference_variant}",
            message=octets,
            gbcs_ref=gather.reference(octets),
            conn=conn,
        )
