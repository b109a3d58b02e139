"""A newly installed device is DCC-controlled: the Broker's certificates stand in for a supplier's.

Until handover the supplier and network operator cells hold certificates of the Access Control
Broker, so that the Broker's digital signing key is what those roles' Commands are verified with:
docs/sources.md#trust-anchor-cells, confirmed for a GPF by RTDS vectors, believed of other devices
(reconstruction). Handover is then nothing special: modes 2 and 3, signed by that key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gbcs.codes import KeyUsage, RemotePartyRole
from meter_sim.device.device_types import CELLS, DeviceType

HELD_BY_BROKER = frozenset({RemotePartyRole.SUPPLIER, RemotePartyRole.NETWORK_OPERATOR})
"""The roles whose cells a new device may hold the Broker's certificates in."""


@dataclass(frozen=True, slots=True)
class BrokerCertificates:
    """What the Broker gives to the factory, in DER."""

    digital_signature: bytes
    key_agreement: bytes


def dcc_controlled(
    device_type: str, cells: Mapping[str, bytes], broker: BrokerCertificates
) -> dict[str, bytes]:
    """These cells, and the Broker's certificates in each supplier and network cell not among them.

    A type of device that does not exist has no cells to fill; the factory refuses it elsewhere.
    """
    if device_type not in set(DeviceType):
        return dict(cells)
    of_usage = {
        KeyUsage.DIGITAL_SIGNATURE: broker.digital_signature,
        KeyUsage.KEY_AGREEMENT: broker.key_agreement,
    }
    filled = {
        cell.name: of_usage[cell.key_usage]
        for cell in CELLS[DeviceType(device_type)].required
        if cell.role in HELD_BY_BROKER
    }
    return {**filled, **cells}
