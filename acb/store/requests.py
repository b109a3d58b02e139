"""The broker's tables for service requests under way, and how they are read and written.

The tables of users, devices and certificates are in `acb.store.records`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    func,
    select,
    text,
)

from acb.model import UNDER_WAY, Refusal, State, Tracked
from acb.store.tables import digits, number, tables
from services.chassis.data import rolling, rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.prepared import Prepared, param
from services.chassis.data.store import UtcDateTime
from services.chassis.log import about

_has_date: Final = text("execution IS NOT NULL")
request_table: Final = Table(
    "acb_request",
    tables,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("request_id", Text, nullable=False, index=True),
    Column("originator", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("counter", Text, nullable=False),
    Column("service_reference", Text, nullable=False),
    Column("service_reference_variant", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
    Column("state", Text, nullable=False, index=True),
    Column("transaction_id", Text, nullable=False, unique=True),
    Column("cos_party", Text),
    Column("acknowledgement", LargeBinary),
    Column("signed_command", LargeBinary),
    Column("command", LargeBinary),
    Column("command_counter", Text),
    Column("device_response", LargeBinary),
    Column("response", LargeBinary),
    Column("response_code", Text),
    Column("refused_party", Text),
    Column("refused_check", Text),
    Column("refused_detail", Text),
    Column("refused_code", Text),
    Column("execution", Text),
    Column("attempts", Integer, nullable=False),
    Column("quarantine_ref", Integer, unique=True),
    Column("turn", Integer, unique=True),
    Index("acb_request_recent", "accepted_at"),
    Index("acb_request_recent_of", "originator", "accepted_at"),
    Index("acb_request_counters", "target", "originator", "counter"),
    Index("acb_request_turns", "target", "originator", "turn"),
    Index("acb_request_states", "target", "state", "originator"),
    Index("acb_request_commands", "target", "command_counter"),
    Index(
        "acb_request_dated",
        "target",
        "sequence",
        sqlite_where=_has_date,
        postgresql_where=_has_date,
    ),
)
"""One row per request that was accepted (or quarantined): its identifier and counter are spent. The
body is empty once a request has given way to others in quarantine (`acb.steps.quarantine`).

That an identifier is spent once is the business of the check `acb.request.duplicate`, made in the
transaction that adds the row; it is not a constraint here, so that switching the check off shows
what the check is for. `execution` is a command's date, as it stands there.
`sequence` names a row. `turn` is the order in which requests were given their devices: a request
holds its device from its turn until it ends or waits for a date.
"""

refused_table: Final = Table(
    "acb_refused",
    tables,
    Column("request_id", Text, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("party", Text, nullable=False),
    Column("check_id", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("code", Text),
    Column("response", LargeBinary, nullable=False),
)
"""The last refusal of each request that was not accepted: it changes nothing, it is shown."""

notice_table: Final = Table(
    "acb_notice",
    tables,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("user", Text, nullable=False, index=True),
    Column("code", Text, nullable=False),
    Column("sequence", Integer, ForeignKey(request_table.c.sequence)),
    Column("document", LargeBinary, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
)
"""Every signed document for a user: responses and DCC alerts."""

_ALL: Final = "*"
_BEYOND: Final = 2**62
_c: Final = request_table.c
_here: Final = _c.target == param("for")
_theirs: Final = _c.originator == param("from")
_under_way: Final = _c.state.in_([state.value for state in UNDER_WAY])
_waits: Final = _c.state == State.ACCEPTED.value
_recent: Final = (_c.accepted_at > param("after"), _c.accepted_at < param("until"))
_BETWEEN: Final = Prepared(select(func.count()).where(*_recent))
_BETWEEN_OF: Final = Prepared(select(func.count()).where(*_recent, _theirs))
_LAST_COUNTER: Final = Prepared(
    select(func.max(_c.counter)).where(_here, _theirs, _c.sequence < param("before"))
)
_BUSY: Final = Prepared(
    select(_c.sequence).where(_here, _under_way | (_waits & _c.turn.is_not(None))).limit(1)
)
_WAITING: Final = Prepared(
    select(_c.originator, func.min(_c.sequence).label("sequence"))
    .where(_here, _waits)
    .group_by(_c.originator)
)
_LAST_TURNS: Final = Prepared(
    select(_c.originator, func.max(_c.turn).label("turn"))
    .where(_here, _c.turn.is_not(None))
    .group_by(_c.originator)
)
_LAST_TURN: Final = Prepared(select(func.max(_c.turn)))
_OPEN: Final = Prepared(select(func.count()).where(_here, _theirs, _waits | _under_way))
_WITH_COMMAND: Final = Prepared(
    select(request_table)
    .where(_here, _c.command_counter == param("counter"), _c.command.is_not(None))
    .order_by(_c.sequence.desc())
)
_DATED: Final = Prepared(
    select(request_table)
    .where(_here, _c.execution.is_not(None), _c.device_response.is_not(None))
    .order_by(_c.sequence)
)


async def add_request(conn: StoreConnection, *, counter: int, **values: Any) -> Tracked:
    """Spend a request's identifier and counter."""
    row = await rows.add(conn, request_table, counter=digits(counter), attempts=0, **values)
    await rolling.happened(conn, row.accepted_at, _ALL, row.originator)
    return _tracked(row)


