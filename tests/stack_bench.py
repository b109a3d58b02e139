"""A running stack and what a tester wants to do with it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from stack.cells import CellContent, cells_of
from stack.connection import Connection
from stack.provision import devices_of
from stack.supplier import Supplier
from stack.switching import Outcome, submit, switch
from stack.trace import RequestTrace, tell

PARTIES = ("acb", "tcos_party", "ecos_party", "meter_sim")


@dataclass
class Bench:
    """A running stack and what a tester wants to do with it."""

    data: Path
    connection: Connection

    @property
    def devices(self) -> list[dict[str, Any]]:
        return devices_of(self.data)

    def meter(self, cos_party: str) -> str:
        return str(next(d["eui"] for d in self.devices if d["cos_party"] == cos_party))

    def mpxn(self, meter: str) -> str:
        return str(next(d["mpxn"] for d in self.devices if d["eui"] == meter))

    def supplier(self, name: str) -> Supplier:
        return Supplier.open(self.data, name)

    def cells(self, meter: str) -> dict[str, CellContent]:
        return cells_of(self.connection, meter)

    def device(self, meter: str) -> dict[str, Any]:
        told: dict[str, Any] = self.connection.lab("meter_sim", "GET", f"/lab/devices/{meter}")
        return told

    def switch(self, meter: str, supplier: str) -> Outcome:
        return switch(self.connection, self.data, meter, supplier)

    def submit(self, document: bytes, request_id: object) -> Outcome:
        return submit(self.connection, document, str(request_id))

    def post(self, body: bytes, content_type: str = "application/xml") -> httpx.Response:
        url = f"{self.connection.stack.services['acb'].interface}/service-requests"
        return self.connection.http.post(url, content=body, headers={"Content-Type": content_type})

    def story(self, outcome: Outcome) -> RequestTrace:
        return tell(self.connection, outcome.request_id)

    def check(self, party: str, check: str, *, enabled: bool) -> None:
        self.connection.lab(party, "PUT", f"/lab/checks/{check}", {"enabled": enabled})

    def reset(self) -> None:
        for party in PARTIES:
            self.connection.lab(party, "POST", "/lab/reset")

    def response_payload(self, outcome: Outcome) -> bytes:
        assert outcome.response is not None
        text = outcome.response.decode()
        start_at = text.index("GBCSPayload>") + len("GBCSPayload>")
        return base64.b64decode(text[start_at : text.index("</", start_at)])

    def state(self, meter: str) -> dict[str, Any]:
        """All that must not change when an act is refused."""
        told = self.device(meter)
        return {
            "cells": told["cells"],
            "counters": told["counters"],
            "record": self.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"],
            "tcos": self.connection.lab("tcos_party", "GET", "/lab/counters"),
            "ecos": self.connection.lab("ecos_party", "GET", "/lab/counters"),
        }
