"""What a new stack needs before a home can change supplier: devices and users are made known.

A device is installed in two places that never talk about it: in the meter simulator (it really
holds the trust anchor cells) and in the broker's record (what the broker believes it holds).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stack.cells import devices_in
from stack.connection import Connection


def devices_of(data: Path) -> list[dict[str, Any]]:
    """The devices that the ceremony made, as `DATA/devices.json` lists them."""
    listed: list[dict[str, Any]] = json.loads((data / "devices.json").read_text())
    return listed


def provision(connection: Connection, data: Path, *, afresh: bool = False) -> int:
    """Install the ceremony's devices and users; returns the number of devices.

    Args:
        connection: the stack.
        data: its data folder, for what the ceremony made.
        afresh: put devices that are there already back as they were at installation; otherwise
            they stay as they are, so that a stack which is started again keeps its state.
    """
    known_meters = {d["eui"] for d in devices_in(connection)}
    known_records = {d["eui"] for d in connection.lab("acb", "GET", "/lab/devices")["devices"]}
    devices = devices_of(data)
    for device in devices:
        if afresh and device["eui"] in known_meters:
            connection.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
            known_meters.remove(device["eui"])
        if device["eui"] not in known_meters:
            connection.lab(
                "meter_sim",
                "POST",
                "/lab/devices",
                {k: device[k] for k in ("eui", "device_type", "cells", "certificates")},
            )
        if afresh or device["eui"] not in known_records:
            connection.lab("acb", "POST", "/lab/devices", record_of(device))
    for supplier in connection.stack.facts["suppliers"]:
        connection.lab("acb", "POST", "/lab/users", user_of(supplier))
    return len(devices)


def record_of(device: dict[str, Any]) -> dict[str, Any]:
    """What the broker is told of a device: it is commissioned, and what its cells hold."""
    return {
        "eui": device["eui"],
        "device_type": device["device_type"],
        "status": "Commissioned",
        "mpxns": [device["mpxn"]],
        "certificates": device["certificates"],
        "cells": device["cells"],
    }


def user_of(supplier: dict[str, Any]) -> dict[str, Any]:
    """What the broker is told of a supplier: an import supplier, no callback yet."""
    return {
        "name": supplier["name"],
        "participant": supplier["participant"],
        "eui": supplier["eui"],
        "roles": ["IS"],
        "callback_url": None,
    }
