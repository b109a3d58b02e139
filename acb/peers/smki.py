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
import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import structlog

from acb.store import records
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import CertificateError, PathError
from keys.path import validate_path
from services.chassis.data.store import Database
from services.chassis.settings import SOURCE_SECONDS
from services.chassis.time.clock import Clock
from services.chassis.time.freshness import Freshness
from services.chassis.time.sharing import Shared
from services.link.authorities import Authorities
from services.link.errors import LinkCallError, PeerRefused
from services.link.revocation_lists import pull_lists

_log = structlog.get_logger(__name__)


class LinkCall(Protocol):
    """One peer on the signed link: what `services.link.client.LinkClient` offers."""

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        """Send one request and give the verified answer."""
        ...


class RepositoryUnavailable(Exception):  # noqa: N818 - says what happened to the repository
    """The repository could not be asked, and nothing kept here answers the question."""


class RepositoryRefused(RepositoryUnavailable):
    """It refused the question itself, in a signed answer: another question may do."""


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
        trust: Authorities,
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
        self._freshness = Freshness("revocation lists", clock)

    def refresh_due(self) -> bool:
        """Whether the lists should be asked for again although nobody asks anything."""
        return self._freshness.failing() is not None or self._link_stale(self._clock.now())

    async def not_ready(self) -> str | None:
        """Why the lists are not known to be current; None if they are, as far as was asked."""
        if (failing := self._freshness.failing()) is not None:
            return failing
        stale = self._link_stale(self._clock.now())
        return "the revocation list of link certificates has run out" if stale else None

    def unrefreshed(self) -> str | None:
        """Why the lists kept here no longer count, however long they say they hold; or None."""
        return self._freshness.outdated(self._patience)

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
        except RepositoryRefused:
            raise
        except RepositoryUnavailable as error:
            self._freshness.settle([str(error)])  # the lists are not refreshed by it either
            raise
        found = answer.get("certificates")
        return [_certificate(item) for item in found] if isinstance(found, list) else []

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
            self._freshness.settle([f"no answer within {self._seconds:g} s"])
            return tuple(row.list for row in kept.values())

    async def _refresh(self) -> tuple[bytes, ...]:
        """Ask for the lists anew, keep what is newer, and give what is kept then."""
        async with self._database.connect() as conn:
            kept = await records.revocation_lists(conn)
        now = self._clock.now()
        held = {key: int(row.number) for key, row in kept.items()}
        try:
            offered = await pull_lists(self._lists, RepositoryRefused, self._trust, held)
        except RepositoryUnavailable as error:
            self._freshness.settle([str(error)])
            return tuple(row.list for row in kept.values())
        async with self._database.begin() as conn:
            # read again: another request may have fetched a newer list while this one waited
            kept = await records.revocation_lists(conn)
            for key in offered.current:
                await records.confirm_revocation_list(conn, key, now)
            for key, item in offered.lists.items():
                if key not in kept or item.number >= int(kept[key].number):
                    await records.keep_revocation_list(conn, item, now)
            kept = await records.revocation_lists(conn)
        self._freshness.settle(offered.missing)
        lists = tuple(row.list for row in kept.values())
        self._notify(lists)
        return lists

    async def _lists(self, known: Mapping[str, int]) -> dict[str, bytes | None]:
        """The lists by the repository's names for them; nothing where one cannot be read.

        Raises:
            RepositoryUnavailable: it cannot be asked.
        """
        answer = await self._ask("smki-revocation", {"version": 1, "known": dict(known)})
        return {
            name: None if text is None else _octets(text)
            for name, text in _table(answer.get("lists")).items()
        }

    def _leads_to_anchor(self, certificate: Certificate) -> bool:
        trust = self._trust
        try:
            validate_path(
                certificate, trust.organisation_authorities, trust.organisation_root, at=None
            )
        except PathError as error:
            _log.warning("a certificate is not authentic", failure=error.failure.value)
            return False
        return True

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
        except PeerRefused as error:
            raise RepositoryRefused(str(error)) from error
        except LinkCallError as error:
            raise RepositoryUnavailable(str(error)) from error
        except TimeoutError:
            raise RepositoryUnavailable(f"no answer within {self._seconds:g} s") from None
        return _table(answer.body)


def _table(value: object) -> dict[str, Any]:
    """An object of JSON; an empty one if it is none."""
    return value if isinstance(value, dict) else {}


def _octets(value: object) -> bytes:
    """What base64 says; nothing if it is none."""
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _certificate(value: object) -> Certificate | None:
    try:
        return Certificate.from_der(_octets(value))
    except CertificateError:
        return None
