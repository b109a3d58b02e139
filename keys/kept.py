"""Values of pure functions, kept by content and bounded.

What a certificate says, whether its issuer signed it, what a revocation list names: the same octets
always give the same answer, and one exchange asks many times. So the answer is kept, under the
octets themselves (never under a name, a serial number or an object). What depends on the time, on
revocation or on any other state is no function of the octets and is never kept.

The least recently used is forgotten first. A refusal may be kept as a value like any other; an
exception that is raised keeps nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar, cast

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MISSING: Final = object()


class Kept(Generic[Key, Value]):
    """The values of one function.

    Args:
        most: how many are kept.
        most_octets: how many octets, as `weigh` counts them, are kept; None: as many as there are.
        weigh: the octets of one, by its key.
    """

    __slots__ = ("_held", "_lock", "_octets", "most", "most_octets", "weigh")

    def __init__(
        self,
        most: int,
        *,
        most_octets: int | None = None,
        weigh: Callable[[Key], int] = lambda _: 0,
    ) -> None:
        self.most = most
        self.most_octets = most_octets
        self.weigh = weigh
        self._held: OrderedDict[Key, Value] = OrderedDict()
        self._octets = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many are kept now."""
        return len(self._held)

    def __repr__(self) -> str:
        """Show how many, and nothing of what they are."""
        return f"<Kept {len(self._held)} of {self.most}>"

    def of(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value under this key: as it is kept, or as it is made now.

        Args:
            key: all that the value depends on.
            make: what makes it; whatever it raises is raised here, and nothing is kept.
        """
        held = self._held
        found = held.get(key, _MISSING)
        if found is not _MISSING:
            try:  # noqa: SIM105 - contextlib.suppress costs as much as all else here
                held.move_to_end(key)
            except KeyError:  # another thread has just forgotten it; it is as good
                pass
            return cast("Value", found)
        value = make()
        self._keep(key, value)
        return value

    def forget(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._held.clear()
            self._octets = 0

    def _keep(self, key: Key, value: Value) -> None:
        weight = self.weigh(key)
        if self.most_octets is not None and weight > self.most_octets:
            return
        with self._lock:
            if key in self._held:
                return
            self._held[key] = value
            self._octets += weight
            while len(self._held) > self.most or (
                self.most_octets is not None and self._octets > self.most_octets
            ):
                old, _ = self._held.popitem(last=False)
                self._octets -= self.weigh(old)
