"""Commands that wait in a device for their date (6.15.1, 6.23), by the broker's record.

A device keeps one such command for each authorising role: the newest takes the place of an older
one, a cancellation takes it away, and whoever replaces the role's signing certificate takes it away
too (reconstruction): docs/sources.md#future-dating. Whose command is gone this way is told by
`acb.schedule`, in a second signed answer to its request. To a device all changes of supplier are of
one role, whoever asked: that none takes away another supplier's is for `acb.return.pending_change`
to see to.

What the device says of it may come in any order: an acceptance that comes late tells of a command
that the device heard before others, and does not bring back what one of these took away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from acb.checks import PARTY
from acb.model import DeviceRecord, Refusal, State, Tracked, WaitingChange
from acb.rules import codes
from acb.services.table import SUPPORTED
from acb.steps.notify import Notifier
from acb.store import awaited, records
from acb.store import requests as store
from gbcs.codes import KeyUsage, RemotePartyRole
from gbcs.errors import GbcsError
from gbcs.message import decode
from gbcs.payloads.credentials import CANCEL_EXECUTION, CellId, UpdateCredentials, decode_update
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from services.chassis.data.connection import StoreConnection

GONE: Final = "acb.schedule"
"""The reason given for a request whose command no longer waits for its date."""

_KEPT_BY_DEVICES: Final = tuple(
    variant for variant, service in SUPPORTED.items() if service.dated_in_device
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A request whose command its device took to keep, or to forget what it kept.

    Attributes:
        tracked: the request.
        role: the role by which the command is authorised.
        originator: whose counter it carries, and which one.
        withdraws: whether it is a cancellation.
    """

    tracked: Tracked
    role: RemotePartyRole
    originator: tuple[str, int]
    withdraws: bool

    def sent_after(self, other: Pending) -> bool:
        """Whether the device heard this one later: by its originator's counter, if it is the same.

        Requests are not sent in the order in which they were accepted: one may have been held in
        quarantine meanwhile, and users take turns.
        """
        if self.originator[0] == other.originator[0]:
            return self.originator[1] > other.originator[1]
        return (self.tracked.turn or 0) > (other.tracked.turn or 0)


def sent(tracked: Tracked) -> UpdateCredentials | None:
    """What the command of a request commands; None if it has none yet.

    Raises:
        gbcs.errors.ParseError: it is not a command that updates credentials.
    """
    return None if tracked.command is None else decode_update(decode(tracked.command).payload)


def role_of(update: UpdateCredentials) -> RemotePartyRole:
    """The role whose counter and whose place in the device a command uses."""
    cell = update.authorising_cell
    return RemotePartyRole.ACCESS_CONTROL_BROKER if cell is None else cell.role


async def waiting_in(conn: StoreConnection, device: str) -> list[Pending]:
    """What waits in a device, in order of acceptance."""
    found = await _taken(conn, device)
    return [item for item in found if item.tracked.state is State.SCHEDULED]


async def devices_asked(conn: StoreConnection, devices: Sequence[str]) -> set[str]:
    """Those of these devices that there ever was a request for: in others nothing waits."""
    query = (
        select(store.request_table.c.target)
        .where(store.request_table.c.target.in_(devices))
        .distinct()
    )
    return set((await conn.execute(query)).scalars())


async def _taken(conn: StoreConnection, device: str) -> list[Pending]:
    """Every dated or cancelling command that a device accepted, in order of acceptance here."""
    return [
        _pending(tracked, update)
        for tracked in await store.dated(conn, device)
        if tracked.service_reference_variant in _KEPT_BY_DEVICES
        and (update := sent(tracked)) is not None
    ]


def _pending(tracked: Tracked, update: UpdateCredentials) -> Pending:
    header = decode(tracked.command or b"").header
    return Pending(
        tracked,
        role_of(update),
        (header.originator, header.counter),
        update.execution_date_time == CANCEL_EXECUTION,
    )


