"""What a CoS Party remembers. Every function works in the caller's transaction.

The intent to sign (counter and exact bytes) is committed before the key is used; the signed
command is kept beside it. A repeated request finds it here and gets the same command again.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert

from cos_party.model import (
    ChangeRequest,
    DatedChange,
    Decided,
    Earlier,
    Incoming,
    Intent,
    ReturnEvidence,
    SignedCommandRecord,
    Thresholds,
)
from cos_party.store.tables import (
    asked,
    cells,
    commands,
    decisions,
    returns,
    thresholds,
    transactions,
)
from gbcs.codes import Cra, StatusCode
from gbcs.message import Message
from gbcs.payloads.credentials import CellId, CredentialsOutcome
from gbcs.payloads.details import RoleDetails
from services.chassis.data import rolling, rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param

BY_BROKER: Final = "read back by the broker"
"""Status of a cell that is known by the broker's word alone; else it is the device's own."""

_ALL: Final = "*"
_c: Final = commands.c
_recent: Final = (_c.intended_at > param("after"), _c.intended_at < param("until"))
_BETWEEN: Final = Prepared(select(func.count()).where(*_recent))
_BETWEEN_OF: Final = Prepared(select(func.count()).where(*_recent, _c.requester == param("from")))
_INTENT: Final = Prepared(
    select(commands, asked.c.displaces)
    .outerjoin(asked, asked.c.digest == _c.digest)
    .where(_c.digest == param("of"))
)
_SAME_ID: Final = Prepared(
    select(_c.digest, _c.intended_at).where(_c.request_id == param("id")).order_by(_c.counter)
)
_LAST_COUNTER: Final = Prepared(
    select(func.max(asked.c.request_counter)).where(
        asked.c.device == param("for"),
        asked.c.requester == param("from"),
        asked.c.digest != param("but"),
    )
)
_DATED: Final = Prepared(
    select(_c.request_id, asked)
    .join(commands, _c.digest == asked.c.digest)
    .where(
        asked.c.device == param("for"),
        asked.c.digest != param("but"),
        or_(asked.c.execute_at.is_not(None), asked.c.withdraws),
    )
    .order_by(_c.counter)
)
_SIGNED: Final = Prepared(
    update(commands).where(_c.digest == param("of"), _c.command.is_(None)),
    *("command", "signed_at"),
)
_COMMAND: Final = Prepared(select(_c.command).where(_c.digest == param("of")))
_OF_TRANSACTION: Final = Prepared(
    select(commands)
    .join(transactions, transactions.c.digest == _c.digest)
    .where(transactions.c.transaction == param("named"), _c.command.is_not(None))
)
_LAST_ALERT: Final = Prepared(
    select(func.max(returns.c.counter)).where(
        returns.c.device == param("from"), returns.c.is_alert == 1
    )
)


def digits(counter: int) -> str:
    """A counter of 64 unsigned bits, which no database integer holds: as 20 decimal digits."""
    return f"{counter:020d}"


async def intent_for(conn: StoreConnection, digest: str) -> Intent | None:
    """The intent recorded for exactly these bytes of a service request."""
    row = (await conn.execute(_INTENT, {"of": digest})).one_or_none()
    return None if row is None else _intent(row)


async def transaction_digest(conn: StoreConnection, transaction: str) -> str | None:
    """Digest of the request this transaction was first seen with."""
    row = await rows.find(conn, transactions, transaction=transaction)
    return None if row is None else str(row.digest)


async def earlier(
    conn: StoreConnection,
    *,
    digest: str,
    request_id: str | None,
    transaction: str,
    requester: str | None,
    device: str | None,
    since: datetime,
) -> Earlier:
    """What is known of the same request, transaction, requester and device.

    Counted are commands intended since `since`, except for this very request: an intent left by a
    crash is judged again without standing in its own way.
    """
    same_id = (await conn.execute(_SAME_ID, {"id": request_id})).all()
    own = next((row for row in same_id if row.digest == digest), None)
    itself = int(own is not None and own.intended_at > since)

    async def between(after: datetime, until: datetime) -> int:
        among = {"after": after, "until": until}
        return int((await conn.execute(_BETWEEN, among)).scalar_one())

    async def theirs_between(after: datetime, until: datetime) -> int:
        among = {"after": after, "until": until, "from": requester}
        return int((await conn.execute(_BETWEEN_OF, among)).scalar_one())

    total = await rolling.since(conn, _ALL, since, between)
    of_requester = await rolling.since(conn, requester or "", since, theirs_between)
    return Earlier(
        request_digest=own.digest if own else next((row.digest for row in same_id), None),
        transaction_digest=await transaction_digest(conn, transaction),
        signed_for_requester=of_requester - itself,
        signed_in_total=total - itself,
        last_counter=await _last_counter(conn, digest, requester, device),
        dated=await dated(conn, digest, device),
        requesters=1 + await rolling.others_since(conn, since, _ALL, requester or ""),
    )


async def _last_counter(
    conn: StoreConnection, digest: str, requester: str | None, device: str | None
) -> int | None:
    among = {"but": digest, "from": requester, "for": device}
    found = (await conn.execute(_LAST_COUNTER, among)).scalar_one()
    return None if found is None else int(found)


async def dated(conn: StoreConnection, digest: str, device: str | None) -> tuple[DatedChange, ...]:
    """Dated changes and withdrawals signed for a device, those of one digest apart, in order."""
    found = (await conn.execute(_DATED, {"but": digest, "for": device})).all()
    displaced = {name for row in found for name in json.loads(row.displaces)}
    return tuple(
        DatedChange(row.request_id, row.requester, row.mpxn, row.execute_at)
        for row in found
        if row.request_id not in displaced
    )


async def note_transaction(conn: StoreConnection, transaction: str, digest: str) -> None:
    """Remember which request a transaction asks for: the one approved last.

    That it is also the first is for `request.duplicate` to see to.
    """
    await rows.put(conn, transactions, {"transaction": transaction}, digest=digest)


async def record_intent(conn: StoreConnection, intent: Intent, request: ChangeRequest) -> None:
    """Record what is about to be signed (counter, bytes, their digest), and what was asked."""
    body = request.body
    await rows.add(
        conn,
        asked,
        digest=intent.digest,
        requester=intent.requester,
        device=intent.device,
        request_counter=digits(request.header.request_id.counter),
        mpxn=body.import_mpxn,
        execute_at=None if body.cancels else body.execution_date_time,
        withdraws=body.cancels,
        displaces=json.dumps(intent.displaces),
    )
    await rows.add(
        conn,
        commands,
        request_id=intent.request_id,
        digest=intent.digest,
        requester=intent.requester,
        device=intent.device,
        counter=intent.counter,
        intended_at=intent.intended_at,
        pre_command=intent.pre_command,
        pre_command_digest=hashlib.sha256(intent.pre_command).hexdigest(),
    )
    await rolling.happened(conn, intent.intended_at, _ALL, intent.requester)


async def record_signed(conn: StoreConnection, digest: str, command: bytes, at: datetime) -> bytes:
    """Keep the signed command; if one is kept already, that one stays and is returned."""
    await conn.execute(_SIGNED, {"of": digest, "command": command, "signed_at": at})
    kept: bytes = (await conn.execute(_COMMAND, {"of": digest})).scalar_one()
    return kept


async def signed_command(conn: StoreConnection, transaction: str) -> SignedCommandRecord | None:
    """The command signed for a transaction, if there is one."""
    row = (await conn.execute(_OF_TRANSACTION, {"named": transaction})).one_or_none()
    if row is None:
        return None
    return SignedCommandRecord(
        transaction, row.request_id, row.requester, row.device, row.counter, row.command
    )


async def record_decision(
    conn: StoreConnection,
    incoming: Incoming,
    at: datetime,
    outcome: Decided,
    **facts: str | int | None,
) -> None:
    """Add one decision to the list operators see.

    `facts` are the columns `request_id`, `requester`, `device`, `counter`, and of a refusal
    `check`, `code` and `detail`, as far as they are known.
    """
    await rows.add(
        conn,
        decisions,
        at=at,
        purpose=incoming.purpose,
        transaction=incoming.transaction,
        digest=incoming.digest,
        outcome=outcome.value,
        **facts,
    )


async def list_decisions(
    conn: StoreConnection, *, after: int, limit: int, transaction: str | None = None
) -> list[dict[str, Any]]:
    """Decisions in the order taken, as JSON-ready values."""
    query = select(decisions).where(decisions.c.id > after).order_by(decisions.c.id).limit(limit)
    if transaction is not None:
        query = query.where(decisions.c.transaction == transaction)
    found = (await conn.execute(query)).mappings().all()
    return [{**row, "at": row["at"].isoformat()} for row in found]


async def read_thresholds(conn: StoreConnection) -> Thresholds | None:
    """The thresholds an operator set, or None while the settings' hold."""
    row = await rows.find(conn, thresholds)
    return None if row is None else Thresholds.of(row.window_seconds, row.per_requester, row.total)


