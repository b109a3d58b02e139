"""Step 5: a finished command goes to its device, as often as needed, always the same octets.

A device acts on a command once and answers it once. So silence means one of three things, which
look alike from here: the command was lost on the way, the answer was lost on the way back, or the
device refused. The command is therefore sent again, which undoes the first. What follows if the
device is silent again, the service says (`acb.services.service.Silence`):

* a command that changes cells at once: the device is asked what they hold, which tells the other
  two apart (`acb.steps.read_back`). One dated for the future changes no cell yet: there the
  device's alert will tell, and if that does not come the device is asked in the same way, after
  the date (`acb.steps.dates`);
* the broker's own question changes nothing: it is asked again, not sent again, each time with a
  counter of its own;
* where the user's signature is over a counter that is spent, nobody but the user can ask again.
  The request fails by the check `received`, and the record stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from acb.model import State, Tracked
from acb.peers.outbound import Unreachable
from acb.rules import codes
from acb.services.service import Silence
from acb.services.table import SUPPORTED, service_of
from acb.steps import lanes, pending
from acb.steps.context import OWN_COUNTER, Context
from acb.steps.outcome import Outcomes, Unacceptable
from acb.store import records
from acb.store import requests as store
from gbcs.message import decode, encode
from gbcs.protect import add_mac
from services.chassis.data.connection import StoreConnection
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.outbox import OutboxItem, TryLater, Undeliverable

DELIVERIES: Final = tuple(dict.fromkeys(service.delivery for service in SUPPORTED.values()))
"""Outbox kinds: send a finished command to its device."""

UNREACHABLE: Final = "acb.device.unreachable"
"""The reason given where a device, or what it takes to command it, cannot be reached."""


async def call_device(
    context: Context, item: OutboxItem, device: str, message: bytes
) -> bytes | None:
    """Send a message; what the device says, or None if it says nothing.

    Raises:
        TryLater: it was not reached.
        Undeliverable: it was not reached, for the last time.
    """
    try:
        return await context.wan.deliver(device, message)
    except Unreachable as error:
        if item.attempts >= context.settings.delivery_attempts:
            raise Undeliverable(str(error)) from error
        raise TryLater(str(error)) from error


class Delivery:
    """Speaks to devices and hands what they answer to `acb.steps.outcome`."""

    def __init__(self, context: Context, outcomes: Outcomes) -> None:
        self._context = context
        self._outcomes = outcomes
        self._counter = OriginatorCounter(OWN_COUNTER)

    async def deliver(self, item: OutboxItem) -> None:
        """Send the kept command to the device; what it answers goes to step 6."""
        base = self._context.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state not in (State.SIGNED, State.SENT_TO_DEVICE) or not tracked.command:
                return
            tracked = await self._begin(conn, tracked)
        answer = await call_device(self._context, item, tracked.target, tracked.command or b"")
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, tracked.sequence)
            if tracked.state is not State.SENT_TO_DEVICE:
                return
            if not answer and tracked.attempts < self._context.settings.sends_into_silence:
                raise TryLater("the device said nothing")
            if not answer and self._tells_by_its_cells(tracked):
                await self._ask_back(conn, tracked)
            else:
                await self._take_answer(conn, tracked, answer or b"")
            await base.outbox.complete(conn, item)

    async def gave_up(self, conn: StoreConnection, item: OutboxItem, reason: str) -> None:
        """A step was given up after many attempts: the request ends as failed, visibly."""
        tracked = await self._outcomes.still_open(conn, item)
        if tracked is not None:
            code = codes.NOT_DELIVERABLE
            await self._outcomes.end_failed(conn, tracked, UNREACHABLE, reason, code)

    async def _begin(self, conn: StoreConnection, tracked: Tracked) -> Tracked:
        """Note that the command is sent, before it is."""
        service, again = service_of(tracked.service_reference_variant), ""
        if tracked.attempts:
            again = "sent again, the same octets"
            if service.silence is Silence.ASK_ANEW:
                again, tracked = "asked again", await self._anew(conn, tracked)
        tracked = await store.change(
            conn,
            tracked.sequence,
            state=State.SENT_TO_DEVICE.value,
            attempts=tracked.attempts + 1,
        )
        await self._context.trace_sent(
            conn,
            tracked,
            tracked.command or b"",
            to=tracked.target,
            name=service.named("command"),
            summary=again,
        )
        self._context.notify(tracked.request_id)
        return tracked

    async def _anew(self, conn: StoreConnection, tracked: Tracked) -> Tracked:
        """The broker's own question, with its next counter: a device answers each but once."""
        device = await records.find_device(conn, tracked.target)
        if device is None:
            return tracked
        question, counter = decode(tracked.command or b""), await self._counter.next(conn)
        again = replace(question, header=replace(question.header, counter=counter), mac=None)
        command = encode(add_mac(again, self._context.secret_with(device)))
        return await store.change(conn, tracked.sequence, command=command, command_counter=counter)

    async def _take_answer(self, conn: StoreConnection, tracked: Tracked, answer: bytes) -> None:
        """Have an answer judged; silence for good is one too, which the first check refuses."""
        if answer:
            name = service_of(tracked.service_reference_variant).named("response")
            await self._context.trace_received(conn, tracked, answer, by=tracked.target, name=name)
        try:
            await self._outcomes.handle_response(conn, tracked, answer)
        except Unacceptable as verdict:
            await self._outcomes.refused_by_check(
                conn, tracked, verdict.run, verdict.refused, State.FAILED
            )

    def _tells_by_its_cells(self, tracked: Tracked) -> bool:
        """Whether the command changes cells as soon as it is accepted, so that they tell of it."""
        if service_of(tracked.service_reference_variant).silence is not Silence.READ_BACK:
            return False
        update = pending.sent(tracked)
        return update is not None and update.execution_date_time is None

    async def _ask_back(self, conn: StoreConnection, tracked: Tracked) -> None:
        summary = "silent again: it refused, or it acted and its answer was lost"
        await self._context.trace(conn, tracked, "unanswered", summary=summary)
        await self._context.enqueue(conn, lanes.READ_BACK, tracked, lanes.for_device(tracked))
