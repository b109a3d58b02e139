"""What the bare primitives cost, here and now: the measure of everything else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_ROUNDS: Final = 60
_REPETITIONS: Final = 9


@dataclass(frozen=True, slots=True)
class Bare:
    """Microseconds of CPU of one signature, one verification and one key agreement on P-256."""

    sign: float
    verify: float
    agree: float

    def of(self, counted: Mapping[str, float]) -> float:
        """Microseconds that so many of each cost."""
        cost = asdict(self)
        return sum(counted.get(name, 0) * float(cost[name]) for name in PRIMITIVES)

    def between(self, other: Bare) -> Bare:
        """The mean of this and another."""
        return Bare(*((getattr(self, name) + getattr(other, name)) / 2 for name in PRIMITIVES))


PRIMITIVES: Final = ("sign", "verify", "agree")


def measured() -> Bare:
    """Time the three, taking turns, as CPU of this process; medians."""
    key, peer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    data = b"x" * 2048
    signature, public = key.sign(data, _ECDSA), key.public_key()
    acts: tuple[Callable[[], object], ...] = (
        lambda: key.sign(data, _ECDSA),
        lambda: public.verify(signature, data, _ECDSA),
        lambda: key.exchange(ec.ECDH(), peer.public_key()),
    )
    taken = [[_cpu(act) for act in acts] for _ in range(_REPETITIONS)]
    return Bare(*(median(one[number] for one in taken) for number in range(len(acts))))


def _cpu(act: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(_ROUNDS):
        act()
    return (time.process_time() - began) / _ROUNDS * 1e6
