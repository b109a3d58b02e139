"""Putting a CoS Party together, from an organisation's settings and two of its signers.

The organisations (`ecos_party.main`, `tcos_party.main`) open the keys and call `assemble`. What
differs between them is handed in; nothing here asks which of them it is.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx

from cos_party.api import PURPOSES, link_routes, path_of
from cos_party.checks import check_book
from cos_party.lab.routes import lab_routes
from cos_party.peers.outbound import Sources
from cos_party.peers.pull import Puller
from cos_party.settings import CosPartySettings
from cos_party.steps.device_messages import DeviceReturns
from cos_party.steps.gather import Gatherer
from cos_party.steps.sign_command import CosWorkflow
from cos_party.store.tables import metadata
from gbcs.message import reference_of
from keys.certificate import Certificate
from keys.errors import KeysError
from keys.roles import OrganisationRole, Usage
from keys.stores.store import Signer
from services.chassis.app import Service, StartError
from services.chassis.data.counters import OriginatorCounter
from services.chassis.data.store import StoreError
from services.chassis.foundation import Foundation
from services.chassis.settings import TlsSettings
from services.chassis.time.refresh import Refresher
from services.chassis.web.authority import Authority, AuthorityError
from services.chassis.web.http import client, mutual_tls
from services.link.authorities import Authorities
from services.link.checks import link_checks
from services.link.client import LinkClient
from services.link.errors import LinkSetupError
from services.link.evidence import EvidenceLog
from services.link.identity import LinkIdentity
from services.link.nonces import NonceWindow
from services.link.server import LinkServer
from services.link.trust import LinkTrust
from services.link.unsafe_old_key import UnsafeOldKey

REGISTRATION = "registration"
SMKI_REPOSITORY = "smki_repository"


@dataclass(frozen=True, slots=True)
class Organisation:
    """What one CoS Party is, as an organisation.

    Attributes:
        party: its name among the systems, for example ``ecos_party``.
        check_prefix: first part of its checks' identifiers, for example ``ecos``.
        authority_file: who may call which of its routes.
    """

    party: str
    check_prefix: str
    authority_file: Path


@dataclass(frozen=True, slots=True)
class CosKeys:
    """The two signers a CoS Party has: one for commands to devices, one for the link."""

    digital_signing: Signer
    link: Signer


async def assemble(
    organisation: Organisation,
    settings: CosPartySettings,
    keys: CosKeys,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Service:
    """The service of one CoS Party, ready to be started.

    Args:
        organisation: which CoS Party.
        settings: its settings.
        keys: its signers.
        transport: another transport for what it asks of others, in tests.

    Raises:
        StartError: settings, keys, trust, store and authority table do not fit together.
    """
    if settings.party != organisation.party:
        raise StartError(f"these settings are for {settings.party}")
    _require_cos_key(keys.digital_signing.certificate, settings.eui)
    book = check_book(organisation.party, organisation.check_prefix)
    book.extend(link_checks())
    try:
        trust = Authorities.read(settings.data / "trust")
        base = await Foundation.open(settings, book, metadata)
    except (KeysError, StoreError, OSError) as error:
        raise StartError(str(error)) from error
    http = client(tls=_client_tls(settings.tls), transport=transport)
    base.expose(http)
    try:
        async with base.closed_on_failure():
            return await _put_together(
                organisation=organisation,
                settings=settings,
                keys=keys,
                trust=trust,
                base=base,
                http=http,
            )
    except (LinkSetupError, AuthorityError, StoreError, StartError) as error:
        await http.aclose()
        raise StartError(str(error)) from error


async def _put_together(
    *,
    organisation: Organisation,
    settings: CosPartySettings,
    keys: CosKeys,
    trust: Authorities,
    base: Foundation,
    http: httpx.AsyncClient,
) -> Service:
    identity = LinkIdentity(organisation.party, keys.link)
    base.faults.resigner = UnsafeOldKey(identity, base.system_clock)
    base.faults.reference = reference_of
    link_trust = LinkTrust.open(settings.data / "trust")
    evidence = EvidenceLog(base.database, base.audit)

    def peer(name: str) -> LinkClient:
        if name not in settings.peers:
            raise LinkSetupError(f"the settings name no address for {name}")
        return LinkClient(
            identity=identity,
            trust=link_trust,
            peer=name,
            base_url=settings.peers[name],
            http=http,
            evidence=evidence,
            clock=base.system_clock,
            book=base.book,
        )

    puller = Puller(
        database=base.database,
        sources=Sources(peer(REGISTRATION), peer(SMKI_REPOSITORY)),
        trust=trust,
        clock=base.clock,
        use_list=link_trust.offer,
        link_stale=lambda: link_trust.stale(base.system_clock.now()),
        seconds=settings.source_seconds,
    )
    refresher = Refresher(puller.needs_refresh, puller.sync)
    gatherer = Gatherer(
        database=base.database,
        puller=puller,
        trust=trust,
        limits=settings.limits.limits(),
        thresholds=settings.thresholds.thresholds(),
        eui=settings.eui,
        clock=base.clock,
    )
    counter = OriginatorCounter(first=settings.first_counter)
    workflow = CosWorkflow(base, gatherer, keys.digital_signing, counter)
    authority = Authority.read(organisation.authority_file)
    server = LinkServer(
        identity=identity,
        trust=link_trust,
        allowed={purpose: authority.callers(f"POST {path_of(purpose)}") for purpose in PURPOSES},
        nonces=await NonceWindow.open(base.database),
        evidence=evidence,
        clock=base.system_clock,
        book=base.book,
    )

    async def take_first_copies() -> None:
        await puller.recall()
        await puller.sync()

    return Service(
        base,
        authority_file=organisation.authority_file,
        routers=[link_routes(server, workflow, DeviceReturns(base, gatherer))],
        lab_routers=[lab_routes(base, gatherer, counter)],
        ready=[puller.not_ready],
        on_start=[take_first_copies, refresher.start],
        on_stop=[http.aclose, refresher.stop],
        on_reset=[gatherer.forget_thresholds],
    )


def _require_cos_key(certificate: Certificate, eui: str) -> None:
    """The signing key must be this CoS Party's own, for signing, and useless for anything real."""
    if not certificate.simulated:
        raise StartError("the signing certificate is not marked as simulated")
    if certificate.role != OrganisationRole.TRANSITIONAL_COS:
        raise StartError(f"the signing certificate is for OU {certificate.role}, not a CoS Party's")
    if certificate.usage != Usage.DIGITAL_SIGNATURE:
        raise StartError("the signing certificate is not for digital signatures")
    if certificate.subject_eui != eui:
        raise StartError(f"the signing certificate is of {certificate.subject_eui}, not {eui}")


def _client_tls(settings: TlsSettings | None) -> ssl.SSLContext | None:
    """The context for calling peers: the same certificate that the interface shows."""
    if settings is None:
        return None
    try:
        password = None
        if settings.password_file is not None:
            password = settings.password_file.read_text(encoding="utf-8").strip()
        return mutual_tls(
            certificate=str(settings.certificate),
            key=str(settings.key),
            password=password,
            authority=str(settings.client_ca),
        )
    except OSError as error:
        raise StartError(f"TLS towards peers: {error}") from error