async def write_thresholds(conn: StoreConnection, new: Thresholds | None) -> None:
    """Set the thresholds; None takes an operator's away, so that the settings' hold again."""
    await conn.execute(thresholds.delete())
    if new is not None:
        await conn.execute(
            insert(thresholds).values(
                one=1,
                window_seconds=int(new.window.total_seconds()),
                per_requester=new.per_requester,
                total=new.total,
            )
        )


async def known_return(
    conn: StoreConnection, *, digest: str, purpose: str, transaction: str
) -> str | None:
    """What was recorded for exactly these bytes under this transaction, as JSON text."""
    key = {"digest": digest, "purpose": purpose, "transaction": transaction}
    row = await rows.find(conn, returns, **key)
    return None if row is None else str(row.outcome)


async def last_alert_counter(conn: StoreConnection, device: str) -> int | None:
    """The highest counter of an alert taken from this device."""
    found = (await conn.execute(_LAST_ALERT, {"from": device})).scalar_one()
    return None if found is None else int(found)


async def record_return(
    conn: StoreConnection, evidence: ReturnEvidence, message: Message, said: dict[str, Any]
) -> None:
    """Keep what a device answered; `said` is what it amounts to, as JSON-ready values."""
    incoming, header = evidence.incoming, message.header
    await rows.add(
        conn,
        returns,
        digest=incoming.digest,
        purpose=incoming.purpose,
        transaction=incoming.transaction,
        device=header.originator,
        counter=digits(header.counter),
        is_alert=int(header.cra == Cra.ALERT),
        at=evidence.at,
        outcome=json.dumps(said),
    )


