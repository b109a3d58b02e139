"""Making GBCS commands that no honest party would make.

A `Forge` is a CS02b command in the making; what is not changed is as an honest chain would have it.
It is signed with whichever party's key, and gets its MAC from whichever secret, the attack names.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from gbcs.codes import MESSAGE_CODE_OF_MODE, CellUsage, Cra, KeyUsage, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.message import GroupingHeader, Message, OtherInformation, encode
from gbcs.payloads.cells import CellId
from gbcs.payloads.credentials import Replacement, SeqNumberChange, UpdateCredentials, encode_update
from gbcs.protect import add_mac, sign
from keys.certificate import Certificate
from keys.roles import Usage
from keys.stores.device_keys import DeviceKeys
from probe.forge import Forged
from probe.world import COS, World

SIGN, AGREE = KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT
ROOT = CellId(RemotePartyRole.ROOT, KeyUsage.KEY_CERT_SIGN)
RECOVERY = CellId(RemotePartyRole.RECOVERY, SIGN)
SUPPLIER = CellId(RemotePartyRole.SUPPLIER, SIGN)
SUPPLIER_KA = CellId(RemotePartyRole.SUPPLIER, AGREE)
SUPPLIER_TOP_UP = CellId(RemotePartyRole.SUPPLIER, AGREE, CellUsage.PREPAYMENT_TOP_UP)
NETWORK = CellId(RemotePartyRole.NETWORK_OPERATOR, SIGN)
NETWORK_KA = CellId(RemotePartyRole.NETWORK_OPERATOR, AGREE)
BROKER_KA = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, AGREE)
COS_CELL = CellId(RemotePartyRole.TRANSITIONAL_COS, SIGN)
LOAD = CellId(RemotePartyRole.LOAD_CONTROLLER, SIGN)

AUTHORITY: dict[Mode, tuple[CellId, str]] = {
    Mode.ROOT_BY_SUPPLIER: (SUPPLIER, "A"),
    Mode.SUPPLIER_BY_SUPPLIER: (SUPPLIER, "A"),
    Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR: (NETWORK, "network-operator"),
    Mode.ACCESS_CONTROL_BROKER_BY_ACB: (BROKER_KA, "acb"),
    Mode.TRANS_COS_BY_TRANS_COS: (COS_CELL, "cos"),
    Mode.SUPPLIER_BY_TRANS_COS: (COS_CELL, "cos"),
    Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY: (RECOVERY, "recovery"),
    Mode.LOAD_CONTROLLER_BY_SUPPLIER: (SUPPLIER, "A"),
    Mode.ROOT_BY_WAN_PROVIDER: (CellId(RemotePartyRole.WAN_PROVIDER, SIGN), "wan-provider"),
    Mode.WAN_PROVIDER_BY_WAN_PROVIDER: (
        CellId(RemotePartyRole.WAN_PROVIDER, SIGN),
        "wan-provider",
    ),
    Mode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER: (LOAD, "load-controller"),
    Mode.ANY_BY_CONTINGENCY: (ROOT, "recovery"),
}
"""The cell each mode is authorised from, and who holds its key on a commissioned meter."""

Change = Callable[[Message], Message]
Sign = Callable[[bytes], bytes]


def in_base64(octets: bytes) -> str:
    """Octets as the lab ports take them."""
    return b64encode(octets).decode()


def supplier_cells(world: World, name: str) -> tuple[Replacement, ...]:
    """A supplier's three certificates in the three cells they belong in."""
    keys = world.keys(name)
    return (
        Replacement(keys.certificate("digital-signing").der, SUPPLIER),
        Replacement(keys.certificate("key-agreement").der, SUPPLIER_KA),
        Replacement(keys.certificate("prepayment-key-agreement").der, SUPPLIER_TOP_UP),
    )


def issuing(world: World) -> Certificate:
    """The issuing authority that stands above every organisation's certificate."""
    return world.supplier("B").issuing_authority


