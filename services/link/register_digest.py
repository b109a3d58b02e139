"""What a register says, in one number that both ends of the link work out for themselves.

A number of registration's names a state only by its word. So whoever keeps a copy says what is in
it, and registration says what it has. A register of a million homes cannot be read through for
that at every change: the digest is a sum, so that a changed row costs one subtraction and one
addition. Each row is hashed to 4,096 bits and the hashes are added modulo 2^4096 (AdHash: Bellare
and Micciancio, "A New Paradigm for Collision-free Hashing", 1997). The width is what makes the sum
of freely chosen rows collision resistant: the generalised birthday attack (Wagner, 2002) takes
about 2^(2·sqrt(4096)) = 2^128 steps.

Pure. Text of a row: canonical JSON of a meter point (`mpxn`, `devices`, `registrations`) or of a
participant (`id`, `name`, `euis`); they have no member in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

OCTETS: Final = 512
_MODULUS: Final = 1 << (8 * OCTETS)


def total(rows: Iterable[str], *, without: Iterable[str] = (), to: int = 0) -> int:
    """A sum with some rows more, and some rows less."""
    return (to + sum(map(_hash, rows)) - sum(map(_hash, without))) % _MODULUS


def digest(sum_of_rows: int) -> str:
    """What a sum says, in 64 hex digits."""
    return hashlib.sha256(sum_of_rows.to_bytes(OCTETS, "big")).hexdigest()


def _hash(row: str) -> int:
    return int.from_bytes(hashlib.shake_128(row.encode()).digest(OCTETS), "big")
