"""Starts a service as `python -m MODULE` does, only faster and smaller.

Run with ``python -m services.chassis.launch MODULE --config FILE``. It imports nothing itself, so
that what it arranges holds for all that the service imports:

- no garbage is looked for while modules are loaded (nothing of them is garbage), and what they
  left in memory is not looked through again later;
- libraries that draw in terminals are not there: two of ours (structlog, httpx) load them, 5 MB,
  where they can, for output that a service never writes.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Final

NOT_FOR_SERVICES: Final = ("rich", "pygments")


def main() -> None:
    """Load the module named first and run its `main` with the arguments after it."""
    gc.disable()
    for name in NOT_FOR_SERVICES:
        sys.modules[name] = None  # type: ignore[assignment] # how Python says: not to be found
    del sys.argv[0]
    module = importlib.import_module(sys.argv[0])
    gc.freeze()
    gc.enable()
    module.main()


if __name__ == "__main__":
    main()
