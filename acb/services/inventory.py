"""8.2 Read Inventory: the broker answers by itself, from its record of devices, at once.

Reconstructions (docs/sources.md#services gives the service, its roles and its variant 8; who
may see what is not public): the request is addressed to the broker itself; a user sees the devices
one of whose cells holds its certificate; searching by property is not offered, because no
properties are kept. What the record does not hold (manufacturer, model) is said to be unknown.
"""

from __future__ import annotations

from typing import Final

from acb.model import DeviceRecord, ServiceRules
from acb.rules import codes
from acb.services.evidence import RECONSTRUCTION, ServiceEvidence, holds_a_cell
from acb.services.service import Service, Variant
from duis.model import Inventory, InventoryDevice, ReadInventory, RequestBody
from services.chassis.checks import Check, CheckFailed, check

MOST: Final = 17
"""Devices in one answer, at most (DUIS 5.4 XSD)."""
NOT_KEPT: Final = "unknown"


def matches(device: DeviceRecord, body: RequestBody) -> bool:
    """Whether a device is what the search names."""
    if not isinstance(body, ReadInventory):
        return False
    if body.device is not None:
        return device.eui == body.device
    return body.mpxn is not None and body.mpxn in device.mpxns


@check("acb.inventory.target", source=RECONSTRUCTION, code=codes.DEVICE_NOT_ELIGIBLE)
def target(evidence: ServiceEvidence) -> None:
    """Addressed to the broker itself.

    No device is asked anything.
    """
    if evidence.target != evidence.broker.subject_eui:
        raise CheckFailed(
            "not addressed to the broker",
            expected=evidence.broker.subject_eui,
            found=evidence.target,
        )


@check(
    "acb.inventory.key",
    source="DUIS 5.4 XSD; a limit of this simulation",
    code=codes.INVENTORY_KEY,
)
def key(evidence: ServiceEvidence) -> None:
    """Searched by device or meter point.

    That is what the record keeps.
    """
    body = evidence.request.body
    if not isinstance(body, ReadInventory) or (body.device is None and body.mpxn is None):
        raise CheckFailed(
            "properties are not kept here", expected="DeviceID or MPxN", found="another key"
        )


@check("acb.inventory.found", source=RECONSTRUCTION, code=codes.INVENTORY_NOTHING)
def found(evidence: ServiceEvidence) -> None:
    """The inventory has such a device.

    And no more of them than one answer holds.
    """
    if not 0 < len(evidence.found) <= MOST:
        raise CheckFailed(
            "no such device, or too many", expected=f"1 to {MOST}", found=str(len(evidence.found))
        )


@check("acb.inventory.visible", source=RECONSTRUCTION, code=codes.INVENTORY_NOTHING)
def visible(evidence: ServiceEvidence) -> None:
    """The user may see it.

    At least one of them; only those are shown.
    """
    if not _visible_to_requester(evidence):
        raise CheckFailed("no cell of the device holds a certificate of the user")


def inventory(evidence: ServiceEvidence) -> Inventory:
    """The answer: of the devices found, those the user may see.

    (All that were found, if the check `acb.inventory.visible` is switched off and there are none.)
    """
    shown = _visible_to_requester(evidence) or evidence.found
    return Inventory(
        tuple(
            InventoryDevice(
                device=item.eui,
                device_type=item.device_type,
                manufacturer=NOT_KEPT,
                model=NOT_KEPT,
                status=item.status,
                import_mpxn=item.mpxns[0] if item.mpxns else None,
            )
            for item in shown
        )
    )


def _visible_to_requester(evidence: ServiceEvidence) -> tuple[DeviceRecord, ...]:
    return tuple(item for item in evidence.found if holds_a_cell(item, evidence.requester))


INVENTORY_CHECKS: Final[tuple[Check[ServiceEvidence], ...]] = (target, key, found, visible)

READ_INVENTORY: Final = Service(
    ServiceRules(
        variant="8.2",
        reference="8.2",
        command_variants=frozenset({8}),
        roles=frozenset({"IS", "ES", "GS", "RSA", "ED", "GT", "OU"}),
        device_statuses=frozenset(),
        uses_cos_party=False,
        targets_device=False,
    ),
    {8: Variant(INVENTORY_CHECKS, answer=inventory)},
    searches=matches,
)
