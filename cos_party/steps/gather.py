"""Gathering evidence: everything a decision looks at, read from the party's own store.

What was pulled just before is taken into the copies first, in the same transaction; then the
evidence is read from the copies alone. Nothing here talks to the network, and nothing decides.
"""

from __future__ import annotations

from dataclasses import replace

from cos_party.model import (
    Incoming,
    Limits,
    Reading,
    RequestEvidence,
    ReturnEvidence,
    ReturnReading,
    Revocations,
    Thresholds,
)
from cos_party.peers import copies
from cos_party.peers.pull import Pulled, Puller
from cos_party.rules.reading import read_path_certificates, read_replacements
from cos_party.store import decisions as store
from services.chassis.data.connection import StoreConnection
from services.chassis.data.store import Database
from services.chassis.time.clock import Clock
from services.link.authorities import Authorities


class Gatherer:
    """Makes the evidence of one CoS Party's decisions."""

    def __init__(
        self,
        *,
        database: Database,
        puller: Puller,
        trust: Authorities,
        limits: Limits,
        thresholds: Thresholds,
        eui: str,
        clock: Clock,
    ) -> None:
        self._database = database
        self.puller = puller
        self._trust = trust
        self._limits = limits
        self._thresholds = thresholds
        self._eui = eui
        self._clock = clock

    async def thresholds(self, conn: StoreConnection) -> Thresholds:
        """The thresholds in force: an operator's, else those of the settings."""
        return await store.read_thresholds(conn) or self._thresholds

    async def forget_thresholds(self) -> None:
        """Take an operator's thresholds away: those of the settings hold again."""
        async with self._database.begin() as conn:
            await store.write_thresholds(conn, None)

    async def request_evidence(
        self, conn: StoreConnection, incoming: Incoming, reading: Reading, pulled: Pulled
    ) -> RequestEvidence:
        """The evidence on a service request, as the copies stand in this transaction."""
        await self.puller.take(conn, pulled)
        now = self._clock.now()
        request_id = None if reading.request is None else reading.request.header.request_id
        thresholds = await self.thresholds(conn)
        signatory = None
        if reading.reference is not None:
            signatory = await copies.certificate_named(conn, reading.reference)
            if signatory is None and not pulled.certificates:
                # not kept; a check says what is wrong with it
                signatory = next(iter(pulled.doubtful), None)
        return RequestEvidence(
            incoming=incoming,
            at=now,
            limits=self._limits,
            thresholds=thresholds,
            trust=self._trust,
            revocations=await self._revocations(conn),
            reading=reading,
            signatory=signatory,
            signatory_detail=pulled.signatory,
            replacements=read_replacements(reading.request),
            path_certificates=read_path_certificates(reading.request),
            registration=await self.puller.registration.read(conn),
            registration_detail=pulled.registration,
            registration_refreshed=pulled.at is not None,
            registration_failing_since=self.puller.register.failing_since,
            earlier=await store.earlier(
                conn,
                digest=incoming.digest,
                request_id=None if request_id is None else request_id.text,
                transaction=incoming.transaction,
                requester=None if request_id is None else request_id.originator,
                device=None if request_id is None else request_id.target,
                since=now - thresholds.window,
            ),
        )

    async def return_evidence(
        self, conn: StoreConnection, incoming: Incoming, reading: ReturnReading, pulled: Pulled
    ) -> ReturnEvidence:
        """The evidence on a device's response or alert, as the copies stand here."""
        await self.puller.take(conn, pulled)
        device = "" if reading.message is None else reading.message.header.originator
        now = self._clock.now()
        return ReturnEvidence(
            incoming=incoming,
            at=now,
            eui=self._eui,
            trust=self._trust,
            revocations=await self._revocations(conn),
            reading=reading,
            command=await store.signed_command(conn, incoming.transaction),
            device_certificates=await copies.certificates_of(conn, device),
            last_alert_counter=await store.last_alert_counter(conn, device),
        )

    async def _revocations(self, conn: StoreConnection) -> Revocations:
        """The lists held, and whether they still count."""
        held = await copies.revocations(conn)
        unrefreshed = self.puller.lists.outdated(self._limits.revocation_patience)
        return replace(held, unrefreshed=unrefreshed)
