"""Commands of 6.15.1 that wait in a device for their date, by the broker's record.

A device keeps one such command for each authorising role: the newest takes the place of an older
one, a cancellation takes it away, and whoever replaces the role's signing certificate takes it away
too [K]: docs/domain facts 1.6. Whose command is gone this way is told by `acb.schedule`.
(Commands of a change of supplier wait by CoS Party: `store.scheduled_for`.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from acb import store
from acb.checks import PARTY
from acb.model import DeviceRecord, Refusal, State, Tracked
from acb.store import request_table
from gbcs.codes import KeyUsage, RemotePartyRole
from gbcs.credentials import CANCEL_EXECUTION, CellId, UpdateCredentials, decode_update
from gbcs.message import decode
from keys.certificate import Certificate
from services.chassis.foundation import Foundation

GONE: Final = "acb.schedule"
"""The reason given for a request whose command no longer waits for its date."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request whose command waits in its device, and the role by which it is authorised."""

    tracked: Tracked
    role: RemotePartyRole


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


async def waiting_in(conn: AsyncConnection, device: str) -> list[Pending]:
    """What waits in a device, in order of acceptance."""
    query = select(request_table.c.sequence).where(
        request_table.c.target == device,
        request_table.c.state == State.SCHEDULED.value,
        request_table.c.cos_party.is_(None),
        request_table.c.command.is_not(None),
    )
    rows = await conn.execute(query.order_by(request_table.c.sequence))
    found = []
    for sequence in rows.scalars().all():
        tracked = await store.get_request(conn, sequence)
        update = sent(tracked)
        if update is not None:
            found.append(Pending(tracked, role_of(update)))
    return found


async def drop(base: Foundation, conn: AsyncConnection, tracked: Tracked, why: str) -> None:
    """End a request whose command is gone from its device. Its user has had the device's answer."""
    await store.refuse(conn, tracked.sequence, State.FAILED, Refusal(PARTY, GONE, why))
    await base.traces.record(tracked.request_id, "superseded", summary=why, conn=conn)
    base.database.on_commit(lambda: base.changes.notify(tracked.request_id))


async def drop_replaced(
    base: Foundation, conn: AsyncConnection, tracked: Tracked, update: UpdateCredentials
) -> None:
    """Of what was to wait in the device for one role, whatever is not the newest is gone.

    Args:
        base: the chassis parts.
        conn: the transaction in which the request is settled, after it is.
        tracked: a request whose dated or cancelling command the device accepted.
        update: that command's payload.
    """
    for other in await waiting_in(conn, tracked.target):
        if other.role != role_of(update) or other.tracked.sequence == tracked.sequence:
            continue
        # An acceptance may come late: the device heard this command before the other.
        newer = other.tracked.sequence > tracked.sequence
        if newer and update.execution_date_time == CANCEL_EXECUTION:
            continue
        gone, by = (tracked, other.tracked) if newer else (other.tracked, tracked)
        await drop(base, conn, gone, f"its place was taken by {by.request_id}")


async def drop_orphans(
    base: Foundation,
    conn: AsyncConnection,
    tracked: Tracked,
    before: DeviceRecord | None,
    changed: Mapping[str, Certificate],
) -> None:
    """What waited in the device for a role whose signing certificate is another now is gone.

    Args:
        base: the chassis parts.
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
        await drop(base, conn, earlier.tracked, why)
