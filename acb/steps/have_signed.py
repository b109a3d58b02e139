"""One change of supplier through the broker, in numbered steps.

 1. `intake`   read the request; every check of section "request"; keep it, acknowledge it
 2. here       have the CoS Party of the device's record sign the command
 3. here       every check of section "return"; only then
 4. here       add the MAC and keep the finished command
 5. `deliver`  send it to the device
 6. `outcome`  every check of section "response"; record what the cells hold now
 7. `notices`  tell the supplier, the CoS Party and the supplier that was replaced

Alerts and late responses enter at step 6, through `acb.steps.device_messages`.

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
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from acb.checks import PARTY, RETURN_CHECKS
from acb.model import (
    COS_CELL,
    FINAL,
    CosParty,
    DeviceRecord,
    Refusal,
    ReturnEvidence,
    State,
    Tracked,
)
from acb.peers.outbound import AnswerUnusable, Returned
from acb.rules import codes
from acb.rules.read_back import READ_BACK
from acb.services.table import ASK_COS_PARTY
from acb.steps import gather, lanes, pending
from acb.steps.context import Parts
from acb.steps.deliver import DELIVER, Delivery
from acb.steps.notices import Notices
from acb.steps.outcome import Outcomes
from acb.store import records
from acb.store import requests as store
from duis.gate import parse
from duis.model import ServiceRequest
from duis.xml import request_from_xml
from gbcs.errors import EncodeError
from gbcs.message import Message, encode
from gbcs.protect import add_mac
from keys.certificate import Certificate
from services.chassis.checks import Approved, Refused
from services.chassis.data.outbox import OutboxItem, TryLater, Undeliverable
from services.link.errors import LinkCallError, LinkRefused, PeerRefused

NO_COS_PARTY: Final = "acb.cos_party.unavailable"
"""What is said when nobody can be asked to sign, or nobody answers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is with a CoS Party, and the certificate its answer will be judged by."""

    tracked: Tracked
    party: CosParty
    certificate: Certificate


class Workflow:
    """Steps 2 to 4; the others are in the modules named above."""

    def __init__(
        self, parts: Parts, notices: Notices, outcomes: Outcomes, delivery: Delivery
    ) -> None:
        self._parts = parts
        self._notices = notices
        self._outcomes = outcomes
        self._read_backs = delivery.read_backs
        outbox = parts.base.outbox
        outbox.register(ASK_COS_PARTY, self.ask_cos_party, on_dead=self._gave_up)
        outbox.register(DELIVER, delivery.deliver, on_dead=self._gave_up, pool=lanes.DEVICES)
        outbox.register(READ_BACK, delivery.read_back, on_dead=self._gave_up, pool=lanes.DEVICES)

    async def ask_cos_party(self, item: OutboxItem) -> None:
        """Step 2: the CoS Party of the device's record signs; steps 3 and 4 follow."""
        base = self._parts.base
        asked = await self._begin_asking(item)
        if asked is None:
            return
        tracked, party = asked.tracked, asked.party
        fault: str | None = None
        signed = Returned(b"")
        try:
            signed = await self._parts.cos_parties[party.name].have_signed(
                tracked.transaction, tracked.body
            )
        except PeerRefused as refused:
            await self._refused_by_party(item, tracked, party, refused)
            return
        except LinkRefused as refused:
            await base.traces.record(
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

    async def _begin_asking(self, item: OutboxItem) -> Asked | None:
        """Choose the CoS Party by the certificate the record says the device holds."""
        base = self._parts.base
        async with base.database.begin() as conn:
            tracked = await store.get_request(conn, item.payload["sequence"])
            if tracked.state not in (State.ACCEPTED, State.WITH_COS_PARTY):
                return None
            device = await records.find_device(conn, tracked.target)
            held = None if device is None else device.cells.get(COS_CELL)
            party = (
                None
                if device is None
                else gather.party_of(device, self._parts.settings.connected, COS_CELL)
            )
            if party is None or held is None:
                why = Refusal(
                    PARTY,
                    NO_COS_PARTY,
                    "the device does not trust a CoS Party connected here",
                    codes.INCOMPATIBLE_DEVICE,
                )
                await self._outcomes.end_refused(conn, tracked, why)
                if device is not None:
                    await self._outcomes.cos_certificates.nobody_signs(conn, tracked, device)
                await base.outbox.complete(conn, item)
                return None
            if tracked.state is State.ACCEPTED:
                tracked = await store.change(
                    conn,
                    tracked.sequence,
                    state=State.WITH_COS_PARTY.value,
                    cos_party=party.name,
                )
                await base.traces.record(
                    tracked.request_id,
                    "sent",
                    sender=PARTY,
                    receiver=party.name,
                    name="cos-command",
                    summary="the supplier's own octets",
                    message=tracked.body,
                    conn=conn,
                )
                self._outcomes.tell(tracked.request_id)
        return Asked(tracked, party, held)

    async def _refused_by_party(
        self, item: OutboxItem, tracked: Tracked, party: CosParty, refused: PeerRefused
    ) -> None:
        """The CoS Party said no, in a signed answer: the request ends with its reason."""
        base = self._parts.base
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
            await base.traces.record(
                tracked.request_id,
                "refused",
                sender=party.name,
                receiver=PARTY,
                name=why.check,
                summary=why.detail,
                conn=conn,
            )
            await self._outcomes.end_refused(conn, tracked, why)
            await self._notices.owe_cos_rejection(
                conn, tracked, str(error) if known else codes.ECOS_ERROR_UNSPECIFIED
            )
            await base.outbox.complete(conn, item)

    async def _take_return(
        self, item: OutboxItem, asked: Asked, signed: Returned, fault: str | None
    ) -> None:
        """Steps 3 and 4: every check on what came back, and only then the MAC."""
        base = self._parts.base
        tracked, party = asked.tracked, asked.party
        request = _request_of(tracked)
        path = await gather.look_up_path(self._parts.smki, self._parts.trust, base.clock)
        async with base.database.begin() as conn:
            if not await _still_asking(conn, tracked):
                return
            device = await records.find_device(conn, tracked.target)
            user = await records.find_user(conn, tracked.originator)
            evidence = gather.read_returned(
                ReturnEvidence(
                    raw=signed.command,
                    request=request,
                    cos_party=party,
                    certificate=asked.certificate,
                    path=path,
                    last_counter=await records.seen_counter(conn, party.eui, tracked.target),
                    fault=fault,
                    participant=None if user is None else user.participant,
                    waiting=await pending.changes_waiting(conn, tracked.target, base.clock.now()),
                    displaces=signed.displaces,
                )
            )
            reference = None if evidence.message is None else evidence.message.reference
            await base.traces.record(
                tracked.request_id,
                "received",
                sender=party.name,
                receiver=PARTY,
                name="cos-command-signed",
                message=signed.command,
                gbcs_ref=reference,
                conn=conn,
            )
            run = base.book.start(tracked.request_id, "return")
            try:
                for check in RETURN_CHECKS:
                    run.apply(check, evidence)
                approved = run.approve()
            except Refused as refused:
                await self._outcomes.refused_by_check(conn, tracked, run, refused)
                await base.outbox.complete(conn, item)
                return
            await base.traces.record(
                tracked.request_id,
                "checked",
                name="what the CoS Party returned",
                verdicts=approved.verdicts,
                conn=conn,
            )
            await self._finish_command(conn, approved, tracked, evidence, device)
            await base.outbox.complete(conn, item)

    async def _finish_command(
        self,
        conn: AsyncConnection,
        approved: Approved[Any],
        tracked: Tracked,
        evidence: ReturnEvidence,
        device: DeviceRecord | None,
    ) -> None:
        """Keep the command with its MAC: from here on it is only ever sent as it is."""
        message = evidence.message
        if message is None or device is None:  # only with checks switched off
            raise Undeliverable("there is nothing that could be sent")
        command = self.protect(approved, message, device)
        await records.raise_counter(
            conn, evidence.cos_party.eui, tracked.target, message.header.counter
        )
        await store.change(
            conn,
            tracked.sequence,
            state=State.SIGNED.value,
            signed_command=evidence.raw,
            command=command,
            command_counter=message.header.counter,
        )
        await self._parts.base.outbox.put(
            conn,
            DELIVER,
            str(tracked.sequence),
            {"sequence": tracked.sequence},
            lane=lanes.for_device(tracked),
        )
        self._outcomes.tell(tracked.request_id)

    def protect(self, approved: Approved[Any], message: Message, device: DeviceRecord) -> bytes:
        """The command with the ACB-SMD MAC: what only this broker can make, made only here.

        Args:
            approved: that every check of section "return" said yes.
            message: the signed command.
            device: the record of the device whose key the MAC is for.

        Raises:
            Undeliverable: the message cannot carry a MAC (only with checks switched off).
        """
        if approved.section != "return":
            raise TypeError("only an approved return is given a MAC")
        try:
            return encode(add_mac(message, self._parts.secret_with(device)))
        except EncodeError as error:
            raise Undeliverable(str(error)) from error

    async def _gave_up(self, conn: AsyncConnection, item: OutboxItem, reason: str) -> None:
        """A step was given up after many attempts: the request ends as failed, visibly."""
        tracked = await store.get_request(conn, item.payload["sequence"])
        if tracked.state in (*FINAL, State.SCHEDULED):
            return
        if item.kind == READ_BACK and await self._read_backs.unreachable(conn, tracked, reason):
            return
        asking = item.kind == ASK_COS_PARTY
        why = Refusal(
            PARTY,
            NO_COS_PARTY if asking else "acb.device.unreachable",
            reason,
            codes.INTERNAL_TO_DCC if asking else codes.NOT_DELIVERABLE,
        )
        await self._parts.base.traces.record(
            tracked.request_id, "failed", name=why.check, summary=reason, conn=conn
        )
        await self._outcomes.end_refused(conn, tracked, why, State.FAILED)


async def _still_asking(conn: AsyncConnection, tracked: Tracked) -> bool:
    """Whether no other attempt at step 2 has settled it: a lease may end that is still held.

    The machine's clock may jump (a machine that slept), and both attempts get the same answer.
    """
    now = await store.get_request(conn, tracked.sequence)
    return now.state is State.WITH_COS_PARTY


def _request_of(tracked: Tracked) -> ServiceRequest:
    """The request as it was accepted: read again from the octets the supplier signed."""
    return request_from_xml(parse(tracked.body))
