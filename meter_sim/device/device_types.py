"""Which trust anchor cells each type of device has. One table; everything else reads it.

Source: docs/sources.md#trust-anchor-cells. The nine cells of an ESME and the cells of the Broker
and the WAN provider on a CHF are confirmed by RTDS vectors. The rest is a reconstruction and
marked so in the table: no published text was available that lists the cells of a GSME, GPF, HCALCS,
PPMID or SAPC one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gbcs.codes import CellUsage, KeyUsage, RemotePartyRole
from gbcs.payloads.credentials import CellId


class DeviceType(StrEnum):
    """The types of device this simulator can be."""

    ESME = "ESME"
    ADDITIONAL_ESME = "ADDITIONAL_ESME"
    GSME = "GSME"
    CHF = "CHF"
    GPF = "GPF"
    HCALCS = "HCALCS"
    PPMID = "PPMID"
    SAPC = "SAPC"


_SIGN = KeyUsage.DIGITAL_SIGNATURE
_AGREE = KeyUsage.KEY_AGREEMENT

ROOT = CellId(RemotePartyRole.ROOT, KeyUsage.KEY_CERT_SIGN)
RECOVERY_DS = CellId(RemotePartyRole.RECOVERY, _SIGN)
SUPPLIER_DS = CellId(RemotePartyRole.SUPPLIER, _SIGN)
SUPPLIER_KA = CellId(RemotePartyRole.SUPPLIER, _AGREE)
SUPPLIER_TOP_UP = CellId(RemotePartyRole.SUPPLIER, _AGREE, CellUsage.PREPAYMENT_TOP_UP)
NETWORK_DS = CellId(RemotePartyRole.NETWORK_OPERATOR, _SIGN)
NETWORK_KA = CellId(RemotePartyRole.NETWORK_OPERATOR, _AGREE)
ACB_DS = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, _SIGN)
ACB_KA = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, _AGREE)
TRANS_COS_DS = CellId(RemotePartyRole.TRANSITIONAL_COS, _SIGN)
WAN_PROVIDER_DS = CellId(RemotePartyRole.WAN_PROVIDER, _SIGN)
LOAD_CONTROLLER_DS = CellId(RemotePartyRole.LOAD_CONTROLLER, _SIGN)
LOAD_CONTROLLER_KA = CellId(RemotePartyRole.LOAD_CONTROLLER, _AGREE)

SUPPLIER_CELLS = frozenset({SUPPLIER_DS, SUPPLIER_KA, SUPPLIER_TOP_UP})
NETWORK_CELLS = frozenset({NETWORK_DS, NETWORK_KA})
LOAD_CONTROLLER_CELLS = frozenset({LOAD_CONTROLLER_DS, LOAD_CONTROLLER_KA})


@dataclass(frozen=True, slots=True)
class CellTable:
    """The cells of one type of device.

    `required` cells are populated from the factory on ("every trust anchor must be populated",
    GBCS 0.8.1 p148); `optional` ones exist on a device only if it was made with them.
    """

    required: frozenset[CellId]
    optional: frozenset[CellId]
    evidence: str


_EVERY_DEVICE = frozenset({ROOT, RECOVERY_DS, ACB_KA})
_METER = _EVERY_DEVICE | SUPPLIER_CELLS | NETWORK_CELLS | {TRANS_COS_DS}
_NONE: frozenset[CellId] = frozenset()

CELLS: dict[DeviceType, CellTable] = {
    DeviceType.ESME: CellTable(_METER, LOAD_CONTROLLER_CELLS, "RTDS vectors"),
    DeviceType.ADDITIONAL_ESME: CellTable(
        _METER, LOAD_CONTROLLER_CELLS, "as an ESME, a reconstruction"
    ),
    DeviceType.GSME: CellTable(_METER, _NONE, "as an ESME, gas network operator; reconstruction"),
    DeviceType.GPF: CellTable(
        _METER, _NONE, "supplier and network cells by RTDS; rest a reconstruction"
    ),
    DeviceType.CHF: CellTable(
        _EVERY_DEVICE | {ACB_DS, WAN_PROVIDER_DS}, _NONE, "RTDS; root and recovery a reconstruction"
    ),
    DeviceType.HCALCS: CellTable(
        _EVERY_DEVICE | {SUPPLIER_DS, SUPPLIER_KA, TRANS_COS_DS},
        LOAD_CONTROLLER_CELLS,
        "reconstruction",
    ),
    DeviceType.PPMID: CellTable(
        _EVERY_DEVICE | {SUPPLIER_DS, SUPPLIER_KA, TRANS_COS_DS}, _NONE, "reconstruction"
    ),
    DeviceType.SAPC: CellTable(
        _EVERY_DEVICE | {SUPPLIER_DS, SUPPLIER_KA, TRANS_COS_DS, *NETWORK_CELLS},
        LOAD_CONTROLLER_CELLS,
        "reconstruction",
    ),
}


def signing_cell(role: RemotePartyRole) -> CellId:
    """The cell that stands for who a role is: whoever can replace its key is that party.

    Everyone's is the digital signature cell; the Broker proves itself to all devices by MAC, so its
    key agreement cell; the root has one key only.
    """
    if role is RemotePartyRole.ROOT:
        return ROOT
    if role is RemotePartyRole.ACCESS_CONTROL_BROKER:
        return ACB_KA
    return CellId(role, _SIGN)
