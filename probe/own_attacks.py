"""A tester's own attacks: a Python file with functions that `attack` decorates.

It may also define `ATTACKS`, or `attacks()` that gives some.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from probe.attacks.making import written_in
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
        attacks = [*written_in(found), *found.get("ATTACKS", ())]
    except Exception as error:  # whatever the file raises, the tester is told
        raise CommandError(f"{path}: {type(error).__name__}: {error}", USAGE) from error
    if not attacks or not all(isinstance(one, Attack) for one in attacks):
        raise CommandError(
            f"{path} defines no ATTACKS, no attacks() that gives some, and no @attack", USAGE
        )
    known = {one.id for one in catalogue()}
    for one in attacks:
        if one.id in known:
            raise CommandError(f"{path}: there is an attack called {one.id} already", USAGE)
        known.add(one.id)
    return attacks
