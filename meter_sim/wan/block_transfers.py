"""What one device holds of messages under way in blocks, heard and said. In memory only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from gbcs.block_transfer import Transfer
from gbcs.reassembly import Assembly
from meter_sim.device.block_checks import LIMITS


@dataclass(slots=True)
class Saying:
    """A message that a device is saying in blocks, and up to which it was acknowledged."""

    frames: tuple[bytes, ...]
    upto: int = 0
    touched: float = 0.0

    @property
    def next(self) -> bytes:
        """The first block that was not acknowledged."""
        return self.frames[min(self.upto, len(self.frames) - 1)]


@dataclass(slots=True)
class Talk:
    """What one device holds of messages that are under way."""

    heard: Assembly = field(default_factory=lambda: Assembly(LIMITS))
    saying: OrderedDict[Transfer, Saying] = field(default_factory=OrderedDict)

    def expire(self, at: float) -> None:
        """Give up what nothing has come of for too long."""
        self.heard.expire(at)
        for transfer, one in list(self.saying.items()):
            if abs(at - one.touched) > LIMITS.seconds:
                del self.saying[transfer]
