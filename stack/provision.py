"""What a new stack needs before a home can change supplier: devices and users are made known.

A device is installed in two places that never talk about it: in the meter simulator (it really
holds the trust anchor cells) and in the broker's record (what the broker believes it holds).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from stack.cells import devices_in, pages
from stack.connection import Connection

AT_ONCE: Final = 1000  # devices; a body of about 6 MB

Progress = Callable[[str], None]


def devices_of(data: Path) -> list[dict[str, Any]]:
    """The devices that the ceremony made, as `DATA/devices.json` lists them."""
    listed: list[dict[str, Any]] = json.loads((data / "devices.json").read_text())
    return listed


def fleets_of(data: Path) -> list[dict[str, Any]]:
    """The fleets that were added to the estate (`stack.fleets`), as `DATA/fleets.json` has them."""
    path = data / "fleets.json"
    listed: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    return listed


def provision(
    connection: Connection,
    data: Path,
    *,
    afresh: bool = False,
    progress: Progress = lambda _line: None,
) -> int:
    """Install the ceremony's devices and users, and fleets; returns the number of devices.

    Args:
        connection: the stack.
        data: its data folder, for what the ceremony made.
        afresh: put devices that are there already back as they were at installation; otherwise
            they stay as they are, so that a stack which is started again keeps its state.
        progress: told how far it is, where there are many devices.
    """
    devices = devices_of(data)
    # The meters take a device again that they have already; only many are not sent in vain.
    known_meters: set[str] = set()
    if afresh or len(devices) > AT_ONCE:
        known_meters = {d["eui"] for d in devices_in(connection)}
    known_records = (
        set() if afresh else {d["eui"] for d in pages(connection, "acb", "/lab/devices?names=true")}
    )
    if afresh:
        for device in devices:
            if device["eui"] in known_meters:
                connection.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
        known_meters = set()

    def install(system: str, known: set[str], made: Callable[[dict[str, Any]], Any]) -> None:
        new = [device for device in devices if device["eui"] not in known]
        for begin in range(0, len(new), AT_ONCE):
            chunk = [made(device) for device in new[begin : begin + AT_ONCE]]
            connection.lab(system, "POST", "/lab/devices", chunk)
            if len(new) > AT_ONCE:
                progress(f"{system}: {begin + len(chunk)} of {len(new)} devices")

    with ThreadPoolExecutor() as beside:  # two processes; neither knows of the other
        for done in [
            beside.submit(install, "meter_sim", known_meters, order_of),
            beside.submit(install, "acb", known_records, record_of),
        ]:
            done.result()
    fleets = fleets_of(data)
    for fleet in fleets:
        order = {name: fleet["run"][name] for name in ("first_eui", "count", "device_type")}
        connection.lab("meter_sim", "POST", "/lab/fleets", {**order, "cells": fleet["cells"]})
    for supplier in connection.stack.facts["suppliers"]:
        connection.lab("acb", "POST", "/lab/users", user_of(supplier))
    return len(devices) + sum(int(fleet["run"]["count"]) for fleet in fleets)


def order_of(device: dict[str, Any]) -> dict[str, Any]:
    """What the meters' factory is told of a device."""
    return {name: device[name] for name in ("eui", "device_type", "cells", "certificates")}


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
