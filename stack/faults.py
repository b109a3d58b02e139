"""Faults and quirks on the lab ports: what `cos faults`, `cos quirks` and the plugin do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stack.connection import Connection
from stack.errors import USAGE, CommandError

WHERE = (
    *("inbound-request", "inbound-answer", "outbound-request", "outbound-answer"),
    *("device-request", "device-answer"),
)
"""Which half of an exchange: others call the system, or it calls them, or it is a device's."""

MATCHED = ("method", "path", "purpose", "message_id", "request_id", "device")
"""What a message can be told by; all that is given must fit."""


def order_of(kind: str, where: str, **more: Any) -> dict[str, Any]:
    """A fault as the lab port takes it; what is None is left out.

    Args:
        kind: what befalls the message, for example ``drop``.
        where: one of `WHERE`.
        more: `hop`, `times` (0: until it is removed), the members of `MATCHED`, and parameters.

    Raises:
        CommandError: `where` is none of `WHERE`.
    """
    if where not in WHERE:
        raise CommandError(f"{where} is not one of {', '.join(WHERE)}", USAGE)
    direction, part = where.split("-")
    given = {name: value for name, value in more.items() if value is not None}
    match = {name: given.pop(name) for name in MATCHED if name in given}
    if given.get("times") == 0:
        given["times"] = None
    return {"kind": kind, "direction": direction, "part": part, "match": match, **given}


def arm(connection: Connection, party: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """Arm a fault at a system; what the system says of it, its id first."""
    told: dict[str, Any] = _lab(connection, party, "POST", "/lab/faults", dict(order))
    return told


def listed(connection: Connection, parties: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What each system says of its faults, of its hops and of the kinds it can have."""
    return {party: _lab(connection, party, "GET", "/lab/faults") for party in parties}


def remove(connection: Connection, party: str, fault: str) -> dict[str, Any]:
    """Undo one fault."""
    told: dict[str, Any] = _lab(connection, party, "DELETE", f"/lab/faults/{fault}")
    return told


def release(connection: Connection, party: str, fault: str) -> int:
    """Carry on what a fault holds back; how many messages that were."""
    return int(_lab(connection, party, "POST", f"/lab/faults/{fault}/release")["released"])


def clear(connection: Connection, parties: Iterable[str]) -> dict[str, int]:
    """Undo every fault of those systems; how many there were."""
    return {
        party: int(_lab(connection, party, "DELETE", "/lab/faults")["removed"]) for party in parties
    }


def quirks(connection: Connection, parties: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The quirks that each system can have, and which are on."""
    return {party: _lab(connection, party, "GET", "/lab/quirks")["quirks"] for party in parties}


def switch_quirk(connection: Connection, party: str, name: str, *, on: bool) -> dict[str, Any]:
    """Switch a quirk of a system on or off."""
    told: dict[str, Any] = _lab(connection, party, "PUT", f"/lab/quirks/{name}", {"on": on})
    return told


def parties_of(connection: Connection, named: str | None) -> list[str]:
    """The system named, or all.

    Raises:
        CommandError: there is none of that name.
    """
    if named is None:
        return list(connection.stack.services)
    _known(connection, named)
    return [named]


def _known(connection: Connection, party: str) -> None:
    if party not in connection.stack.services:
        known = ", ".join(connection.stack.services)
        raise CommandError(f"no system {party} here; there are {known}", USAGE)


def _lab(connection: Connection, party: str, method: str, path: str, body: Any = None) -> Any:
    _known(connection, party)
    return connection.lab(party, method, path, body)