def broker_secret(world: World, meter: str) -> bytes:
    """Z of the broker and a device, by the broker's key."""
    key = world.keys("acb").key_agreement("key-agreement")
    return key.shared_secret(world.device_certificate(meter))


def device_keys(world: World) -> DeviceKeys:
    """The keys of every device, by the simulator's seed."""
    return world.keys("meter_sim").device_keys()


@dataclass(frozen=True)
class Forge(Forged):
    """A command in the making.

    Attributes:
        cos: `tcos` or `ecos`: whose meter, and who signs for the CoS Party.
        signer: whose digital-signing key signs; the authority's own by default; "" for none.
        mac: whether the broker's MAC is added; a 32-octet secret of the attacker's own instead.
        fields: payload fields other than the honest ones.
        header: grouping header fields other than the honest ones.
    """

    cos: str = "ecos"
    mode: Mode = Mode.SUPPLIER_BY_TRANS_COS
    counter: int = 1000
    signer: str | None = None
    mac: bool | bytes = True
    target: str | None = None
    originator: str | None = None
    code: int | None = None
    cra: Cra = Cra.COMMAND
    replacements: tuple[Replacement, ...] | None = None
    payload: bytes | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    sign_with: Sign | None = None
    before_mac: Change | None = None

    def with_fields(self, **fields: Any) -> Forge:
        """The same with other payload fields."""
        return replace(self, fields={**self.fields, **fields})

    def meter(self, world: World) -> str:
        """The device it is sent to."""
        return world.meter(COS[self.cos])

    def holder(self) -> str:
        """Who holds the authorising cell's key."""
        name = AUTHORITY[self.mode][1]
        return COS[self.cos] if name == "cos" else name

    def update(self, world: World) -> UpdateCredentials:
        """The payload's values."""
        replacements = self.replacements
        if replacements is None:
            replacements = supplier_cells(world, "B")
        named = self.mode is not Mode.ACCESS_CONTROL_BROKER_BY_ACB
        floors = (
            (SeqNumberChange(RemotePartyRole.SUPPLIER, 5000),)
            if self.mode is Mode.SUPPLIER_BY_TRANS_COS
            else None
        )
        values: dict[str, Any] = {
            "mode": self.mode,
            "authorising_counter": self.counter,
            "authorising_cell": AUTHORITY[self.mode][0] if named else None,
            "replacements": replacements,
            "path_certificates": (issuing(world).der,),
            "other_changes": floors,
            "new_floor": None if floors else self.counter,
        }
        return UpdateCredentials(**{**values, **self.fields})

    def message(self, world: World) -> Message:
        """The command, signed and with its MAC as the attributes say."""
        meter = self.target or self.meter(world)
        code = self.code if self.code is not None else MESSAGE_CODE_OF_MODE[self.mode]
        header = GroupingHeader(
            self.cra,
            self.counter,
            self.originator or world.eui(self.holder()),
            meter,
            OtherInformation(code),
        )
        payload = encode_update(self.update(world)) if self.payload is None else self.payload
        message = Message(replace(header, **self.header), payload, signature=b"")
        if self.sign_with is not None:
            message = sign(message, self.sign_with)
        elif self.signer != "" and self.mode is not Mode.ACCESS_CONTROL_BROKER_BY_ACB:
            signer = world.keys(self.signer or self.holder()).signer("digital-signing")
            message = sign(message, signer.sign)
        if self.before_mac is not None:
            message = self.before_mac(message)
        if self.mac is False or self.mode is Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY:
            return message
        z = self.mac if isinstance(self.mac, bytes) else broker_secret(world, self.meter(world))
        return add_mac(message, z)

    def octets(self, world: World) -> bytes:
        """The command as it goes over the WAN."""
        return encode(self.message(world))


def usage_of(cell: CellId) -> Usage:
    """The certificate usage a cell wants."""
    return Usage.DIGITAL_SIGNATURE if cell.key_usage is SIGN else Usage.KEY_AGREEMENT
