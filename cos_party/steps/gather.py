"""Gathering evidence: everything a decision looks at, read from the party's own store.

The copies were brought up to date just before (`cos_party.peers.pull`); the evidence is read from
them alone. Nothing here talks to the network, and nothing decides.
"""

from __future__ import annotations

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
        now = self._clock.now()
        request = reading.request
        request_id = None if request is None else request.header.request_id
        thresholds = await self.thresholds(conn)
        earlier = await store.earlier(
            conn,
            digest=incoming.digest,
            request_id=None if request_id is None else request_id.text,
            transaction=incoming.transaction,
            requester=None if request_id is None else request_id.originator,
            device=None if request_id is None else request_id.target,
            since=now - thresholds.window,
        )
        homes = [change.mpxn for change in earlier.dated]
        if request is not None:
            homes.append(request.body.import_mpxn)
        return RequestEvidence(
            incoming=incoming,
            at=now,
            limits=self._limits,
            thresholds=thresholds,
            trust=self._trust,
            revocations=self._revocations(),
            reading=reading,
            # one that is not kept counts for nothing; a check says what is wrong with it
            signatory=pulled.certificate or next(iter(pulled.doubtful), None),
            signatory_detail=pulled.signatory,
            replacements=read_replacements(reading.request),
            path_certificates=read_path_certificates(reading.request),
            registration=await self.puller.registration.read(conn, homes),
            registration_detail=pulled.registration,
            registration_refreshed=pulled.refreshed,
            registration_failing_since=self.puller.register.failing_since,
            earlier=earlier,
        )

    async def return_evidence(
        self, conn: StoreConnection, incoming: Incoming, reading: ReturnReading
    ) -> ReturnEvidence:
        """The evidence on a device's response or alert, as the copies stand here."""
        device = "" if reading.message is None else reading.message.header.originator
        now = self._clock.now()
        return ReturnEvidence(
            incoming=incoming,
            at=now,
            eui=self._eui,
            trust=self._trust,
            revocations=self._revocations(),
            reading=reading,
            command=await store.signed_command(conn, incoming.transaction),
            device_certificates=await copies.certificates_of(conn, device),
            last_alert_counter=await store.last_alert_counter(conn, device),
        )

    def _revocations(self) -> Revocations:
        """The lists held, and whether they still count."""
        lists = self.puller.lists
        return Revocations(lists.lists, lists.unrefreshed())
