"""One change of supplier as the incoming supplier drives it: sign, submit, wait for the outcome."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.connection import LONG_POLL, Connection, refusal
from cli.errors import UNREACHABLE, CommandError
from cli.provision import devices_of
from cli.supplier import Supplier

FINAL_STATES = frozenset({"completed", "refused", "failed", "quarantined", "scheduled"})
"""States in which nothing more happens by itself (a scheduled change waits for its date)."""


@dataclass(frozen=True)
class Outcome:
    """How a request ended, and the signed documents that passed at the user's interface."""

    request_id: str
    request: bytes
    state: str
    response_code: str | None
    acknowledgement: bytes | None
    response: bytes | None
    refused: dict[str, Any] | None

    @property
    def ok(self) -> bool:
        """Whether the device now obeys the requester (or will, at the date asked for)."""
        return self.state in {"completed", "scheduled"}

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: documents as text."""
        return {
            "request_id": self.request_id,
            "state": self.state,
            "response_code": self.response_code,
            "refused": self.refused,
            "response": self.response.decode() if self.response else None,
        }


def meter_point_of(connection: Connection, meter: str) -> str:
    """The import MPxN of a device: from the ceremony where it made the device, else the broker."""
    if connection.stack.data and (connection.stack.data / "devices.json").is_file():
        for device in devices_of(connection.stack.data):
            if device["eui"] == meter:
                return str(device["mpxn"])
    told = connection.lab("acb", "GET", f"/lab/devices/{meter}")
    return str(told["mpxns"][0])


def switch(connection: Connection, data: Path, meter: str, supplier: str) -> Outcome:
    """Let a supplier take over a meter by a 6.23 request that it signs with its own keys."""
    mpxn = meter_point_of(connection, meter)
    request_id, document = Supplier.open(data, supplier).change_of_supplier(meter, mpxn)
    return submit(connection, document, str(request_id))


def submit(connection: Connection, document: bytes, request_id: str) -> Outcome:
    """Post a signed document and wait until the broker says how it ended.

    Raises:
        CommandError: the broker refused the document before it knew who asked (exit code 1, with
            the check's name), or cannot be reached (exit code 4).
    """
    answer = connection.submit(document)
    if answer.is_error:
        raise refusal("acb", answer)
    if check := answer.headers.get("Cos-Check"):
        # Refused at once, by name: the answer itself is the signed response.
        told: dict[str, Any] = {
            "state": "refused",
            "refused": {"party": answer.headers.get("Cos-Party", "acb"), "check": check},
            "response": base64.b64encode(answer.content).decode(),
        }
        return outcome(request_id, document, told, None)
    for _ in range(10):
        told = connection.request_state(request_id, wait=LONG_POLL)
        if told["state"] in FINAL_STATES:
            return outcome(request_id, document, told, answer.content)
    raise CommandError(f"acb: {request_id} does not end within {10 * LONG_POLL} s", UNREACHABLE)


def outcome(request_id: str, request: bytes, told: dict[str, Any], ack: bytes | None) -> Outcome:
    """The broker's JSON answer as a value."""
    response = told.get("response")
    return Outcome(
        request_id=request_id,
        request=request,
        state=told["state"],
        response_code=told.get("response_code"),
        acknowledgement=ack,
        response=base64.b64decode(response) if response else None,
        refused=told.get("refused"),
    )
