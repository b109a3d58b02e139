"""What one device holds of messages under way in blocks, both ways. In memory only."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from gbcs.block_transfer import Transfer
from gbcs.reassembly import Assembly
from meter_sim.device.rules.block import LIMITS


@dataclass(slots=True)
class ResponseBlocks:
    """A response that a device is sending in blocks, and up to which it was acknowledged."""

    frames: tuple[bytes, ...]
    upto: int = 0
    touched: float = 0.0

    @property
    def next(self) -> bytes:
        """The first block that was not acknowledged."""
        return self.frames[min(self.upto, len(self.frames) - 1)]


@dataclass(slots=True)
class BlockTransfers:
    """What one device holds of messages that are under way."""

    incoming: Assembly = field(default_factory=lambda: Assembly(LIMITS))
    responses: OrderedDict[Transfer, ResponseBlocks] = field(default_factory=OrderedDict)

    def expire(self, at: float) -> None:
        """Give up what nothing has come of for too long."""
        self.incoming.expire(at)
        for transfer, one in list(self.responses.items()):
            if abs(at - one.touched) > LIMITS.seconds:
                del self.responses[transfer]
