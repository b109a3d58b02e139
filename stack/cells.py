"""A meter's trust anchor cells, as the lab port of the meter simulator tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stack.connection import Connection


@dataclass(frozen=True)
class CellContent:
    """What one cell holds: whose certificate (entity identifier) and which key identifier."""

    subject: str
    key_identifier: str
    fingerprint: str


def cells_of(connection: Connection, device: str) -> dict[str, CellContent]:
    """The trust anchor cells of a device, by cell name."""
    told = connection.lab("meter_sim", "GET", f"/lab/devices/{device}")
    return {
        name: CellContent(held["subject"], held["key_identifier"], held["fingerprint"])
        for name, held in told["cells"].items()
    }


def changed(before: dict[str, CellContent], after: dict[str, CellContent]) -> set[str]:
    """The cells that hold another certificate than before."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def devices_in(connection: Connection) -> list[dict[str, Any]]:
    """Every device of the meter simulator (eui, device_type, ...), however many pages that is."""
    return pages(connection, "meter_sim", "/lab/devices")


def pages(connection: Connection, system: str, path: str) -> list[dict[str, Any]]:
    """Every device that a lab route lists page by page."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        asked = f"{path}{'&' if '?' in path else '?'}limit=10000&after={after}"
        page = connection.lab(system, "GET", asked)
        found += page["devices"]
        after = page.get("next") or ""
        if not after:
            return found
