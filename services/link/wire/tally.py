"""How often this process has verified a signature of the link; see `keys.tally`, which adds it up.

The wire's core knows nothing of keys, so it counts for itself. Nothing here decides anything.
"""

from __future__ import annotations

from typing import Final

COUNTS: Final = {"verify": 0}
"""By name: ECDSA signatures verified (whatever the verdict)."""