async def find_request(conn: StoreConnection, request_id: str) -> Tracked | None:
    """The accepted request with this identifier (the latest, should there be several)."""
    found = await rows.find_all(conn, request_table, request_id=request_id)
    return _tracked(found[-1]) if found else None


async def get_request(conn: StoreConnection, sequence: int) -> Tracked:
    """The accepted request at this place in the sequence, which the caller knows to exist.

    Every step begins with it, so from here on the task's log is about that request.
    """
    tracked = _tracked(await rows.find(conn, request_table, sequence=sequence))
    about(duis_request_id=tracked.request_id)
    return tracked


async def change(conn: StoreConnection, sequence: int, **values: Any) -> Tracked:
    """Change columns of one request; returns it as it is then."""
    if values.get("command_counter") is not None:
        values["command_counter"] = digits(values["command_counter"])
    return _tracked(await rows.change(conn, request_table, {"sequence": sequence}, **values))


async def refuse(conn: StoreConnection, sequence: int, state: State, why: Refusal) -> Tracked:
    """End one request without the act, saying who refused and why."""
    return await change(
        conn,
        sequence,
        state=state.value,
        refused_party=why.party,
        refused_check=why.check,
        refused_detail=why.detail,
        refused_code=why.code,
    )


async def last_counter(
    conn: StoreConnection, originator: str, target: str, *, before: int | None = None
) -> int | None:
    """The greatest request counter accepted from this originator for this device.

    `before` looks only at requests accepted before that place in the sequence.
    """
    among = {"from": originator, "for": target, "before": before or _BEYOND}
    return number((await conn.execute(_LAST_COUNTER, among)).scalar_one())


async def count_since(conn: StoreConnection, since: datetime, originator: str | None = None) -> int:
    """How many requests were accepted after `since`, from one user or from all."""

    async def between(after: datetime, until: datetime) -> int:
        query = _BETWEEN if originator is None else _BETWEEN_OF
        among = {"after": after, "until": until, "from": originator}
        return int((await conn.execute(query, among)).scalar_one())

    return await rolling.since(conn, originator or _ALL, since, between)


async def take_turn(conn: StoreConnection, device: str) -> Tracked | None:
    """Give a device to the next accepted request for it; None if another has it, or none waits.

    Users take turns: next is the first request of the user who had the last turn here longest ago.
    So whoever sends many requests waits behind them alone, right or no right.
    """
    here = {"for": device}
    if (await conn.execute(_BUSY, here)).first() is not None:
        return None
    waiting = (await conn.execute(_WAITING, here)).all()
    if not waiting:
        return None
    sequence = waiting[0].sequence
    if len(waiting) > 1:
        last = {row.originator: row.turn for row in (await conn.execute(_LAST_TURNS, here)).all()}
        sequence = min((last.get(row.originator, 0), row.sequence) for row in waiting)[1]
    taken = (await conn.execute(_LAST_TURN)).scalar_one()
    return await change(conn, sequence, turn=(taken or 0) + 1)


async def count_open(conn: StoreConnection, originator: str, target: str) -> int:
    """How many requests of this user wait for this device or are under way there."""
    return int((await conn.execute(_OPEN, {"for": target, "from": originator})).scalar_one())


async def with_command(conn: StoreConnection, device: str, counter: int) -> list[Tracked]:
    """The requests whose commands went to this device with this counter, the latest first."""
    among = {"for": device, "counter": digits(counter)}
    return [_tracked(row) for row in (await conn.execute(_WITH_COMMAND, among)).all()]


async def dated(conn: StoreConnection, device: str) -> list[Tracked]:
    """Requests whose commands carry a date and were answered by the device, oldest first."""
    return [_tracked(row) for row in (await conn.execute(_DATED, {"for": device})).all()]


async def commanded(conn: StoreConnection, device: str, states: Iterable[State]) -> list[Tracked]:
    """Requests in one of these states whose commands are finished, by device."""
    found = [
        _tracked(row)
        for state in states
        for row in await rows.find_all(conn, request_table, target=device, state=state.value)
        if row.command is not None
    ]
    return sorted(found, key=lambda tracked: tracked.sequence)


