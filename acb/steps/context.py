"""What the broker is put together from; `acb.main` makes it, the workflow uses it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acb.model import DeviceRecord
from acb.peers.blocks import BlockWan, Incoming
from acb.peers.lookups import Lookups
from acb.peers.outbound import CosPartyLink, Users
from acb.peers.replies import Replies
from acb.peers.smki import Smki
from acb.peers.trust import Trust
from acb.settings import AcbSettings
from keys.stores.store import KeyAgreement, Signer
from services.chassis.foundation import Foundation


@dataclass(frozen=True, slots=True)
class Parts:
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

    base: Foundation
    settings: AcbSettings
    trust: Trust
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
