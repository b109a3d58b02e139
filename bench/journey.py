"""A whole change of supplier over HTTP between six processes, against the cryptography it needs."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from bench.timing import Cost
from stack.connection import Connection
from stack.processes import start, stop
from stack.provision import devices_of, provision
from stack.switching import switch

SIGNATURES = 11
"""Made for one change: supplier 1; CoS command 1; link request and response of the command (2),
the registration extract (2), the device response (2); device 1; acknowledgement, response 2."""
VERIFICATIONS = 22
"""Made for one change: XML twice (2), its signer's path twice (4), link (6), three replacement
certificates' paths (6), CoS signature at broker and meter (2), device's response twice (2)."""


def measured(data: Path, sign_us: float, verify_us: float, changes: int = 10) -> list[Cost]:
    """Start a stack, let suppliers A's home go to B again and again, one after the other.

    Args:
        data: a folder with a ceremony in it.
        sign_us: microseconds of one bare signature in this run.
        verify_us: microseconds of one bare verification in this run.
        changes: how many changes to time.
    """
    stack = start(data, lambda _line: None, first_port=None)
    took = []
    try:
        with Connection(stack) as connection:
            provision(connection, data)
            meter = devices_of(data)[1]["eui"]
            switch(connection, data, meter, "B")  # the first one fills the caches
            for _ in range(changes):
                began = time.perf_counter()
                if not switch(connection, data, meter, "B").ok:
                    raise RuntimeError("a change of supplier was refused during the benchmark")
                took.append((time.perf_counter() - began) * 1e6)
    finally:
        stop(stack)
    bare = SIGNATURES * sign_us + VERIFICATIONS * verify_us
    return [
        Cost(f"bare: {SIGNATURES} signatures, {VERIFICATIONS} verifications", bare, 1.0),
        Cost("one change of supplier, request to outcome", median(took), median(took) / bare),
    ]