async def changes_waiting(
    conn: StoreConnection, device: str, now: datetime
) -> tuple[WaitingChange, ...]:
    """The changes of supplier that wait in a device for a date to come, and whose they are."""
    found = []
    for item in await waiting_in(conn, device):
        due = awaited.date_of(item.tracked.command)
        if item.role is RemotePartyRole.TRANSITIONAL_COS and due is not None and due > now:
            user = await records.find_user(conn, item.tracked.originator)
            participant = item.tracked.originator if user is None else user.participant
            found.append(WaitingChange(item.tracked.request_id, participant, due))
    return tuple(found)


async def drop(notifier: Notifier, conn: StoreConnection, tracked: Tracked, why: str) -> None:
    """End a request whose command is gone from its device, and have its user told so.

    It is a second answer: the first was that the device took the command to keep.
    """
    refusal = Refusal(PARTY, GONE, why, codes.EXECUTION_DATE)
    await store.refuse(conn, tracked.sequence, State.FAILED, refusal)
    await notifier.enqueue_failure(conn, tracked, codes.EXECUTION_DATE)
    await awaited.forget(conn, tracked.sequence)
    await notifier.context.trace(conn, tracked, "superseded", summary=why)
    notifier.context.notify(tracked.request_id)


async def drop_replaced(
    notifier: Notifier,
    conn: StoreConnection,
    tracked: Tracked,
    update: UpdateCredentials,
) -> None:
    """Of what was to wait in the device for one role, whatever is not the newest is gone.

    Args:
        notifier: keeps what users are to be told.
        conn: the transaction in which the request is settled, after it is.
        tracked: a request whose dated or cancelling command the device accepted, as it was before.
        update: that command's payload.
    """
    accepted = _pending(tracked, update)
    others = [
        other
        for other in await _taken(conn, tracked.target)
        if other.role == accepted.role and other.tracked.sequence != tracked.sequence
    ]
    later = [other for other in others if other.sent_after(accepted)]
    if later and not accepted.withdraws:
        await drop(notifier, conn, tracked, _taken_away_by(later[0]))
    elif not accepted.withdraws and await _orphan(conn, accepted):
        await drop(notifier, conn, tracked, "who authorised it has been replaced since")
    for other in others:
        if other.tracked.state is State.SCHEDULED and accepted.sent_after(other):
            await drop(notifier, conn, other.tracked, _taken_away_by(accepted))


def _taken_away_by(other: Pending) -> str:
    name = other.tracked.request_id
    return f"it was withdrawn by {name}" if other.withdraws else f"its place was taken by {name}"


async def _orphan(conn: StoreConnection, accepted: Pending) -> bool:
    """Whether, by the record, the device no longer holds the key that authorised a command.

    Asked of a late acceptance alone: when the device took the command, it held that key.
    """
    device = await records.find_device(conn, accepted.tracked.target)
    cell = CellId(accepted.role, KeyUsage.DIGITAL_SIGNATURE).name
    held = None if device is None else device.cells.get(cell)
    if held is None or accepted.tracked.state is not State.FAILED:
        return False
    try:
        verify_signature(decode(accepted.tracked.command or b""), held.public_key)
    except GbcsError:
        return True
    return False


async def drop_orphans(
    notifier: Notifier,
    conn: StoreConnection,
    tracked: Tracked,
    before: DeviceRecord | None,
    changed: Mapping[str, Certificate],
) -> None:
    """What waited in the device for a role whose signing certificate is another now is gone.

    Args:
        notifier: keeps what users are to be told.
        conn: the transaction in which the record changes.
        tracked: the request that changed it.
        before: the device's record before that.
        changed: what the cells that changed hold now.
    """
    for earlier in await waiting_in(conn, tracked.target):
        cell = CellId(earlier.role, KeyUsage.DIGITAL_SIGNATURE).name
        held = None if before is None else before.cells.get(cell)
        if earlier.tracked.sequence == tracked.sequence or changed.get(cell, held) == held:
            continue
        why = f"who authorised it was replaced by {tracked.request_id}"
        await drop(notifier, conn, earlier.tracked, why)
