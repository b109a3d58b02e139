"""One message to one device, step by step, in one transaction; and what falls due later.

1. load the device            nothing is written before step 3
2. let it hear the message    pure: meter_sim.device.processing
3. store its new state        cells, counters and what is pending
4. store what it says         the answer, beside the verdicts that led to it
5. log, audit, trace
6. commit                     only now is anything said

What a device refuses is recorded in the same way; nothing is answered. If that raises a security
alert (meter_sim.device.alerts), the Alert leaves by the outbox, and with it in one transaction go
the alert counter and the line in the Security Log.

A crash before 6 leaves the old device and nothing said; after 6 the new one and its answer. The
same message again, after an answer that was lost, is refused by the counter, as by a real device.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import asdict

import structlog

from gbcs.block_transfer import decode_block, is_block
from gbcs.codes import KeyUsage
from gbcs.errors import ParseError
from gbcs.message import Message
from meter_sim.device.future import due_roles, execute
from meter_sim.device.model import (
    DeviceContext,
    DeviceState,
    NotUnderstood,
    OwnKeyFault,
    OwnKeys,
    Reaction,
)
from meter_sim.device.processing import process
from meter_sim.device.quirks import DEFAULT_WRITTEN_OUT, NON_MINIMAL_LENGTHS
from meter_sim.device.rules import reception
from meter_sim.device.rules.framing import message_of
from meter_sim.device.rules.message import SECTION
from meter_sim.device.security_log import event_of_refusal
from meter_sim.device.use_cases import use_case_name
from meter_sim.steps.alerts_kept import SecurityAlerts
from meter_sim.steps.outbound import AlertPush
from meter_sim.steps.power import Power, PowerLost
from meter_sim.store import history
from meter_sim.store.devices import DeviceStore
from meter_sim.store.history import Exchange, Refusal
from services.chassis.checks import CheckRun, Refused
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.chassis.log import note

_log = structlog.get_logger(__name__)

KeysOf = Callable[[str, int, int], OwnKeys]
"""What a device does with its keys, by EUI-64 and the generations of its signing and its key
agreement key."""


def no_step(name: str) -> None:
    """Pass on."""
    del name


class Workflow:
    """What happens to the devices of this process.

    Args:
        base: the chassis.
        devices: the devices' store.
        keys_of: their private keys.
        push: how Alerts leave.
        power: which devices are off, or about to be.
        alerts: raises their security alerts.
        on_step: told the name of every step passed. Tests raise in it to abort between two steps.
    """

    def __init__(
        self,
        base: ServiceContext,
        devices: DeviceStore,
        keys_of: KeysOf,
        push: AlertPush,
        power: Power,
        *,
        alerts: SecurityAlerts,
        on_step: Callable[[str], None] = no_step,
    ) -> None:
        self._base = base
        self._devices = devices
        self._keys_of = keys_of
        self._push = push
        self._power = power
        self._alerts = alerts
        self._on_step = on_step
        self._when_pending: list[Callable[[], None]] = []
        self._key_faults: dict[str, frozenset[OwnKeyFault]] = {}

    def break_keys(self, eui: str, faults: frozenset[OwnKeyFault]) -> None:
        """Have a device's key store fail in these ways from now on."""
        _log.warning("a device's key store is at fault", device=eui, fails=sorted(faults))
        self._key_faults[eui] = faults

    async def mend_keys(self) -> None:
        """Have no device's key store at fault any more."""
        self._key_faults.clear()

    def when_pending(self, callback: Callable[[], None]) -> None:
        """Call `callback` after a commit that changed what is pending."""
        self._when_pending.append(callback)

    async def receive(self, eui: str, data: bytes, content_type: str) -> bytes | None:
        """Let a device hear a message: what it says, or None for silence.

        Raises:
            Refused: no such device is installed, or what came is not octets.
        """
        try:
            return await self._receive(eui, data, content_type)
        except PowerLost as lost:
            await self.went_off(eui, reference_of(eui, data), lost.step)
            return None

    async def _receive(self, eui: str, data: bytes, content_type: str) -> bytes | None:
        async with self._base.database.begin() as conn:
            state = await self.reached(conn, eui, content_type)
            if state is None:
                return None
            self._passed(eui, "loaded")
            if not self._power.is_on(eui):
                if self._base.audit.unauthenticated.admit(len(data)):
                    await self._trace(
                        conn, reference_of(eui, data), "off", data, summary="no power"
                    )
                return None
            run = self._base.book.start(reference_of(eui, data), section=SECTION)
            try:
                reaction = process(state, data, self._context(state), run)
            except (Refused, NotUnderstood) as error:
                await self.refused(conn, state, data, run, error)
                return None
            self._passed(eui, "processed")
            await self._answered(conn, state, data, run, reaction)
        self._passed(eui, "committed")
        note(verdict="answered")
        return reaction.response

    async def reached(
        self, conn: StoreConnection, eui: str, content_type: str
    ) -> DeviceState | None:
        """The device that a message reached; None only where the checks on that are off.

        Raises:
            Refused: no such device is installed, or what came is not octets.
        """
        arrival = reception.Reception(await self._devices.load(conn, eui), content_type)
        run = self._base.book.start(eui, section=reception.SECTION)
        return run.judge(arrival).evidence.state

    async def execute_due(self) -> int:
        """Execute everything whose time has come; the number of Commands executed."""
        done = 0
        while True:
            async with self._base.database.connect() as conn:
                due = await self._devices.due(conn, self._base.clock.now(), but=self._power.off)
            if not due:
                return done
            executed = [await self._execute_unless_off(eui) for eui in due]
            done += sum(executed)
            if not any(executed):  # the clock was set back meanwhile
                return done

    async def _execute_unless_off(self, eui: str) -> int:
        try:
            return await self._execute_due_of(eui)
        except PowerLost as lost:
            await self.went_off(eui, eui, lost.step)
            return 1  # it is off now, and so not due any more

    async def _execute_due_of(self, eui: str) -> int:
        done = 0
        async with self._base.database.begin() as conn:
            while self._power.is_on(eui) and (state := await self._devices.load(conn, eui)):
                context = self._context(state)
                roles = due_roles(state, context.at)
                if not roles:
                    break
                reference = state.pending[roles[0]].reference
                reaction = execute(state, roles[0], context)
                self._passed(eui, "executed")
                await self._executed(conn, state, reference, reaction)
                done += 1
        self._passed(eui, "committed")
        return done

    def _context(self, state: DeviceState) -> DeviceContext:
        keys = self._keys_of(
            state.eui,
            state.own_key(KeyUsage.DIGITAL_SIGNATURE).generation,
            state.own_key(KeyUsage.KEY_AGREEMENT).generation,
        )
        faults = self._key_faults.get(state.eui, frozenset())
        quirks = self._base.quirks
        return DeviceContext(
            keys,
            self._base.clock.now(),
            self._base.book,
            faults,
            long_lengths=quirks.has(NON_MINIMAL_LENGTHS),
            default_written=quirks.has(DEFAULT_WRITTEN_OUT),
        )

    async def _answered(
        self,
        conn: StoreConnection,
        state: DeviceState,
        data: bytes,
        run: CheckRun,
        reaction: Reaction,
    ) -> None:
        at, eui = self._base.clock.now(), state.eui
        verdicts = (*run.verdicts(), *reaction.verdicts)
        await self._devices.save(conn, state, reaction.state)
        self._passed(eui, "state stored")
        exchange = Exchange(
            eui,
            at,
            "answered",
            run.subject,
            heard=data,
            said=reaction.response,
            verdicts=verdicts,
            cells=reaction.cells,
        )
        await history.add_exchange(conn, exchange)
        self._passed(eui, "answer stored")
        await history.add_events(conn, eui, at, reaction.events)
        self._passed(eui, "logged")
        response = base64.b64encode(reaction.response).decode()
        record = {"verdict": "accepted", "said": response, **_cells(reaction)}
        await self._audit(conn, "device.answered", run.subject, data, record)
        self._passed(eui, "audited")
        await self._trace(conn, run.subject, "received", data, run=run)
        await self._trace(conn, run.subject, "sent", reaction.response)
        if reaction.state.pending != state.pending:
            self._tell_after_commit()
        self._passed(eui, "traced")

    async def _executed(
        self, conn: StoreConnection, state: DeviceState, reference: str, reaction: Reaction
    ) -> None:
        at, eui = self._base.clock.now(), state.eui
        await self._devices.save(conn, state, reaction.state)
        self._passed(eui, "state stored")
        exchange = Exchange(
            eui, at, "executed", reference, said=reaction.response, cells=reaction.cells
        )
        await history.add_exchange(conn, exchange)
        self._passed(eui, "answer stored")
        await history.add_events(conn, eui, at, reaction.events)
        await self._audit(conn, "device.executed", reference, reaction.response, _cells(reaction))
        self._passed(eui, "audited")
        await self._trace(conn, reference, "sent", reaction.response)
        await self._push.put(conn, eui, reaction.response)
        self._tell_after_commit()
        self._passed(eui, "traced")

    async def refused(
        self,
        conn: StoreConnection,
        state: DeviceState,
        data: bytes,
        run: CheckRun,
        error: Refused | NotUnderstood,
    ) -> None:
        """Record that a message or a block was refused, and raise an Alert if one is due.

        Nothing is answered, and nothing of the device changes but its alert counter.

        Raises:
            PowerLost: the device goes off at this moment; what was recorded is to be undone.
        """
        refusal = Refusal.of(error)
        at = self._base.clock.now()
        # whoever reaches the WAN can have a device refuse; it is kept three times
        kept = self._base.audit.unauthenticated.admit(3 * len(data), records=3)
        exchange = Exchange(
            state.eui,
            at,
            "refused",
            run.subject,
            heard=data,
            refusal=refusal,
            verdicts=tuple(run.verdicts()),
        )
        if kept:
            await history.add_exchange(conn, exchange)
        self._passed(state.eui, "refusal stored")
        event, raised = await self._alerts.refused(
            conn, state, event_of_refusal(refusal.check, refusal.detail), self._context(state)
        )
        if kept or raised is not None:
            await history.add_events(conn, state.eui, at, (event,))
        record = {"verdict": "refused", "alert_code": f"0x{event.code:04X}", **asdict(refusal)}
        if raised is not None:
            record["alert"] = base64.b64encode(raised.alert).decode()
            because = f"{refusal.check} refused {run.subject}"
            await self._trace(
                conn, reference_of(state.eui, raised.alert), "sent", raised.alert, summary=because
            )
            self._passed(state.eui, "alert stored")
        if kept:
            await self._audit(conn, "device.refused", run.subject, data, record)
            await self._trace(conn, run.subject, "refused", data, run=run, summary=refusal.detail)
        note(verdict="refused", check=refusal.check)

    def _passed(self, eui: str, step: str) -> None:
        self._on_step(step)
        self._power.passed(eui, step)

    async def went_off(self, eui: str, subject: str, step: str) -> None:
        """Say so, once what the device was doing is either undone or finished."""
        async with self._base.database.begin() as conn:
            await self._audit(conn, "device.went_off", eui, b"", {"after": step})
        await self._base.traces.record(subject, "went off", summary=f"after step {step!r}")

    async def _audit(
        self, conn: StoreConnection, kind: str, subject: str, body: bytes, record: dict[str, object]
    ) -> None:
        await self._base.audit.append(
            conn, kind, subject, {**record, "weakened": self._base.book.weakened}, body
        )

    async def _trace(
        self,
        conn: StoreConnection,
        subject: str,
        kind: str,
        data: bytes,
        *,
        run: CheckRun | None = None,
        summary: str = "",
    ) -> None:
        message = _message(data)
        header = None if message is None else message.header
        await self._base.traces.record(
            subject,
            kind,
            sender=None if header is None else header.originator,
            receiver=None if header is None else header.recipient,
            name="" if message is None else use_case_name(message.message_code),
            summary=summary,
            message=data,
            gbcs_ref=None if message is None else message.reference,
            verdicts=None if run is None else run.verdicts(),
            conn=conn,
        )

    def _tell_after_commit(self) -> None:
        for callback in self._when_pending:
            self._base.database.on_commit(callback)


def _message(data: bytes) -> Message | None:
    try:
        return message_of(data)
    except ParseError:
        return None


def message_reference(data: bytes) -> str | None:
    """The reference of a message, or of what it is a block of; None for other octets."""
    message = _message(data)
    if message is not None:
        return message.reference
    with contextlib.suppress(ParseError):
        return decode_block(data).transfer.reference if is_block(data) else None
    return None


def reference_of(eui: str, data: bytes) -> str:
    """The reference of a message, or of what it is a block of; else a name of its own."""
    return message_reference(data) or f"unreadable:{eui}:{hashlib.sha256(data).hexdigest()[:16]}"


def _cells(reaction: Reaction) -> dict[str, object]:
    return {"cells": {result.cell.name: result.status.label for result in reaction.cells}}
