"""What each credentials replacement mode lets whom do. One table; everything else reads it.

Who authorises, how the message must be protected, on which devices the mode exists, and which
trust anchor cells and counters it may touch. Source: docs/sources.md#modes (modes 2 to 8, 10 and 11
confirmed by RTDS vectors; 0, 1 and 9 have no command vector) and GBCS 0.8.1 p163 (protection) and
p179 (fields). Where a mode exists (`devices`) follows from the cells a device has: a mode needs
the authorising cell and at least one cell to replace; that, and the rows marked as reconstruction,
is a RECONSTRUCTION.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.payloads.credentials import CellId
from meter_sim.device.device_types import (
    ACB_DS,
    ACB_KA,
    CELLS,
    LOAD_CONTROLLER_CELLS,
    LOAD_CONTROLLER_DS,
    NETWORK_CELLS,
    NETWORK_DS,
    RECOVERY_DS,
    ROOT,
    SUPPLIER_CELLS,
    SUPPLIER_DS,
    TRANS_COS_DS,
    WAN_PROVIDER_DS,
    DeviceType,
)


class Protection(StrEnum):
    """What a Command must carry (GBCS 0.8.1 p163)."""

    SIGNATURE_AND_MAC = "signature and MAC"
    MAC_ONLY = "MAC only"
    SIGNATURE_ONLY = "signature only"

    @property
    def signed(self) -> bool:
        """Whether the 64-octet signature must be there."""
        return self is not Protection.MAC_ONLY

    @property
    def with_mac(self) -> bool:
        """Whether the Broker's MAC must be there."""
        return self is not Protection.SIGNATURE_ONLY


@dataclass(frozen=True, slots=True)
class ModeRule:
    """One row.

    `authority`: the cell whose holder may issue the Command; its role's counter counts it.
    `names_authority`: whether the payload names that cell (docs/sources.md#update-payload, field
    [2]). `cells`: those the mode may replace. `own_floor`: whether [4] may set a floor of the
    authorising role. `floors_of`: the roles [6] may name. Top-ups are the supplier's alone: so are
    the specialist floors, [5] and nested in [6]. `held`: False where no cell holds the key it is
    verified with (meter_sim.device.contingency).
    """

    mode: Mode
    authority: CellId
    protection: Protection
    cells: frozenset[CellId]
    devices: frozenset[DeviceType]
    own_floor: bool = False
    floors_of: frozenset[Role] = frozenset()
    names_authority: bool = True
    held: bool = True


_BOTH = Protection.SIGNATURE_AND_MAC
_ALL_DEVICES = frozenset(DeviceType)
_MADE_BY_RECOVERY = (
    SUPPLIER_CELLS
    | NETWORK_CELLS
    | LOAD_CONTROLLER_CELLS
    | {RECOVERY_DS, ACB_DS, ACB_KA, TRANS_COS_DS, WAN_PROVIDER_DS}
)
_OTHERS = frozenset({Role.SUPPLIER, Role.NETWORK_OPERATOR, Role.ACCESS_CONTROL_BROKER})
_OTHERS |= {Role.TRANSITIONAL_COS, Role.WAN_PROVIDER, Role.LOAD_CONTROLLER}


def _with(*cells: CellId) -> frozenset[DeviceType]:
    """The device types that have, or may have, all of these cells."""
    return frozenset(
        kind for kind, table in CELLS.items() if table.required | table.optional >= set(cells)
    )


_CHF = frozenset({DeviceType.CHF})

