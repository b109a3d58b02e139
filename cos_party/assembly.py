"""Putting a CoS Party together, from an organisation's settings and two of its signers.

The organisations (`ecos_party.main`, `tcos_party.main`) open the keys and call `assemble`. What
differs between them is handed in; nothing here asks which of them it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cos_party.api import link_routes
from cos_party.checks import check_book
from cos_party.lab.routes import lab_routes
from cos_party.peers.outbound import RegistrationClient
from cos_party.peers.pull import Puller
from cos_party.settings import CosPartySettings
from cos_party.steps.device_messages import DeviceReturns
from cos_party.steps.gather import Gatherer
from cos_party.steps.sign_command import CosWorkflow
from cos_party.store.tables import metadata
from gbcs.message import reference_of
from keys.certificate import Certificate
from keys.roles import OrganisationRole, Usage
from keys.stores.store import Signer
from services.chassis.app import Service, StartError
from services.chassis.data.counters import OriginatorCounter
from services.chassis.time.refresh import Refresher
from services.chassis.web.http import Caller, Http, client, peer_tls
from services.link.assembly import LinkEnd, link_end, start_errors
from services.link.authorities import Authorities
from services.link.checks import link_checks
from services.link.repository import RepositoryClient, RevocationCopies
from services.link.repository import metadata as lists_metadata

if TYPE_CHECKING:
    import httpx

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
    book = check_book(organisation.party, organisation.check_prefix)
    book.extend(link_checks())
    _require_cos_key(keys.digital_signing.certificate, settings.eui)
    with start_errors():
        async with link_end(settings, keys.link, book, metadata, lists_metadata) as link:
            http = Caller(peer_tls(settings)) if transport is None else client(transport=transport)
            link.base.expose(http)
            try:
                return await _put_together(organisation, settings, keys.digital_signing, link, http)
            except BaseException:
                await http.aclose()
                raise


async def _put_together(
    organisation: Organisation,
    settings: CosPartySettings,
    digital_signing: Signer,
    link: LinkEnd,
    http: Http,
) -> Service:
    base = link.base
    base.faults.reference = reference_of
    trust = Authorities.read(settings.data / "trust")
    limits = settings.limits.limits()
    repository = RepositoryClient(link.client(SMKI_REPOSITORY, http), settings.source_seconds)
    lists = RevocationCopies(
        repository=repository,
        database=base.database,
        trust=trust,
        clock=base.clock,
        patience=limits.revocation_patience,
        use=link.trust.offer,
        link_stale=lambda: link.trust.stale(base.system_clock.now()),
        seconds=settings.source_seconds,
        lease=settings.source_lease_seconds,
    )
    puller = Puller(
        database=base.database,
        registration=RegistrationClient(link.client(REGISTRATION, http)),
        repository=repository,
        lists=lists,
        trust=trust,
        clock=base.clock,
        seconds=settings.source_seconds,
        lease=settings.source_lease_seconds,
    )
    refresher = Refresher(puller.needs_refresh, puller.sync)
    gatherer = Gatherer(
        database=base.database,
        puller=puller,
        trust=trust,
        limits=limits,
        thresholds=settings.thresholds.thresholds(),
        eui=settings.eui,
        clock=base.clock,
    )
    counter = OriginatorCounter(first=settings.first_counter)
    workflow = CosWorkflow(base, gatherer, digital_signing, counter)
    server = await link.server(organisation.authority_file)

    async def take_first_copies() -> None:
        await lists.recall()
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
