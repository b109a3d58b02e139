"""The broker's process: settings, keys, store, workflow, application. Keys are opened here only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from acb import api
from acb.checks import book
from acb.lab import blocks as lab_blocks
from acb.lab import routes as lab
from acb.peers.blocks import BlockWan, Incoming
from acb.peers.lookups import Lookups
from acb.peers.outbound import CosPartyLink, Users, Wan
from acb.peers.replies import Replies
from acb.peers.smki import Smki
from acb.rules.quirks import QUIRKS
from acb.settings import AcbSettings
from acb.steps import lanes
from acb.steps.context import Context
from acb.steps.dates import Overdue, Waiting
from acb.steps.deliver import DELIVERIES, Delivery
from acb.steps.device_messages import DeviceMessages
from acb.steps.have_signed import CosPartySigning
from acb.steps.intake import Intake
from acb.steps.notify import Notifier
from acb.steps.outcome import Outcomes
from acb.steps.protect import Protection
from acb.steps.read_back import ReadBack
from acb.store import alert_tally, records
from acb.store.tables import tables
from gbcs.message import reference_of
from keys.stores.software import open_store
from keys.stores.store import DIGITAL_SIGNING, KEY_AGREEMENT, LINK, XML_SIGNING, KeyStore
from services.chassis.app import Service, run
from services.chassis.context import ServiceContext
from services.chassis.settings import load_settings
from services.chassis.time.refresh import Refresher
from services.chassis.web import http
from services.link.assembly import LinkEnd, address_of, start_errors
from services.link.authorities import Authorities
from services.link.checks import response_checks
from services.link.repository import RepositoryClient, RevocationCopies, metadata

AUTHORITY = Path(__file__).with_name("authority.toml")
REPOSITORY = "smki_repository"
METERS = "meter_sim"


def context_of(
    base: ServiceContext,
    settings: AcbSettings,
    keys: KeyStore,
    link_http: http.Http,
    wan_http: http.Http,
    *,
    users_http: http.Http,
) -> Context:
    """Put the parts together; `keys` is used for nothing else.

    Raises:
        KeysError, LinkSetupError: a key, a certificate or an address is not what it must be.
    """
    base.quirks.declare(QUIRKS)
    base.faults.reference = reference_of
    link = LinkEnd.of(base, keys.signer(LINK))
    blocks = Incoming(base)
    authorities = Authorities.read(settings.data / "trust")
    repository = RepositoryClient(link.client(REPOSITORY, link_http), settings.source_seconds)
    copies = RevocationCopies(
        repository=repository,
        database=base.database,
        trust=authorities,
        clock=base.system_clock,
        max_age=timedelta(seconds=settings.revocation_max_age_seconds),
        patience=timedelta(seconds=settings.revocation_patience_seconds),
        use=link.trust.offer,
        link_stale=lambda: link.trust.stale(base.system_clock.now()),
        seconds=settings.source_seconds,
        lease=settings.source_lease_seconds,
    )
    smki = Smki(repository, copies, base.database, authorities)
    return Context(
        base=base,
        settings=settings,
        trust=authorities,
        smki=smki,
        lookups=Lookups(
            smki,
            base.database,
            base.system_clock,
            timedelta(seconds=settings.unknown_certificate_seconds),
        ),
        replies=Replies(settings.eui, keys.signer(XML_SIGNING)),
        signer=keys.signer(DIGITAL_SIGNING),
        mac_key=keys.key_agreement(KEY_AGREEMENT),
        cos_parties={
            name: CosPartyLink(link.client(name, link_http)) for name in settings.cos_parties
        },
        wan=BlockWan(
            base,
            Wan(wan_http, address_of(settings, METERS), settings.device_seconds),
            blocks,
            settings.block_size,
        ),
        blocks=blocks,
        users=Users(users_http, settings.callback_seconds),
    )


def service_of(context: Context, closing: Sequence[http.Http] = ()) -> Service:
    """The broker as a service, ready to be run or driven by tests."""
    overdue = Overdue(context)
    outcomes = Outcomes(context, Notifier(context), overdue.watch.wake)
    waiting = Waiting(context, outcomes)
    intake = Intake(context, outcomes, waiting)
    devices = DeviceMessages(context, outcomes)
    protection, delivery = Protection(context, outcomes), Delivery(context, outcomes)
    signing, read_back = CosPartySigning(context, outcomes, protection), ReadBack(context, outcomes)
    register = context.base.outbox.register
    register(lanes.HAVE_SIGNED, signing.ask_cos_party, on_dead=signing.gave_up)
    register(lanes.SERVE, protection.serve, on_dead=delivery.gave_up)
    for kind in DELIVERIES:
        register(kind, delivery.deliver, on_dead=delivery.gave_up, pool=lanes.DEVICES)
    register(lanes.READ_BACK, read_back.ask, on_dead=read_back.gave_up, pool=lanes.DEVICES)

    refresher = Refresher(context.smki.copies.needs_refresh, context.smki.copies.current)

    async def reset() -> None:
        async with context.base.database.begin() as conn:
            await records.forget_thresholds(conn)
            await alert_tally.forget(conn)

    return Service(
        context.base,
        authority_file=AUTHORITY,
        routers=[api.routes(context, intake, devices)],
        lab_routers=[lab.routes(context, intake, outcomes.notifier), lab_blocks.routes(context)],
        ready=[context.smki.not_ready],
        on_start=[waiting.watch.start, overdue.start, refresher.start],
        on_stop=[
            *(client.aclose for client in closing),
            waiting.watch.stop,
            overdue.watch.stop,
            refresher.stop,
        ],
        on_reset=[reset, context.blocks.recover],
    )


async def build(settings: AcbSettings) -> Service:
    """Open keys and store and give the service.

    Raises:
        StartError: something the broker cannot do without is missing or not as it must be.
    """
    with start_errors():
        clients = (http.Caller(http.peer_tls(settings)), http.Caller(), http.Caller())
        keys = open_store(settings.data)
        base = await ServiceContext.open(settings, book(response_checks()), tables, metadata)
        base.expose(clients[0])
        base.expose(clients[1])
        base.expose(clients[2], otherwise="users")
        async with base.closed_on_failure():
            return service_of(
                context_of(base, settings, keys, *clients[:2], users_http=clients[2]), clients
            )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the broker until it is told to stop."""
    settings = load_settings(AcbSettings, argv)
    run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
