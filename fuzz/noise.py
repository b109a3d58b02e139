"""A source of choices that a seed repeats exactly, and the mutations that are made with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
TELLING = bytes((0x00, 0x01, 0x30, 0x7F, 0x80, 0x81, 0x82, 0xDD, 0xDF, 0xFF))
"""Octets that mean something to a reader of lengths and tags."""


class Noise:
    """SHA-256 in counter mode: the same seed, the same choices, on every machine."""

    def __init__(self, seed: int, name: str = "") -> None:
        self._key = f"{seed}:{name}:".encode()
        self._block = 0
        self._pool = b""

    def octets(self, count: int) -> bytes:
        """That many octets."""
        while len(self._pool) < count:
            self._pool += hashlib.sha256(self._key + self._block.to_bytes(8, "big")).digest()
            self._block += 1
        taken, self._pool = self._pool[:count], self._pool[count:]
        return taken

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1 (which must be far below 2**32)."""
        return int.from_bytes(self.octets(4), "big") % limit

    def one_of(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]


def mutated(honest: bytes, noise: Noise) -> bytes:
    """The message with one to four things done to it; never the message itself."""
    octets = bytearray(honest)
    for _ in range(1 + noise.below(4)):
        at = noise.below(len(octets)) if octets else 0
        match noise.below(7):
            case 0 | 1 if octets:
                octets[at] ^= 1 << noise.below(8)
            case 2 if octets:
                octets[at] = noise.one_of(TELLING)
            case 3:
                octets[at:at] = noise.octets(1 + noise.below(16))
            case 4:
                del octets[at : at + 1 + noise.below(16)]
            case 5:
                octets[at:at] = octets[at : at + 1 + noise.below(64)]
            case _ if noise.below(4) == 0:
                del octets[at:]
            case _:
                octets.append(noise.below(256))
    if bytes(octets) == honest:
        octets.append(noise.below(256))
    return bytes(octets)