async def next_quarantine_ref(conn: StoreConnection) -> int:
    """A reference for a quarantine event: a number of at most 20 digits, never used before."""
    query = select(func.max(request_table.c.quarantine_ref))
    return ((await conn.execute(query)).scalar_one() or 0) + 1


async def quarantined(conn: StoreConnection) -> list[Tracked]:
    """Requests that wait for somebody to release or delete them."""
    return await list_requests(conn, [State.QUARANTINED])


async def quarantined_of(conn: StoreConnection, originator: str) -> list[tuple[int, int]]:
    """What one user has in quarantine: place in the sequence and octets, the oldest first."""
    query = select(request_table.c.sequence, func.length(request_table.c.body)).where(
        request_table.c.originator == originator,
        request_table.c.state == State.QUARANTINED.value,
    )
    found = await conn.execute(query.order_by(request_table.c.sequence))
    return [(int(sequence), int(octets)) for sequence, octets in found]


async def find_quarantined(conn: StoreConnection, reference: int) -> Tracked | None:
    """The quarantined request of this event reference."""
    reference_here = request_table.c.quarantine_ref == reference
    return _latest(await _all(conn, reference_here, _in([State.QUARANTINED])))


async def list_requests(conn: StoreConnection, states: Iterable[State] = ()) -> list[Tracked]:
    """Requests in order of acceptance, all or those in certain states."""
    wanted = list(states)
    return await _all(conn, *[_in(wanted)] if wanted else [])


async def note_refusal(
    conn: StoreConnection, request_id: str, why: Refusal, response: bytes, at: datetime
) -> None:
    """Remember the last refusal of a request that was not accepted."""
    await rows.put(
        conn,
        refused_table,
        {"request_id": request_id},
        at=at,
        party=why.party,
        check_id=why.check,
        detail=why.detail,
        code=why.code,
        response=response,
    )


async def find_refusal(conn: StoreConnection, request_id: str) -> Any | None:
    """The last refusal of a request that was not accepted."""
    return await rows.find(conn, refused_table, request_id=request_id)


async def add_notice(
    conn: StoreConnection,
    *,
    user: str,
    code: str,
    document: bytes,
    at: datetime,
    sequence: int | None = None,
) -> int:
    """Keep a signed document for a user; returns its number."""
    row = await rows.add(
        conn, notice_table, user=user, code=code, sequence=sequence, document=document, at=at
    )
    return int(row.id)


async def get_notice(conn: StoreConnection, number: int) -> Any:
    """A document for a user."""
    return await rows.find(conn, notice_table, id=number)


async def list_notices(conn: StoreConnection, user: str | None = None) -> list[Row[Any]]:
    """Documents for users, delivered or not, oldest first."""
    query = select(notice_table).order_by(notice_table.c.id)
    if user is not None:
        query = query.where(notice_table.c.user == user)
    return list((await conn.execute(query)).all())


async def notice_delivered(conn: StoreConnection, number: int, at: datetime) -> None:
    """Note that the user took the document."""
    await rows.change(conn, notice_table, {"id": number}, delivered_at=at)


def _in(states: Iterable[State]) -> ColumnElement[bool]:
    return request_table.c.state.in_([state.value for state in states])


async def _all(conn: StoreConnection, *where: ColumnElement[bool]) -> list[Tracked]:
    """The requests for which this holds, in order of acceptance."""
    query = select(request_table).where(*where).order_by(request_table.c.sequence)
    return [_tracked(row) for row in await conn.execute(query)]


def _latest(found: list[Tracked]) -> Tracked | None:
    return found[-1] if found else None


def _tracked(row: Any) -> Tracked:
    refusal = (
        None
        if row.refused_check is None
        else Refusal(row.refused_party, row.refused_check, row.refused_detail, row.refused_code)
    )
    return Tracked(
        request_id=row.request_id,
        sequence=row.sequence,
        originator=row.originator,
        target=row.target,
        counter=int(row.counter),
        service_reference=row.service_reference,
        service_reference_variant=row.service_reference_variant,
        state=State(row.state),
        transaction=row.transaction_id,
        cos_party=row.cos_party,
        body=row.body,
        acknowledgement=row.acknowledgement,
        signed_command=row.signed_command,
        command=row.command,
        command_counter=number(row.command_counter),
        device_response=row.device_response,
        response=row.response,
        response_code=row.response_code,
        refusal=refusal,
        attempts=row.attempts,
        quarantine_ref=row.quarantine_ref,
        accepted_at=row.accepted_at,
        turn=row.turn,
    )
