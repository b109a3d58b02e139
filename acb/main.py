"""The broker's process: settings, keys, store, workflow, application. Keys are opened here only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import httpx

from acb import api
from acb.checks import book
from acb.lab import blocks as lab_blocks
from acb.lab import routes as lab
from acb.peers.blocks import BlockWan, Incoming
from acb.peers.lookups import Lookups
from acb.peers.outbound import CosPartyLink, Users, Wan
from acb.peers.replies import Replies
from acb.peers.smki import Smki
from acb.peers.trust import Trust
from acb.rules.quirks import QUIRKS
from acb.settings import AcbSettings
from acb.steps import lanes
from acb.steps.context import Parts
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
from acb.store.requests import tables
from gbcs.message import reference_of
from keys.errors import KeysError
from keys.stores.software import SoftwareKeyStore, read_secret
from keys.stores.store import DIGITAL_SIGNING, KEY_AGREEMENT, LINK, XML_SIGNING, KeyStore
from services.chassis.app import Service, StartError, run
from services.chassis.data.store import StoreError
from services.chassis.foundation import Foundation
from services.chassis.settings import load_settings
from services.chassis.time.refresh import Refresher
from services.chassis.web import http
from services.link.checks import response_checks
from services.link.client import LinkClient
from services.link.errors import LinkSetupError
from services.link.evidence import EvidenceLog
from services.link.identity import LinkIdentity
from services.link.trust import LinkTrust
from services.link.unsafe_old_key import UnsafeOldKey

AUTHORITY = Path(__file__).with_name("authority.toml")
REPOSITORY = "smki_repository"
METERS = "meter_sim"


def parts_of(
    base: Foundation,
    settings: AcbSettings,
    keys: KeyStore,
    link_http: httpx.AsyncClient,
    wan_http: httpx.AsyncClient,
    *,
    users_http: httpx.AsyncClient,
) -> Parts:
    """Put the parts together; `keys` is used for nothing else.

    Raises:
        KeysError, LinkSetupError: a key, a certificate or an address is not what it must be.
    """
    base.quirks.declare(QUIRKS)
    base.faults.reference = reference_of
    identity = LinkIdentity(settings.party, keys.signer(LINK))
    base.faults.resigner = UnsafeOldKey(identity, base.system_clock)
    trust = LinkTrust.open(settings.data / "trust")
    evidence = EvidenceLog(base.database, base.audit)

    def link(peer: str) -> LinkClient:
        if peer not in settings.peers:
            raise LinkSetupError(f"no address of {peer} under [peers]")
        return LinkClient(
            identity=identity,
            trust=trust,
            peer=peer,
            base_url=settings.peers[peer],
            http=link_http,
            evidence=evidence,
            clock=base.system_clock,
            book=base.book,
        )

    blocks = Incoming(base)
    if METERS not in settings.peers:
        raise LinkSetupError(f"no address of {METERS} under [peers]")
    authorities = Trust.read(settings.data / "trust")
    smki = Smki(
        link(REPOSITORY),
        base.database,
        base.system_clock,
        authorities,
        max_age=timedelta(seconds=settings.revocation_max_age_seconds),
        patience=timedelta(seconds=settings.revocation_patience_seconds),
        heed=trust.offer,
        link_stale=trust.stale,
        seconds=settings.source_seconds,
    )
    return Parts(
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
        cos_parties={name: CosPartyLink(link(name)) for name in settings.cos_parties},
        wan=BlockWan(
            base,
            Wan(wan_http, settings.peers[METERS], settings.device_seconds),
            blocks,
            settings.block_size,
        ),
        blocks=blocks,
        users=Users(users_http, settings.callback_seconds),
    )


def service_of(parts: Parts, closing: Sequence[httpx.AsyncClient] = ()) -> Service:
    """The broker as a service, ready to be run or driven by tests."""
    overdue = Overdue(parts)
    outcomes = Outcomes(parts, Notifier(parts), overdue.watch.wake)
    waiting = Waiting(parts, outcomes)
    intake = Intake(parts, outcomes, waiting)
    devices = DeviceMessages(parts, outcomes)
    protection, delivery = Protection(parts, outcomes), Delivery(parts, outcomes)
    signing, read_back = CosPartySigning(parts, outcomes, protection), ReadBack(parts, outcomes)
    register = parts.base.outbox.register
    register(lanes.HAVE_SIGNED, signing.ask_cos_party, on_dead=signing.gave_up)
    register(lanes.SERVE, protection.serve, on_dead=delivery.gave_up)
    for kind in DELIVERIES:
        register(kind, delivery.deliver, on_dead=delivery.gave_up, pool=lanes.DEVICES)
    register(lanes.READ_BACK, read_back.ask, on_dead=read_back.gave_up, pool=lanes.DEVICES)

    refresher = Refresher(parts.smki.wanting, parts.smki.revocation_lists)

    async def reset() -> None:
        async with parts.base.database.begin() as conn:
            await records.forget_thresholds(conn)
            await alert_tally.forget(conn)

    return Service(
        parts.base,
        authority_file=AUTHORITY,
        routers=[api.routes(parts, intake, devices)],
        lab_routers=[lab.routes(parts, intake), lab_blocks.routes(parts)],
        ready=[parts.smki.not_ready],
        on_start=[waiting.watch.start, overdue.start, refresher.start],
        on_stop=[
            *(client.aclose for client in closing),
            waiting.watch.stop,
            overdue.watch.stop,
            refresher.stop,
        ],
        on_reset=[reset, parts.blocks.recover],
    )


async def build(settings: AcbSettings) -> Service:
    """Open keys and store and give the service.

    Raises:
        StartError: something the broker cannot do without is missing or not as it must be.
    """
    try:
        clients = (http.client(tls=http.peer_tls(settings)), http.client(), http.client())
        keys = SoftwareKeyStore.open(
            settings.data / "keys", read_secret(settings.data / "passphrase")
        )
        base = await Foundation.open(settings, book(response_checks()), tables)
        base.expose(clients[0])
        base.expose(clients[1])
        base.expose(clients[2], otherwise="users")
        async with base.closed_on_failure():
            return service_of(
                parts_of(base, settings, keys, *clients[:2], users_http=clients[2]), clients
            )
    except (KeysError, LinkSetupError, StoreError, OSError) as error:
        raise StartError(str(error)) from None


def main(argv: Sequence[str] | None = None) -> None:
    """Run the broker until it is told to stop."""
    settings = load_settings(AcbSettings, argv)
    run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
