"""The stack laid out for containers: a host name per system, lab ports on networks of their own.

The ceremony container runs this once. It writes each system's configuration into that system's
own volume, and what suppliers and operators may know (addresses, lab credentials) into theirs.
"""

from __future__ import annotations

from pathlib import Path

from stack.layout import (
    Addresses,
    Stack,
    load_stack,
    save_stack,
    stack_file,
    write_config,
)
from stack.systems import LINK_KEY, SYSTEM, SYSTEMS

INTERFACE_PORT, LAB_PORT = 8000, 8001
LINK_TLS = {
    "certificate": "keys/link.pem",
    "key": "keys/link.key",
    "password_file": "passphrase",
    "client_ca": "trust/infrastructure-root.pem",
}


def in_containers(data: Path) -> bool:
    """Whether the stack of that folder runs in containers: it has no processes of ours."""
    return stack_file(data).is_file() and not load_stack(data).pids


def interface_url(system: str) -> str:
    """Where other containers reach a system."""
    return f"{'https' if SYSTEM[system].link_only else 'http'}://{system}:{INTERFACE_PORT}"


def lay_out(data: Path) -> None:
    """Write the configurations, `stack.json` and `lab-tokens/` of a stack of containers."""
    for system in SYSTEMS:
        listen = {"interface": ("0.0.0.0", INTERFACE_PORT), "lab": (f"lab.{system}", LAB_PORT)}  # noqa: S104 - a container's networks are its walls
        row = SYSTEM[system]
        shown = {"tls": row.link_only, "link_tls": LINK_KEY in row.keys}
        extra = {name: LINK_TLS for name, needed in shown.items() if needed}
        write_config(data, system, listen, interface_url, extra)
    tokens = data / "lab-tokens"
    tokens.mkdir(mode=0o700, exist_ok=True)
    for system in SYSTEMS:
        token = tokens / system
        token.touch(mode=0o600)
        token.write_text((data / system / "lab.token").read_text())
    services = {
        system: Addresses(interface_url(system), f"http://lab.{system}:{LAB_PORT}")
        for system in SYSTEMS
    }
    save_stack(Stack(data, services))
