"""How much a run tries, and from which seed: a sample in CI, more every night.

`COS_EFFORT` is the share of the examples that a test would try at night (1; CI: a quarter), and
`COS_SEED` what the choice begins with (1). The header of a run names both.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable

EFFORT = float(os.environ.get("COS_EFFORT", "0.25"))
SEED = int(os.environ.get("COS_SEED", "1"))
FEWEST = 5


def examples(whole: int) -> int:
    """So many of this number of examples, but always a few."""
    return max(min(FEWEST, whole), math.ceil(whole * EFFORT))


def drawn(names: Iterable[str], count: int) -> list[str]:
    """So many of these names, by the seed: the same seed draws the same."""
    return sorted(names, key=lambda n: hashlib.sha256(f"{SEED} {n}".encode()).digest())[:count]
