"""Finding the stack a command is about: by its data folder, or by base URLs."""

from __future__ import annotations

from pathlib import Path

from stack.errors import USAGE, CommandError
from stack.layout import Addresses, Stack, load_stack, read_facts
from stack.systems import SYSTEMS


def find_stack(data: Path, services: list[str] | None, tokens: list[str] | None) -> Stack:
    """The stack of the data folder, or the one whose services are named by URL.

    Args:
        data: data folder; also read for the public facts when services are named.
        services: `NAME=INTERFACE_URL[,LAB_URL]` each; the data folder's stack where none.
        tokens: `NAME=TOKEN` each.

    Raises:
        CommandError: a name that is no system, or no stack (exit codes 2 and 3).
    """
    if not services:
        return load_stack(data)
    addresses: dict[str, Addresses] = {}
    for text in services:
        name, urls = split(text)
        interface, _, lab = urls.partition(",")
        addresses[name] = Addresses(interface.rstrip("/"), (lab or interface).rstrip("/"))
    credentials = dict(split(text) for text in tokens or [])
    return Stack(None, addresses, lab_tokens=credentials, facts=read_facts(data))


def split(text: str) -> tuple[str, str]:
    """`NAME=VALUE` with a name that is one of the systems."""
    name, equals, value = text.partition("=")
    if not equals or name not in SYSTEMS:
        raise CommandError(f"{text!r}: expected NAME=VALUE with NAME one of {SYSTEMS}", USAGE)
    return name, value
