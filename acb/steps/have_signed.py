"""One request through the broker, in numbered steps; here those with a CoS Party.

 1. `intake`       read the request; every check of section "request", and those of its service;
                   answer it at once, or keep it, acknowledge it, and give it its turn at the device
 2. here           have the CoS Party of the device's record sign the command, if the service says
 3. here           every check of section "return"; only then
 4. `protect`      sign here what the broker signs, add the MAC, keep the finished command
 5. `deliver`      send it to the device; silence: `read_back`, or as the service says
 6. `outcome`      the service's checks on what the device says; record what it teaches
 7. `notify`       tell the user, the CoS Party and whoever else is concerned

Alerts and late responses enter at step 6, through `acb.steps.device_messages`. What differs
between services is said by their entries (`acb.services`), and nowhere here.

What holds it together: each step's effect, and the intent to do the next step, are written in one
transaction (outbox). A crash anywhere repeats at most the step that was under way, and a repeated
step repeats the same octets: the link message identifier of a request never changes, so the CoS
Party repeats its answer; a command once finished is kept and sent again as it is. If the device
then keeps silent, because it has acted on the first copy, it is asked what its cells hold.

For one device there is one command on the way at a time, in order of acceptance: a CoS Party's
counters must reach the device in the order in which they were given out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from acb.checks import PARTY
from acb.model import COS_CELL, CosParty, DeviceRecord, Refusal, ReturnEvidence, State, Tracked
from acb.peers.outbound import AnswerUnusable, Returned
from acb.rules import codes
from acb.services.table import service_of
from acb.steps import gather, pending
from acb.steps.context import Context
from acb.steps.outcome import Outcomes
from acb.steps.protect import Protection
from acb.store import records
from acb.store import requests as store
from keys.certificate import Certificate
from services.chassis.checks import Refused
from services.chassis.data.connection import StoreConnection
from services.chassis.data.outbox import OutboxItem, TryLater
from services.link.errors import LinkCallError, LinkRefused, PeerRefused

NO_COS_PARTY: Final = "acb.cos_party.unavailable"
"""What is said when nobody can be asked to sign, or nobody answers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is with a CoS Party, and the certificate its answer will be judged by."""

    tracked: Tracked
    party: CosParty
    certificate: Certificate


class CosPartySigning:
    """Steps 2 and 3: the conversation with the CoS Party."""

    def __init__(self, context: Context, outcomes: Outcomes, protection: Protection) -> None:
        self._context = context
        self._outcomes = outcomes
        self._protection = protection

    async def ask_cos_party(self, item: OutboxItem) -> None:
        """Step 2: the CoS Party of the device's record signs; steps 3 and 4 follow."""
        asked = await self._begin_asking(item)
        if asked is None:
            return
        tracked, party = asked.tracked, asked.party
        fault: str | None = None
        signed = Returned(b"")
        try:
            signed = await self._context.cos_parties[party.name].have_signed(
                tracked.transaction, tracked.body
            )
        except PeerRefused as refused:
            await self._refused_by_party(item, tracked, party, refused)
            return
        except LinkRefused as refused:
            await self._context.base.traces.record(
                tracked.request_id,
                "refused",
                name=refused.check,
                summary=refused.reason,
                sender=party.name,
                receiver=PARTY,
            )
            raise TryLater(str(refused)) from refused
        except LinkCallError as error:
            raise TryLater(str(error)) from error
        except AnswerUnusable as error:
            fault = str(error)
        await self._take_return(item, asked, signed, fault)

    async def gave_up(self, conn: StoreConnection, item: OutboxItem, reason: str) -> None:
        """The CoS Party did not answer, time after time: the request ends as failed, visibly."""
        tracked = await self._outcomes.still_open(conn, item)
        if tracked is not None:
            code = codes.INTERNAL_TO_DCC
            await self._outcomes.end_failed(conn, tracked, NO_COS_PARTY, reason, code)

    async def _begin_asking(self, item: OutboxItem) -> Asked | None:
        """Choose the CoS Party by the certificate the record says the device holds."""
        async with self._context.base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state not in (State.ACCEPTED, State.WITH_COS_PARTY):
                return None
            device = await records.find_device(conn, tracked.target)
            held = None if device is None else device.cells.get(COS_CELL)
            party = gather.party_of(device, self._context.settings.connected)
            if party is None or held is None:
                await self._nobody_signs(conn, tracked, device)
                await self._context.base.outbox.complete(conn, item)
                return None
            if tracked.state is State.ACCEPTED:
                tracked = await store.change(
                    conn,
                    tracked.sequence,
                    state=State.WITH_COS_PARTY.value,
                    cos_party=party.name,
                )
                await self._context.trace(
                    conn,
                    tracked,
                    "sent",
                    sender=PARTY,
                    receiver=party.name,
                    name="cos-command",
                    summary="the supplier's own octets",
                    message=tracked.body,
                )
                self._context.notify(tracked.request_id)
        return Asked(tracked, party, held)

    async def _nobody_signs(
        self, conn: StoreConnection, tracked: Tracked, device: DeviceRecord | None
    ) -> None:
        why = "the device does not trust a CoS Party connected here"
        refusal = Refusal(PARTY, NO_COS_PARTY, why, codes.INCOMPATIBLE_DEVICE)
        await self._outcomes.end_refused(conn, tracked, refusal)
        if device is not None:
            await self._outcomes.cos_certificates.nobody_signs(conn, tracked, device)

    async def _refused_by_party(
        self, item: OutboxItem, tracked: Tracked, party: CosParty, refused: PeerRefused
    ) -> None:
        """The CoS Party said no, in a signed answer: the request ends with its reason."""
        base = self._context.base
        error = refused.problem.get("code")
        known = isinstance(error, str) and len(error) == 3
        why = Refusal(
            refused.party or party.name,
            refused.check or "unnamed",
            refused.detail,
            codes.NOT_ACCEPTED_BY_COS_PARTY,
        )
        async with base.database.begin() as conn:
            if not await _still_asking(conn, tracked):
                return
            await self._context.trace(
                conn,
                tracked,
                "refused",
                sender=party.name,
                receiver=PARTY,
                name=why.check,
                summary=why.detail,
            )
            await self._outcomes.end_refused(conn, tracked, why)
            await self._outcomes.notifier.enqueue_cos_rejection(
                conn, tracked, str(error) if known else codes.ECOS_ERROR_UNSPECIFIED
            )
            await base.outbox.complete(conn, item)

    async def _take_return(
        self, item: OutboxItem, asked: Asked, signed: Returned, fault: str | None
    ) -> None:
        """Steps 3 and 4: every check on what came back, and only then the MAC."""
        base, tracked = self._context.base, asked.tracked
        section = service_of(tracked.service_reference_variant).returned[0].section
        path = await gather.look_up_path(self._context)
        async with base.database.begin() as conn:
            if not await _still_asking(conn, tracked):
                return
            device = await records.find_device(conn, tracked.target)
            user = await records.find_user(conn, tracked.originator)
            evidence = gather.read_returned(
                ReturnEvidence(
                    raw=signed.command,
                    request=gather.accepted_request(tracked),
                    cos_party=asked.party,
                    certificate=asked.certificate,
                    path=path,
                    last_counter=await records.seen_counter(conn, asked.party.eui, tracked.target),
                    fault=fault,
                    participant=None if user is None else user.participant,
                    waiting=await pending.changes_waiting(conn, tracked.target, base.clock.now()),
                    displaces=signed.displaces,
                    device=device,
                )
            )
            await self._context.trace_received(
                conn, tracked, signed.command, by=asked.party.name, name="cos-command-signed"
            )
            run = base.book.start(tracked.request_id, section)
            try:
                approved = run.judge(evidence)
            except Refused as refused:
                await self._outcomes.refused_by_check(conn, tracked, run, refused)
                await base.outbox.complete(conn, item)
                return
            await self._context.trace(
                conn,
                tracked,
                "checked",
                name="what the CoS Party returned",
                verdicts=approved.verdicts,
            )
            await self._protection.protect_returned(conn, approved, tracked)
            await base.outbox.complete(conn, item)


async def _still_asking(conn: StoreConnection, tracked: Tracked) -> bool:
    """Whether no other attempt at step 2 has settled it: a lease may end that is still held.

    The machine's clock may jump (a machine that slept), and both attempts get the same answer.
    """
    now = await store.get_request(conn, tracked.sequence)
    return now.state is State.WITH_COS_PARTY
