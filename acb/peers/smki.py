"""Certificates and revocation lists from the SMKI repository, over the signed link, kept here.

The repository is a place to look things up, not one to be believed, and nothing that it says is
kept before it is verified. A certificate is kept only if its path leads to the broker's own anchor;
a revocation list only if one of the authorities in the broker's trust folder signed it. It is kept
under that authority's name and key, whatever the repository calls it, and takes the place of an
older one of the same authority. So whatever a lying repository leaves behind is true, and an honest
one that comes after it is used.

What the repository can do is withhold; therefore a revocation list that has become stale refuses
(see `keys.path`), lists that could not be refreshed make the broker unready, and refuse once that
has lasted for longer than a limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import structlog

from acb.peers.smki_answers import RepositoryLists, read_certificates, read_lists, table
from acb.peers.trust import Trust
from acb.store import records
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import PathError
from keys.path import validate_path
from services.chassis.data.store import Database
from services.chassis.settings import SOURCE_SECONDS
from services.chassis.time.clock import Clock
from services.chassis.time.sharing import Shared
from services.link.errors import LinkCallError, PeerRefused

_log = structlog.get_logger(__name__)


class LinkCall(Protocol):
    """One peer on the signed link: what `services.link.client.LinkClient` offers."""

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        """Send one request and give the verified answer."""
        ...


class RepositoryUnavailable(Exception):  # noqa: N818 - says what happened to the repository
    """The repository could not be asked, and nothing kept here answers the question."""


class Smki:
    """The broker's view of the SMKI repository.

    Args:
        link: the repository.
        database: the broker's store.
        clock: the machine's.
        trust: the broker's authorities: what they did not sign is not kept.
        max_age: how old the copy of the lists may be before the repository is asked again.
        patience: for how long copies that cannot be refreshed serve.
        on_list: called with each new list: the link itself looks at one of them.
        link_stale: whether that one has run out.
        seconds: the longest that one question waits for the repository; then the copy serves.
    """

    def __init__(
        self,
        link: LinkCall,
        database: Database,
        clock: Clock,
        trust: Trust,
        *,
        max_age: timedelta,
        patience: timedelta,
        on_list: Callable[[RevocationList], None] = lambda _: None,
        link_stale: Callable[[datetime], bool] = lambda _: False,
        seconds: float = SOURCE_SECONDS,
    ) -> None:
        self._link = link
        self._database = database
        self._clock = clock
        self._trust = trust
        self._max_age = max_age
        self._patience = patience
        self._on_list = on_list
        self._link_stale = link_stale
        self._seconds = seconds
        self._refreshes = Shared(self._refresh, seconds=seconds)
        self._notified: Sequence[bytes] = ()
        self._failing_since: datetime | None = None
        self._failure = ""

    def refresh_due(self) -> bool:
        """Whether the lists should be asked for again although nobody asks anything."""
        return self._failing_since is not None or self._link_stale(self._clock.now())

    async def not_ready(self) -> str | None:
        """Why the lists are not known to be current; None if they are, as far as was asked."""
        if self._failing_since is None:
            stale = self._link_stale(self._clock.now())
            return "the revocation list of link certificates has run out" if stale else None
        since = self._failing_since.isoformat(timespec="seconds")
        return f"revocation lists could not be refreshed since {since}: {self._failure}"

    def unrefreshed(self) -> str | None:
        """Why the lists kept here no longer count, however long they say they hold; or None."""
        since = self._failing_since
        if since is None or self._clock.now() - since <= self._patience:
            return None
        return f"not refreshed since {since.isoformat(timespec='seconds')}: {self._failure}"

    async def certificate(self, issuer: str, serial: int) -> Certificate | None:
        """The certificate of that issuer and serial; None if the repository has none.

        One that does not lead to the broker's anchor is given as it came, so that a check can say
        what is wrong with it, and is not kept; beside one that does, it does not count.

        Raises:
            RepositoryUnavailable: it is not kept here and the repository cannot be asked.
        """
        async with self._database.connect() as conn:
            kept = await records.find_certificate(conn, issuer, serial)
        if kept is not None:
            return kept
        read = await self._certificates(
            {"by": "issuer_serial", "issuer": issuer, "serial": str(serial)}
        )
        named = dict.fromkeys(c for c in read if c and (c.issuer, c.serial) == (issuer, serial))
        authentic = [certificate for certificate in named if self._leads_to_anchor(certificate)]
        if len(authentic) > 1:
            # The authority itself gave one name twice: nobody can say which of them is meant.
            _log.warning("two authentic certificates of one name", issuer=issuer, serial=serial)
            return None
        if not authentic:
            return next(iter(named), None)
        async with self._database.begin() as conn:
            await records.keep_certificate(conn, authentic[0])
        return authentic[0]

    async def fetch_certificates_of(self, eui: str) -> None:
        """Keep the certificates that the repository has for an entity: what is authentic of them.

        Raises:
            RepositoryUnavailable: the repository cannot be asked.
        """
        read = await self._certificates({"by": "eui", "eui": eui})
        named: dict[tuple[str, int], set[Certificate]] = {}
        for certificate in read:
            if certificate is not None and certificate.subject_eui == eui:
                named.setdefault((certificate.issuer, certificate.serial), set()).add(certificate)
        for (issuer, serial), several in named.items():
            authentic = [one for one in several if self._leads_to_anchor(one)]
            async with self._database.begin() as conn:
                kept = await records.find_certificate(conn, issuer, serial)
                if len(authentic) == 1 and kept is None:
                    await records.keep_certificate(conn, authentic[0])

    async def _certificates(self, question: dict[str, str]) -> list[Certificate | None]:
        """What the repository answers to a question for certificates; None: not readable.

        Raises:
            RepositoryUnavailable: it cannot be asked.
        """
        try:
            answer = await self._ask("smki-certificates", {"version": 1, **question})
        except RepositoryUnavailable as error:
            if not isinstance(error.__cause__, PeerRefused):
                self._note_refresh([str(error)])  # the lists are not refreshed by it either
            raise
        return read_certificates(answer.get("certificates"))

    async def revocation_lists(self) -> tuple[bytes, ...]:
        """The revocation lists known, DER, asked for again when the copy is old.

        One refresh serves all who ask before it begins (`services.chassis.time.sharing`). If the
        repository cannot be asked, or what it says is not to be believed, the copy serves: a list
        says itself until when, and `unrefreshed` whether that has gone on for too long.
        """
        async with self._database.connect() as conn:
            kept = await records.revocation_lists(conn)
        self._notify([row.list for row in kept.values()])
        now = self._clock.now()
        ages = [now - row.fetched_at for row in kept.values()]
        # below zero: the machine's clock was put right since, and nobody knows how old a copy is
        young = ages and all(timedelta() <= age < self._max_age for age in ages)
        if young and not self.refresh_due():
            return tuple(row.list for row in kept.values())
        try:
            return await self._refreshes.get()
        except TimeoutError:
            self._note_refresh([f"no answer within {self._seconds:g} s"])
            return tuple(row.list for row in kept.values())

    async def _refresh(self) -> tuple[bytes, ...]:
        """Ask for the lists anew, keep what is newer, and give what is kept then."""
        async with self._database.connect() as conn:
            kept = await records.revocation_lists(conn)
        now = self._clock.now()
        try:
            offered = await self._offered(kept)
        except RepositoryUnavailable as error:
            self._note_refresh([str(error)])
            return tuple(row.list for row in kept.values())
        wanting = list(offered.wanting)
        asked_with = {key: int(row.number) for key, row in kept.items()}
        async with self._database.begin() as conn:
            # read again: another request may have fetched a newer list while this one waited
            kept = await records.revocation_lists(conn)
            for key in offered.current:
                await records.confirm_revocation_list(conn, key, now)
            for key, item in offered.lists.items():
                if item.number < asked_with.get(key, 0):
                    wanting.append(f"an older list of {item.issuer} was offered")
                if key in kept and item.number < int(kept[key].number):
                    continue
                await records.keep_revocation_list(conn, item, now)
            kept = await records.revocation_lists(conn)
        self._note_refresh(wanting)
        lists = tuple(row.list for row in kept.values())
        self._notify(lists)
        return lists

    async def _offered(self, kept: Mapping[str, Any]) -> RepositoryLists:
        """What the repository has now, each list verified and under its own authority's name.

        Raises:
            RepositoryUnavailable: it cannot be asked.
        """
        known = {
            name: int(kept[key].number)
            for name, authority in self._trust.list_authorities.items()
            if (key := authority.authority_id) in kept
        }
        try:
            answer = await self._ask("smki-revocation", {"version": 1, "known": known})
        except RepositoryUnavailable as error:
            if not (known and isinstance(error.__cause__, PeerRefused)):
                raise
            # It does not take what is known here: then everything that it has.
            _log.warning("the repository refused the question", reason=str(error))
            known = {}
            answer = await self._ask("smki-revocation", {"version": 1, "known": {}})
        return read_lists(answer.get("lists"), known, self._trust)

    def _leads_to_anchor(self, certificate: Certificate) -> bool:
        trust = self._trust
        try:
            validate_path(
                certificate, (trust.organisation_issuing,), trust.organisation_root, at=None
            )
        except PathError as error:
            _log.warning("a certificate is not authentic", failure=error.failure.value)
            return False
        return True

    def _note_refresh(self, wanting: Sequence[str]) -> None:
        """Note how the refresh went: what is wanting, or that nothing is."""
        if not wanting:
            self._failing_since, self._failure = None, ""
            return
        self._failure = "; ".join(wanting)
        if self._failing_since is None:
            self._failing_since = self._clock.now()
        _log.warning("revocation lists could not be refreshed", reason=self._failure)

    def _notify(self, lists: Sequence[bytes]) -> None:
        """Let whoever else looks at revocation lists know each that was not told just before."""
        for octets in lists:
            if octets not in self._notified:
                self._on_list(read_crl(octets))
        self._notified = lists

    async def _ask(self, purpose: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._link.call(f"/link/{purpose}", purpose, str(uuid4()), body)
        except LinkCallError as error:
            raise RepositoryUnavailable(str(error)) from error
        except TimeoutError:
            raise RepositoryUnavailable(f"no answer within {self._seconds:g} s") from None
        return table(answer.body)