_ROWS = (
    ModeRule(Mode.ROOT_BY_SUPPLIER, SUPPLIER_DS, _BOTH, frozenset({ROOT}), _with(SUPPLIER_DS)),
    ModeRule(Mode.ROOT_BY_WAN_PROVIDER, WAN_PROVIDER_DS, _BOTH, frozenset({ROOT}), _CHF),
    ModeRule(
        Mode.SUPPLIER_BY_SUPPLIER,
        SUPPLIER_DS,
        _BOTH,
        SUPPLIER_CELLS,
        _with(SUPPLIER_DS),
        own_floor=True,
    ),
    ModeRule(
        Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR,
        NETWORK_DS,
        _BOTH,
        NETWORK_CELLS,
        _with(NETWORK_DS),
        own_floor=True,
    ),
    # On a CHF, which holds the Broker's signing certificate, the row below is replaced: see rule().
    ModeRule(
        Mode.ACCESS_CONTROL_BROKER_BY_ACB,
        ACB_KA,
        Protection.MAC_ONLY,
        frozenset({ACB_KA}),
        _ALL_DEVICES,
        own_floor=True,
        names_authority=False,
    ),
    ModeRule(
        Mode.WAN_PROVIDER_BY_WAN_PROVIDER,
        WAN_PROVIDER_DS,
        _BOTH,
        frozenset({WAN_PROVIDER_DS}),
        _CHF,
        own_floor=True,
    ),
    ModeRule(
        Mode.TRANS_COS_BY_TRANS_COS,
        TRANS_COS_DS,
        _BOTH,
        frozenset({TRANS_COS_DS}),
        _with(TRANS_COS_DS),
        own_floor=True,
    ),
    ModeRule(
        Mode.SUPPLIER_BY_TRANS_COS,
        TRANS_COS_DS,
        _BOTH,
        SUPPLIER_CELLS,
        _with(TRANS_COS_DS, SUPPLIER_DS),
        floors_of=frozenset({Role.SUPPLIER}),
    ),
    # The mode's name would leave room for a root that the old one vouches for. No vector replaces
    # it so, and a stolen recovery key must not reach the root: here it is left out.
    # That is a reconstruction.
    ModeRule(
        Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY,
        RECOVERY_DS,
        Protection.SIGNATURE_ONLY,
        _MADE_BY_RECOVERY,
        _ALL_DEVICES,
        own_floor=True,
        floors_of=_OTHERS,
    ),
    # Reconstruction, see meter_sim.device.contingency: verified with a key that is in no cell.
    # A cell is named all the same: only the Broker's own replacement leaves it out (GBCS 0.8.1
    # p179).
    ModeRule(
        Mode.ANY_BY_CONTINGENCY,
        ROOT,
        Protection.SIGNATURE_ONLY,
        _MADE_BY_RECOVERY | {ROOT},
        _ALL_DEVICES,
        floors_of=_OTHERS | {Role.ROOT, Role.RECOVERY},
        held=False,
    ),
    ModeRule(
        Mode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER,
        LOAD_CONTROLLER_DS,
        _BOTH,
        LOAD_CONTROLLER_CELLS,
        _with(LOAD_CONTROLLER_DS),
        own_floor=True,
    ),
    ModeRule(
        Mode.LOAD_CONTROLLER_BY_SUPPLIER,
        SUPPLIER_DS,
        _BOTH,
        LOAD_CONTROLLER_CELLS,
        _with(LOAD_CONTROLLER_DS, SUPPLIER_DS),
        floors_of=frozenset({Role.LOAD_CONTROLLER}),
    ),
)

MODES: dict[Mode, ModeRule] = {row.mode: row for row in _ROWS}

ACB_ON_CHF = ModeRule(
    Mode.ACCESS_CONTROL_BROKER_BY_ACB,
    ACB_DS,
    _BOTH,
    frozenset({ACB_DS, ACB_KA}),
    _CHF,
    own_floor=True,
)
"""Mode 4 on a Communications Hub Function: signed and named (GBCS 0.8.1 p163, p179)."""


def rule(mode: Mode, device_type: DeviceType) -> ModeRule:
    """The row for this mode as it stands on this type of device."""
    if mode is Mode.ACCESS_CONTROL_BROKER_BY_ACB and device_type is DeviceType.CHF:
        return ACB_ON_CHF
    return MODES[mode]
