"""A tester's own attacks: a Python file that defines `ATTACKS`, or `attacks()` that gives them."""

from __future__ import annotations

import runpy
from pathlib import Path

from probe.catalogue import catalogue
from probe.model import Attack
from stack.errors import USAGE, CommandError


def attacks_in(path: Path) -> list[Attack]:
    """Run a file once and take its attacks.

    Raises:
        CommandError: it cannot be read or run, has no attacks, or one has the identifier of another
            or of the catalogue's (exit code 2).
    """
    try:
        found = runpy.run_path(str(path))
        given = found["attacks"]() if callable(found.get("attacks")) else found.get("ATTACKS")
    except Exception as error:  # whatever the file raises, the tester is told
        raise CommandError(f"{path}: {type(error).__name__}: {error}", USAGE) from error
    attacks = list(given) if isinstance(given, list | tuple) else []
    if not attacks or not all(isinstance(one, Attack) for one in attacks):
        raise CommandError(f"{path} defines no ATTACKS, and no attacks() that gives some", USAGE)
    known = {one.id for one in catalogue()}
    for one in attacks:
        if one.id in known:
            raise CommandError(f"{path}: there is an attack called {one.id} already", USAGE)
        known.add(one.id)
    return attacks
