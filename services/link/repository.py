"""The SMKI repository as every party reads it: its questions, and the lists that are kept of it.

The repository is a place to look things up, not one to be believed. A list is kept only if one of
the authorities in the party's trust folder signed it, under that authority's name and key, and
never in place of a newer one (`services.link.revocation_lists`); so a lie leaves nothing behind.
What it can do is withhold: lists that could not be refreshed make a party unready, and no longer
count once that has lasted (`RevocationCopies.unrefreshed`).

What it leaves to each party: which certificates it keeps, and what a list means for one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import structlog
from pydantic import Field
from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, func, select

from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import KeysError
from services.chassis.data import rows
from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database, UtcDateTime
from services.chassis.settings import SOURCE_LEASE, SOURCE_SECONDS
from services.chassis.time.clock import Clock
from services.chassis.time.freshness import Freshness
from services.chassis.time.leases import Lease
from services.chassis.time.sharing import Shared
from services.link.authorities import Authorities
from services.link.bodies import Strict, Version, octets, text
from services.link.revocation_lists import pull_lists
from services.link.sources import (
    LinkCall,
    SourceRefused,
    SourceUnavailable,
    ask,
)

_log = structlog.get_logger(__name__)

metadata: Final = MetaData()

lists_table: Final = Table(
    "smki_revocation_list",
    metadata,
    Column("authority", Text, primary_key=True),
    Column("number", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("fetched_at", UtcDateTime, nullable=False),
)
"""By the authority that signed it (`Certificate.authority_id`).

