"""Certificates and revocation lists from the SMKI repository, over the signed link, kept here.

The repository is a place to look things up, not one to be believed: a certificate it sends counts
only through the path to the broker's own anchor, a revocation list only through its signature.
What it can do is withhold; therefore a revocation list that has become stale refuses (see
`keys.path`), and an unreachable repository delays a request rather than letting it through.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol
from uuid import uuid4

import structlog

from acb import records
from keys.certificate import Certificate
from keys.crl import RevocationList, read_crl
from keys.errors import CertificateError, RevocationListError
from services.chassis.clock import Clock
from services.chassis.store import Database
from services.link.errors import LinkCallError

_log = structlog.get_logger(__name__)


class LinkCall(Protocol):
    """One peer on the signed link: what `services.link.client.LinkClient` offers."""

    async def call(self, path: str, purpose: str, message_id: str, body: dict[str, Any]) -> Any:
        """Send one request and give the verified answer."""
        ...


class RepositoryUnavailable(Exception):  # noqa: N818 - says what happened to the repository
    """The repository could not be asked, and nothing kept here answers the question."""


class Smki:
    """The broker's view of the SMKI repository."""

    def __init__(
        self,
        link: LinkCall,
        database: Database,
        clock: Clock,
        max_age: timedelta,
        heed: Callable[[RevocationList], None] = lambda _: None,
    ) -> None:
        """Ask over `link`; `heed` is told of each list: the link itself looks at one of them."""
        self._link = link
        self._database = database
        self._clock = clock
        self._max_age = max_age
        self._heed = heed
        self._told: Sequence[bytes] = ()

    async def certificate(self, issuer: str, serial: int) -> Certificate | None:
        """The certificate of that issuer and serial; None if the repository has none.

        Raises:
            RepositoryUnavailable: it is not kept here and the repository cannot be asked.
        """
        async with self._database.connect() as conn:
            kept = await records.find_certificate(conn, issuer, serial)
        if kept is not None:
            return kept
        answer = await self._ask(
            "smki-certificates",
            {"version": 1, "by": "issuer_serial", "issuer": issuer, "serial": str(serial)},
        )
        for item in _list(answer.get("certificates")):
            certificate = _certificate(item)
            if certificate and (certificate.issuer, certificate.serial) == (issuer, serial):
                async with self._database.begin() as conn:
                    await records.keep_certificate(conn, certificate)
                return certificate
        return None

    async def revocation_lists(self) -> tuple[bytes, ...]:
        """The revocation lists known, DER, asked for again when the copy is old.

        If the repository cannot be asked, the copy serves: a list says itself until when.
        """
        async with self._database.connect() as conn:
            kept = await records.revocation_lists(conn)
        self._tell([row.list for row in kept.values()])
        now = self._clock.now()
        ages = [now - row.fetched_at for row in kept.values()]
        # below zero: the machine's clock was put right since, and nobody knows how old a copy is
        if ages and all(timedelta() <= age < self._max_age for age in ages):
            return tuple(row.list for row in kept.values())
        known = {name: int(row.number) for name, row in kept.items()}
        try:
            answer = await self._ask("smki-revocation", {"version": 1, "known": known})
        except RepositoryUnavailable:
            _log.warning("revocation lists could not be refreshed", kept=len(kept))
            return tuple(row.list for row in kept.values())
        async with self._database.begin() as conn:
            # read again: another request may have fetched a newer list while this one waited
            kept = await records.revocation_lists(conn)
            known = {name: int(row.number) for name, row in kept.items()}
            lists = {name: row.list for name, row in kept.items()}
            for name, text in sorted(_table(answer.get("lists")).items()):
                octets = lists.get(name) if text is None else _octets(text)
                if octets is None:
                    continue
                try:
                    number = read_crl(octets).number
                except RevocationListError:
                    _log.warning("a revocation list cannot be read", name=name)
                    continue
                if number < known.get(name, 0):
                    _log.warning("an older revocation list was offered", name=name)
                    continue
                await records.keep_revocation_list(conn, name, number, octets, now)
                lists[name] = octets
        self._tell(list(lists.values()))
        return tuple(lists.values())

    def _tell(self, lists: Sequence[bytes]) -> None:
        """Let whoever else looks at revocation lists know each that was not told just before."""
        for octets in lists:
            if octets not in self._told:
                self._heed(read_crl(octets))
        self._told = lists

    async def _ask(self, purpose: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._link.call(f"/link/{purpose}", purpose, str(uuid4()), body)
        except LinkCallError as error:
            raise RepositoryUnavailable(str(error)) from error
        return _table(answer.body)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _octets(value: object) -> bytes | None:
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError):
        return None


def _certificate(value: object) -> Certificate | None:
    octets = _octets(value)
    try:
        return None if octets is None else Certificate.from_der(octets)
    except CertificateError:
        return None
