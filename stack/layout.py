"""Where a stack keeps its things: the data folder, its ports, its configuration files.

One folder holds one run. Below it every system has a folder of its own (keys, trust, database,
log, configuration) that no other system is told about::

    DATA/<system>/config.toml   written here, read by that system alone
    DATA/stack.json             where each listens and under which process identifier
    DATA/estate.json            public facts of the ceremony (identities, meter points)
    DATA/devices.json           the devices that are installed at start
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tomli_w

from stack.errors import MISSING, UNREACHABLE, CommandError
from stack.systems import COS_PARTIES, PEERS, SYSTEMS

FIRST_PORT = 8610
QUIET_FROM, QUIET_PORTS = 12_000, 20_000
"""Ports below 32,768, where Linux begins to take ports for outgoing connections."""


@dataclass(frozen=True)
class Addresses:
    """Base URLs of one system: the interface and the lab port."""

    interface: str
    lab: str


@dataclass
class Stack:
    """A running (or once running) stack, as its data folder or its base URLs describe it."""

    data: Path | None
    services: dict[str, Addresses]
    pids: dict[str, int] = field(default_factory=dict)
    lab_tokens: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def acb_eui(self) -> str:
        """The Access Control Broker's entity identifier, 16 hex digits."""
        return str(self.facts.get("acb_eui", ""))

    def supplier(self, name: str) -> dict[str, str]:
        """The public facts of the supplier with that name (case-insensitive)."""
        for supplier in self.facts.get("suppliers", []):
            if supplier["name"].lower() == name.lower():
                return dict(supplier)
        known = ", ".join(s["name"] for s in self.facts.get("suppliers", []))
        raise CommandError(f"no supplier named {name!r} here; there are: {known}", MISSING)

    def supplier_name(self, eui: str) -> str:
        """The name of the organisation with that entity identifier, or the identifier."""
        for supplier in self.facts.get("suppliers", []):
            if supplier["eui"] == eui:
                return f"supplier {supplier['name']}"
        named = {**self.facts.get("parties", {}), **self.facts.get("organisations", {})}
        return {str(known): str(name) for name, known in named.items()}.get(eui, eui)


def stack_file(data: Path) -> Path:
    """The file that says where a stack's systems listen."""
    return data / "stack.json"


def load_stack(data: Path) -> Stack:
    """Read the description of the stack in `data`.

    Raises:
        CommandError: no stack was ever started there (exit code 3).
    """
    path = stack_file(data)
    if not path.is_file():
        raise CommandError(f"no stack in {data}: start one with `cos up --data {data}`", MISSING)
    told = json.loads(path.read_text())
    services = {name: Addresses(**urls) for name, urls in told["services"].items()}
    tokens = {name: token for name in services if (token := read_token(data, name))}
    facts = read_facts(data)
    return Stack(data, services, {k: int(v) for k, v in told["pids"].items()}, tokens, facts)


def read_token(data: Path, system: str) -> str | None:
    """The lab credential of a system: from its folder, or the copy that containers' tools have."""
    for path in (data / system / "lab.token", data / "lab-tokens" / system):
        if path.is_file():
            return path.read_text().strip()
    return None


def read_facts(data: Path) -> dict[str, Any]:
    """The public facts of the ceremony in `data`, or none where there was no ceremony."""
    estate = data / "estate.json"
    facts: dict[str, Any] = json.loads(estate.read_text()) if estate.is_file() else {}
    return facts


def save_stack(stack: Stack) -> None:
    """Write where the systems listen, for later commands (whole file or nothing)."""
    assert stack.data is not None
    told = {
        "services": {
            name: {"interface": urls.interface, "lab": urls.lab}
            for name, urls in stack.services.items()
        },
        "pids": stack.pids,
    }
    path = stack_file(stack.data)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(told, indent=2) + "\n")
    fresh.replace(path)


def ports_of(stack: Stack) -> list[int]:
    """The ports of a stack, interface and lab port of each system; none if one is not told."""
    urls = [stack.services[name] for name in SYSTEMS if name in stack.services]
    ports = [urlsplit(url).port for one in urls for url in (one.interface, one.lab)]
    told = [port for port in ports if port is not None]
    return told if len(told) == 2 * len(SYSTEMS) else []


def choose_ports(
    count: int, first: int | None = FIRST_PORT, before: Sequence[int] = ()
) -> list[int]:
    """`count` TCP ports on loopback: the usual ones where they are free, others where not.

    With `first` None any ports are chosen, for stacks that start beside each other: at random, and
    below the range from which systems take ports for outgoing connections, one of which might
    otherwise have taken a port before the system that it was chosen for. The ports of `before`,
    which the same systems had, are tried first. The sockets are held open together while choosing,
    so that no port is chosen twice.
    """
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        for offset in range(count):
            # A usual port may have just been left by the same system; another must be unused.
            usual = list(before[offset : offset + 1])
            usual += [] if first is None else [first + offset]
            others = [QUIET_FROM + secrets.randbelow(QUIET_PORTS) for _ in range(64)]
            for candidate in [*usual, *others]:
                if candidate in ports or (candidate not in usual and candidate in before):
                    continue
                bound = bind(candidate, again=candidate in usual)
                if bound is not None:
                    held.append(bound)
                    ports.append(candidate)
                    break
            else:
                raise CommandError("no free ports for the systems to listen on", UNREACHABLE)
    finally:
        for one in held:
            one.close()
    return ports


def bind(port: int, *, again: bool) -> socket.socket | None:
    """A socket bound to a port of loopback, or None; `again`: it may have just been left."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if again:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        return None
    return bound


def is_free(port: int) -> bool:
    """Whether a system could listen on that port of loopback now."""
    bound = bind(port, again=True)
    if bound is not None:
        bound.close()
    return bound is not None


def write_config(
    data: Path,
    system: str,
    listen: dict[str, tuple[str, int]],
    reach: Callable[[str], str],
    extra: dict[str, Any] | None = None,
) -> Path:
    """Write `DATA/<system>/config.toml` and return its path.

    Args:
        data: the stack's data folder.
        system: which system the file is for.
        listen: host and port of its "interface" and its "lab" port.
        reach: the base URL at which it reaches another system's interface.
        extra: further settings.
    """
    parties: dict[str, str] = read_facts(data).get("parties", {})
    peers = {peer: reach(peer) for peer in PEERS[system]}
    config: dict[str, Any] = {"party": system, "data": ".", "peers": peers, **(extra or {})}
    if system in parties:
        config["eui"] = parties[system]
    for name, (host, port) in listen.items():
        config[name] = {"host": host, "port": port}
    if system == "acb":
        config["cos_parties"] = {name: {"eui": parties[name]} for name in COS_PARTIES}
    if system == "meter_sim":
        config["alert_url"] = f"{reach('acb')}/device-messages"
    folder = data / system
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.toml"
    path.write_text(tomli_w.dumps(config))
    return path