The number is text: it may have 20 octets (RFC 5280 5.2.3), which no database integer holds.
`fetched_at` is when the repository last brought it or, where age counts, called it current."""

_OLDEST: Final = select(func.min(lists_table.c.fetched_at))


class CertificatesAnswer(Strict):
    """The answer to `smki-certificates`: certificates as DER in base64."""

    version: Version
    certificates: list[Annotated[str, Field(max_length=400_000)]]


class RevocationAnswer(Strict):
    """The answer to `smki-revocation`: lists by name; null where the known one is current."""

    version: Version
    lists: dict[str, Annotated[str, Field(max_length=8 * 1024 * 1024)] | None]
    lease: Annotated[float, Field(ge=0, strict=False)] = 0.0


@dataclass(frozen=True, slots=True)
class Lists:
    """What the repository said about its lists, not verified yet.

    Attributes:
        lists: DER by the repository's names; None where the known one is current.
        lease: seconds for which this is its word.
    """

    lists: Mapping[str, bytes | None]
    lease: float = 0.0


class RepositoryClient:
    """The repository's two questions.

    Args:
        link: the repository.
        seconds: the longest that one question about certificates waits.
    """

    def __init__(self, link: LinkCall, seconds: float = SOURCE_SECONDS) -> None:
        self._link = link
        self._seconds = seconds

    async def certificates_named(self, issuer: str, serial: int) -> tuple[bytes, ...]:
        """The certificates of that issuer and serial number, DER.

        Raises:
            SourceUnavailable: the repository gave no answer that can be used.
        """
        return await self._certificates(
            {"by": "issuer_serial", "issuer": issuer, "serial": str(serial)}
        )

    async def certificates_of(self, eui: str) -> tuple[bytes, ...]:
        """The certificates of an entity, DER.

        Raises:
            SourceUnavailable: the repository gave no answer that can be used.
        """
        return await self._certificates({"by": "eui", "eui": eui})

    async def revocation_lists(self, known: Mapping[str, int], *, lease: bool) -> Lists:
        """The revocation lists; `known` are the numbers held, by the repository's names.

        Raises:
            SourceRefused: the repository refused the question.
            SourceUnavailable: the repository gave no answer that can be used.
        """
        body: dict[str, Any] = {"version": 1, "known": dict(known)}
        if lease:
            body["lease"] = True
        return await ask(self._link, "smki-revocation", body, _lists)

    async def _certificates(self, question: dict[str, str]) -> tuple[bytes, ...]:
        try:
            async with asyncio.timeout(self._seconds):
                return await ask(
                    self._link, "smki-certificates", {"version": 1, **question}, _certificates
                )
        except TimeoutError:
            raise SourceUnavailable(f"no answer within {self._seconds:g} s") from None


def _lists(body: Mapping[str, Any]) -> Lists:
    answer = RevocationAnswer.model_validate_json(json.dumps(dict(body)))
    return Lists({n: None if t is None else _octets(t) for n, t in answer.lists.items()},
                 answer.lease)  # fmt: skip


def _certificates(body: Mapping[str, Any]) -> tuple[bytes, ...]:
    answer = CertificatesAnswer.model_validate_json(json.dumps(dict(body)))
    return tuple(_octets(item) for item in answer.certificates)


def _octets(carried: str) -> bytes:
    data = octets(carried)
    if text(data) != carried:
        raise ValueError("not the one way to write these octets in base64")
    return data


def readable(found: tuple[bytes, ...]) -> list[Certificate]:
    """Those that are certificates, each once; what is none is passed over, with a word."""
    certificates: dict[Certificate, None] = {}
    for der in found:
        try:
            certificates[Certificate.from_der(der)] = None
        except KeysError as error:
            _log.warning("certificate not readable", reason=str(error))
    return list(certificates)


async def read_lists(conn: StoreConnection) -> dict[str, RevocationList]:
    """Every list kept, by authority."""
    return {row.authority: read_crl(row.der) for row in await rows.find_all(conn, lists_table)}


async def keep_list(conn: StoreConnection, item: RevocationList, at: datetime) -> None:
    """Keep a genuine list in place of an older one; never of a newer one."""
    key = {"authority": item.authority_id}
    held = await rows.find(conn, lists_table, **key)
    if held is not None and item.number < int(held.number):
        return
    values = {"number": str(item.number), "der": item.der, "fetched_at": at}
    await rows.put(conn, lists_table, key, **values)


class RevocationCopies:
    """The lists that one party keeps: read from its store once, asked for when they must be.

    Args (keyword):
        repository: who is asked.
        database: the party's store.
        trust: whose lists count.
        clock: by which failures last, and copies age.
        patience: for how long lists serve that cannot be refreshed.
        max_age: how old a copy may be before the repository is asked again; with 0 a lease alone
            spares the question.
        use: told of each list, once: the link itself looks at one of them.
        link_stale: whether that one has run out.
        seconds: the longest that anybody waits for the repository; then the copy serves.
        lease: seconds; the longest lease that is taken.
    """

    def __init__(
        self,
        *,
        repository: RepositoryClient,
        database: Database,
        trust: Authorities,
        clock: Clock,
        patience: timedelta,
        max_age: timedelta = timedelta(),
        use: Callable[[RevocationList], None] = lambda _: None,
        link_stale: Callable[[], bool] = lambda: False,
        seconds: float = SOURCE_SECONDS,
        lease: float = SOURCE_LEASE,
    ) -> None:
        self._repository = repository
        self._database = database
        self._trust = trust
        self._clock = clock
        self._patience = patience
        self._max_age = max_age
        self._use = use
        self._link_stale = link_stale
        self._seconds = seconds
        self.lease = Lease(lease)
        self.freshness = Freshness("revocation lists", clock)
        self._pulls = Shared(self._pull, seconds=seconds)
        self._kept: dict[str, RevocationList] | None = None
        self._fetched_at: datetime | None = None

    @property
    def lists(self) -> tuple[RevocationList, ...]:
        """Every list held, read already. After `recall` or `current`."""
        return tuple((self._kept or {}).values())

    def needs_refresh(self) -> bool:
        """Whether the lists should be asked for again although nobody asks anything."""
        return self.freshness.failing() is not None or self._link_stale()

    def not_ready(self) -> list[str]:
        """Why the lists are not known to be current; nothing if they are, as far as was asked."""
        failing = self.freshness.failing()
        said = [] if failing is None else [failing]
        if self._link_stale():
            said.append("the revocation list of link certificates has run out")
        return said

    def unrefreshed(self) -> str | None:
        """Why the lists no longer count, however long they say they hold; or None."""
        return self.freshness.outdated(self._patience)

    async def recall(self) -> dict[str, RevocationList]:
        """Use the lists that are kept already: after a start, before anybody has answered."""
        if self._kept is None:
            async with self._database.connect() as conn:
                kept = await read_lists(conn)
                self._fetched_at = (await conn.execute(_OLDEST)).scalar_one()
            if self._kept is None:
                self._kept = {}
                self._hold(kept)
        return self._kept

    async def current(self) -> str:
        """Bring the lists up to date, if they are not known to be; how that went, in words.

        If the repository cannot be asked, or what it says is not to be believed, the copy serves:
        a list says itself until when, and `unrefreshed` whether that has gone on for too long.
        """
        kept = await self.recall()
        if not self.needs_refresh() and (self.lease.holds() or (kept and self._young())):
            return "the lists held are current"
        try:
            return await self._pulls.get()
        except TimeoutError:
            return self._missing(f"no answer within {self._seconds:g} s")

    def _young(self) -> bool:
        """Whether the age of the copy alone spares the question."""
        if self._fetched_at is None:
            return False
        # below zero: the machine's clock was put right since, and nobody knows how old a copy is
        return timedelta() <= self._clock.now() - self._fetched_at < self._max_age

    def _missing(self, why: str) -> str:
        said = f"the SMKI repository was not available ({why})"
        self.freshness.settle([said])
        return said

    async def _pull(self) -> str:
        """Ask for the lists anew, keep what is newer, and say how it went."""
        held = {key: item.number for key, item in (await self.recall()).items()}
        asked, granted = self.lease.asking(), [0.0]

        async def question(known: Mapping[str, int]) -> Mapping[str, bytes | None]:
            answer = await self._repository.revocation_lists(known, lease=self.lease.most > 0)
            granted[0] = answer.lease
            return answer.lists

        try:
            offered = await pull_lists(question, SourceRefused, self._trust, held)
        except SourceUnavailable as error:
            return self._missing(str(error))
        newer = {k: item for k, item in offered.lists.items() if item.number > held.get(k, -1)}
        now = self._clock.now()
        if newer or self._max_age:
            async with self._database.begin() as conn:
                for key in offered.current if self._max_age else ():
                    await rows.change(conn, lists_table, {"authority": key}, fetched_at=now)
                for item in newer.values():
                    await keep_list(conn, item, now)
        self._hold(newer)
        self.freshness.settle(offered.missing)
        if not offered.missing:
            self._fetched_at = now
            self.lease.begin(asked, granted[0])
        taken = ", ".join(item.issuer for item in newer.values()) or "none newer"
        return "; ".join([f"lists taken: {taken}", *offered.missing])

    def _hold(self, newer: Mapping[str, RevocationList]) -> None:
        """Judge by these from now on; one that was overtaken on its way stays behind."""
        kept = self._kept = dict(self._kept or {})
        for key, item in newer.items():
            if key not in kept or item.number > kept[key].number:
                kept[key] = item
                self._use(item)
