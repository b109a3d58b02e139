"""`make bench`: every cost as a multiple of the raw cryptography, measured in the same run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench import journey, link, messages
from bench.timing import show
from cli.keys_commands import hold_ceremony


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        hold_ceremony(data)
        costs = messages.measured(data)
        show("messages of one change of supplier, one core", costs)
        link.main()
        sign_us, verify_us = costs[0].microseconds, costs[1].microseconds
        show("six processes, over HTTP", journey.measured(data, sign_us, verify_us))


if __name__ == "__main__":
    main()
