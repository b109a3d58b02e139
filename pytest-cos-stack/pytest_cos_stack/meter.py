"""One meter as it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_cos_stack.stack import CosStack


@dataclass(frozen=True)
class CellContent:
    """What one cell holds: whose certificate (entity identifier) and which key identifier."""

    subject: str
    key_identifier: str
    fingerprint: str


class Meter:
    """One meter: its trust anchor cells, and what it refused."""

    def __init__(self, stack: CosStack, eui: str) -> None:
        self._stack = stack
        self.eui = eui

    def cells(self) -> dict[str, CellContent]:
        """Its trust anchor cells by name: subject, key identifier and fingerprint of each."""
        told = self._stack.lab("meter_sim", "GET", f"/lab/devices/{self.eui}")
        return {
            name: CellContent(held["subject"], held["key_identifier"], held["fingerprint"])
            for name, held in told["cells"].items()
        }

    @property
    def supplier(self) -> str:
        """The entity identifier of the supplier whose commands it obeys."""
        return self.cells()["supplier/digitalSignature/management"].subject

    def refusals(self) -> list[dict[str, Any]]:
        """What it refused and by which check, oldest first."""
        told = self._stack.lab("meter_sim", "GET", f"/lab/devices/{self.eui}/refusals")
        return list(told["refusals"])
