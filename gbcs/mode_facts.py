"""What each credentials replacement mode may carry: whose authority, which cells, which floors.

Source: docs/sources.md#modes, #update-payload (GBCS 0.8.1 p163 and p179; modes 2 to 8, 10 and 11
confirmed by RTDS vectors). Reconstructions: all of modes 0, 1 and 9, which have no published
command; that mode 8 may also replace the root, the WAN provider's and the load controller's cells;
and that mode 5 and 6 may set a floor for the authorising role, which the vectors do not.
"""

from __future__ import annotations

from dataclasses import dataclass

from gbcs.codes import CellUsage, KeyUsage, RemotePartyRole
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.payloads.cells import CellId

_ROOT = CellId(RemotePartyRole.ROOT, KeyUsage.KEY_CERT_SIGN)


def _signing(role: RemotePartyRole) -> CellId:
    return CellId(role, KeyUsage.DIGITAL_SIGNATURE)


def _agreement(role: RemotePartyRole) -> CellId:
    return CellId(role, KeyUsage.KEY_AGREEMENT)


def _both(role: RemotePartyRole) -> frozenset[CellId]:
    return frozenset({_signing(role), _agreement(role)})


_RECOVERY = _signing(RemotePartyRole.RECOVERY)
_SUPPLIER = _signing(RemotePartyRole.SUPPLIER)
_TRANS_COS = _signing(RemotePartyRole.TRANSITIONAL_COS)
_WAN_PROVIDER = _signing(RemotePartyRole.WAN_PROVIDER)
_SUPPLIER_CELLS = _both(RemotePartyRole.SUPPLIER) | {
    CellId(RemotePartyRole.SUPPLIER, KeyUsage.KEY_AGREEMENT, CellUsage.PREPAYMENT_TOP_UP)
}
_NETWORK_OPERATOR_CELLS = _both(RemotePartyRole.NETWORK_OPERATOR)
_ACB_CELLS = _both(RemotePartyRole.ACCESS_CONTROL_BROKER)
_LOAD_CONTROLLER_CELLS = _both(RemotePartyRole.LOAD_CONTROLLER)
_ALL_CELLS = (
    frozenset({_ROOT, _RECOVERY, _TRANS_COS, _WAN_PROVIDER})
    | _SUPPLIER_CELLS
    | _NETWORK_OPERATOR_CELLS
    | _ACB_CELLS
    | _LOAD_CONTROLLER_CELLS
)
_ALL_ROLES = frozenset(cell.role for cell in _ALL_CELLS)


@dataclass(frozen=True, slots=True)
class ModeFacts:
    """What one mode may carry.

    Attributes:
        authorising_cells: the cells whose key may authorise it; None among them if the field may
            be left out.
        targets: the cells it may replace.
        own_floor: whether field [4] may set the authorising role's floor.
        own_specialist_floors: whether field [5] may.
        other_roles: the roles whose floors field [6] may set.
        other_floors_needed: whether field [6] must be there (unless the command cancels).
    """

    authorising_cells: frozenset[CellId | None]
    targets: frozenset[CellId]
    own_floor: bool = False
    own_specialist_floors: bool = False
    other_roles: frozenset[RemotePartyRole] = frozenset()
    other_floors_needed: bool = False


MODE_FACTS: dict[Mode, ModeFacts] = {
    Mode.ROOT_BY_SUPPLIER: ModeFacts(frozenset({_SUPPLIER}), frozenset({_ROOT})),
    Mode.ROOT_BY_WAN_PROVIDER: ModeFacts(frozenset({_WAN_PROVIDER}), frozenset({_ROOT})),
    Mode.SUPPLIER_BY_SUPPLIER: ModeFacts(
        frozenset({_SUPPLIER}), _SUPPLIER_CELLS, own_floor=True, own_specialist_floors=True
    ),
    Mode.NETWORK_OPERATOR_BY_NETWORK_OPERATOR: ModeFacts(
        frozenset({_signing(RemotePartyRole.NETWORK_OPERATOR)}),
        _NETWORK_OPERATOR_CELLS,
        own_floor=True,
    ),
    # On a communications hub the broker has a signing cell; elsewhere it names none.
    Mode.ACCESS_CONTROL_BROKER_BY_ACB: ModeFacts(
        frozenset({None, _signing(RemotePartyRole.ACCESS_CONTROL_BROKER)}),
        _ACB_CELLS,
        own_floor=True,
    ),
    Mode.WAN_PROVIDER_BY_WAN_PROVIDER: ModeFacts(
        frozenset({_WAN_PROVIDER}), frozenset({_WAN_PROVIDER}), own_floor=True
    ),
    Mode.TRANS_COS_BY_TRANS_COS: ModeFacts(
        frozenset({_TRANS_COS}), frozenset({_TRANS_COS}), own_floor=True
    ),
    Mode.SUPPLIER_BY_TRANS_COS: ModeFacts(
        frozenset({_TRANS_COS}),
        _SUPPLIER_CELLS,
        other_roles=frozenset({RemotePartyRole.SUPPLIER}),
        other_floors_needed=True,
    ),
    Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY: ModeFacts(
        frozenset({_RECOVERY}),
        _ALL_CELLS,
        own_floor=True,
        other_roles=_ALL_ROLES - {RemotePartyRole.RECOVERY},
    ),
    Mode.ANY_BY_CONTINGENCY: ModeFacts(frozenset({_ROOT}), _ALL_CELLS, other_roles=_ALL_ROLES),
    Mode.LOAD_CONTROLLER_BY_LOAD_CONTROLLER: ModeFacts(
        frozenset({_signing(RemotePartyRole.LOAD_CONTROLLER)}),
        _LOAD_CONTROLLER_CELLS,
        own_floor=True,
    ),
    Mode.LOAD_CONTROLLER_BY_SUPPLIER: ModeFacts(
        frozenset({_SUPPLIER}),
        _LOAD_CONTROLLER_CELLS,
        other_roles=frozenset({RemotePartyRole.LOAD_CONTROLLER}),
    ),
}
"""The facts of every mode."""
