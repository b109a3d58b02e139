"""What the broker is put together from; `acb.main` makes it, the steps use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from acb.checks import PARTY
from acb.model import DeviceRecord, Tracked
from acb.peers.blocks import BlockWan, Incoming
from acb.peers.lookups import Lookups
from acb.peers.outbound import CosPartyLink, Users
from acb.peers.replies import Replies
from acb.peers.smki import Smki
from acb.settings import AcbSettings
from gbcs.errors import ParseError
from gbcs.message import decode
from keys.stores.store import KeyAgreement, Signer
from services.chassis.context import ServiceContext
from services.chassis.data.connection import StoreConnection
from services.link.authorities import Authorities

OWN_COUNTER: Final = "acb"
"""Name of the broker's own originator counter, of what it commands and asks by itself."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything the workflow needs, and no private key: only what signs or agrees with one.

    Attributes:
        base: the chassis parts (store, clocks, checks, traces, outbox).
        settings: the broker's settings.
        trust: its anchors.
        smki: its view of the SMKI repository.
        lookups: the same, for whoever has not proven who it is.
        replies: what writes and signs to users.
        signer: the broker's own signing key for GBCS (6.21 alone needs it).
        mac_key: the broker's own key agreement key, for the MAC.
        cos_parties: the CoS Parties connected here, by name on the link.
        wan: the network to the devices.
        blocks: what puts together the messages that devices send in blocks.
        users: the users' own receiving services.
    """

    base: ServiceContext
    settings: AcbSettings
    trust: Authorities
    smki: Smki
    lookups: Lookups
    replies: Replies
    signer: Signer
    mac_key: KeyAgreement
    cos_parties: Mapping[str, CosPartyLink]
    wan: BlockWan
    blocks: Incoming
    users: Users

    def secret_with(self, device: DeviceRecord) -> bytes:
        """The secret that the broker's key agreement key shares with a device's, 32 octets.

        Raises:
            keys.errors.KeyStoreError: the certificate on record is not for key agreement.
        """
        return self.mac_key.shared_secret(device.certificates["key-agreement"])

    async def enqueue(self, conn: StoreConnection, kind: str, tracked: Tracked, lane: str) -> None:
        """Write down the next step of a request, in the transaction of the step before."""
        payload = {"sequence": tracked.sequence}
        await self.base.outbox.put(conn, kind, str(tracked.sequence), payload, lane=lane)

    async def trace(
        self, conn: StoreConnection, about: Tracked | str, kind: str, **what: Any
    ) -> None:
        """Record a step in the trace of a request, or of what is named so, in a transaction."""
        subject = about if isinstance(about, str) else about.request_id
        await self.base.traces.record(subject, kind, conn=conn, **what)

    async def trace_sent(
        self, conn: StoreConnection, about: Tracked, octets: bytes, *, to: str, **what: Any
    ) -> None:
        """Record a GBCS message, or a document, that goes from here to somebody."""
        what.update(sender=PARTY, receiver=to, message=octets, gbcs_ref=reference(octets))
        await self.trace(conn, about, "sent", **what)

    async def trace_received(
        self, conn: StoreConnection, about: Tracked | str, octets: bytes, *, by: str, **what: Any
    ) -> None:
        """Record a GBCS message that came from somebody."""
        what.update(sender=by, receiver=PARTY, message=octets, gbcs_ref=reference(octets))
        await self.trace(conn, about, "received", **what)

    def notify(self, request_id: str) -> None:
        """Wake who waits for this request, once the transaction is committed."""
        self.base.database.on_commit(lambda: self.base.changes.notify(request_id))


def reference(octets: bytes) -> str | None:
    """`originator:recipient:counter` of a GBCS message; None if it cannot be read."""
    try:
        return decode(octets).reference
    except ParseError:
        return None
