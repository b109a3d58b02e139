"""`python -m fuzz [--count N] [--seed S] [TARGET ...]`: fuzz, and say how much was tried.

Exit code 1 if anything was found. A target whose tool is missing is skipped and says so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable

from fuzz import authentic, coverage, devices, openapi
from fuzz.finding import Tally

HTTP_SHARE = 20  # one input in so many goes over HTTP
OPENAPI_SHARE = 50
AUTHENTIC_SHARE = 100  # each of eleven routes
Run = Callable[[int, int], Iterable[Tally]]

TARGETS: dict[str, Run] = {
    "device": lambda count, seed: [devices.in_process(count, seed)],
    "device-signed": lambda count, seed: [devices.signed_by_their_own(count, seed)],
    "device-http": lambda count, seed: [devices.over_http(max(1, count // HTTP_SHARE), seed)],
    **{
        name: lambda count, seed, name=name: [coverage.run(name, count, seed)]  # type: ignore[misc]
        for name in coverage.TARGETS
    },
    "authentic": lambda count, seed: authentic.run(max(1, count // AUTHENTIC_SHARE), seed),
    "openapi": lambda count, seed: openapi.run(max(1, count // OPENAPI_SHARE), seed),
}


def main() -> int:
    """Run the targets that were asked for, or all."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--count", type=int, default=20_000, help="inputs per target")
    parser.add_argument("--seed", type=int, default=1, help="the same seed repeats the choices")
    asked = parser.parse_args()
    unknown = [name for name in asked.targets if name not in TARGETS]
    if unknown or asked.count < 1:
        parser.error(f"no such target: {', '.join(unknown)}" if unknown else "count must be >= 1")
    found = 0
    for name in asked.targets or TARGETS:
        for tally in TARGETS[name](asked.count, asked.seed):
            sys.stdout.write("\n".join(tally.lines()) + "\n")
            sys.stdout.flush()
            found += len(tally.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