async def record_cells(
    conn: StoreConnection,
    evidence: ReturnEvidence,
    device: str,
    outcome: CredentialsOutcome,
) -> None:
    """Note what each cell of the outcome holds now, by the device's own word.

    For a cell that failed the device reports what it still holds (docs/sources.md#outcomes).
    """
    for cell in outcome.outcomes:
        status = StatusCode(cell.status).label
        held = cell.replacing_subject, cell.replacing_key_id
        await _record_cell(conn, evidence, device, cell.cell.name, held=held, status=status)


async def record_read_back(
    conn: StoreConnection,
    evidence: ReturnEvidence,
    device: str,
    command: SignedCommandRecord,
    told: RoleDetails,
) -> None:
    """Note what cells hold by the broker's word that the device said so, marked as that.

    Not where the device's own signed word about this command, or anything about a later one, is
    on record: that counts for more.
    """
    later = (
        select(transactions.c.transaction)
        .join(commands, commands.c.digest == transactions.c.digest)
        .where(commands.c.device == device, commands.c.counter > command.counter)
    )
    transaction = evidence.incoming.transaction
    stronger = or_(
        and_(cells.c.transaction == transaction, cells.c.status != BY_BROKER),
        cells.c.transaction.in_(later),
    )
    query = select(cells.c.cell).where(cells.c.device == device, stronger)
    settled = set((await conn.execute(query)).scalars())
    for item in told.held or ():
        name = CellId(told.role, item.key_usage, item.cell_usage).name
        if name not in settled:
            held = item.subject, item.key_id
            await _record_cell(conn, evidence, device, name, held=held, status=BY_BROKER)


async def _record_cell(
    conn: StoreConnection,
    evidence: ReturnEvidence,
    device: str,
    name: str,
    *,
    held: tuple[bytes, bytes],
    status: str,
) -> None:
    subject, key_identifier = held
    values = {
        "subject": subject.hex(),
        "key_identifier": key_identifier.hex(),
        "status": status,
        "at": evidence.at,
        "transaction": evidence.incoming.transaction,
    }
    await rows.put(conn, cells, {"device": device, "cell": name}, **values)


async def device_cells(conn: StoreConnection, device: str) -> dict[str, dict[str, Any]]:
    """What this party knows of a device's cells, as JSON-ready values by cell name."""
    found = await rows.find_all(conn, cells, device=device)
    return {
        row.cell: {
            "subject": row.subject,
            "key_identifier": row.key_identifier,
            "status": row.status,
            "at": row.at.isoformat(),
            "transaction": row.transaction,
        }
        for row in found
    }


def _intent(row: Any) -> Intent:
    return Intent(
        request_id=row.request_id,
        digest=row.digest,
        requester=row.requester,
        device=row.device,
        counter=row.counter,
        intended_at=row.intended_at,
        pre_command=row.pre_command,
        command=row.command,
        displaces=tuple(json.loads(row.displaces or "[]")),
    )
