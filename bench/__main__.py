"""What everything costs, as multiples of the bare cryptography, measured in the same run.

Parts: change (a whole change of supplier over six processes: alone, with 8 and 32 in flight, and
after many earlier ones), message, duis, link (each in one process), start. `--write` commits to
bench/results.json, bench/counts.json and the pictures and tables of docs/performance.md;
`--check` compares the ratios with those of bench/results.json and fails where one is worse.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench import change, counts, figures, page, parts, start
from bench.figures import MARGIN, PARTS


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0, or 1 where `--check` found something worse."""
    asked = _asked(argv)
    began = time.perf_counter()

    def say(line: str) -> None:
        took = time.perf_counter() - began
        print(f"[{int(took) // 60}:{int(took) % 60:02}] {line}", file=sys.stderr, flush=True)

    wanted = asked.part or list(PARTS)
    rounds = 1 if asked.quick else 3
    results: dict[str, Any] = {}
    counted, whole = None, None
    if "change" in wanted:
        counted = counts.measured(say, synced=True)
        effort = change.QUICK if asked.quick else change.STANDARD
        if asked.earlier is not None:
            effort = replace(effort, earlier=tuple(sorted(asked.earlier)))
        whole = change.measured(say, counted, effort)
        results["change"] = figures.as_dict(whole.figures)
    for part in ("message", "duis", "link"):
        if part in wanted and (found := parts.measured(say, part)):
            results[part] = figures.as_dict(found)
    if "start" in wanted:
        results["start"] = figures.as_dict(start.measured(say, rounds, homes=asked.homes))
    if asked.write:
        figures.write(results)
        if counted is not None and whole is not None:
            counts.write(counted)
            page.write(counted, whole)
        page.write_results(figures.read())
    _show(results, as_json=asked.json)
    return _checked(results, asked.margin) if asked.check else 0


def _asked(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", choices=PARTS, action="append", help="only this; may be repeated")
    parser.add_argument("--quick", action="store_true", help="a minute or two, and coarser")
    parser.add_argument(
        "--earlier",
        type=int,
        action="append",
        metavar="N",
        help="measure again after N earlier changes; may be repeated (standard: 10000, 100000)",
    )
    parser.add_argument(
        "--homes", type=int, metavar="N", help="also start a stack with so many homes"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--write", action="store_true", help="keep what was measured")
    act.add_argument("--check", action="store_true", help="fail where a ratio is worse than kept")
    parser.add_argument(
        "--margin",
        type=float,
        default=MARGIN,
        help="by which a ratio may be worse (%(default)s: by a fifth, or half of the spread)",
    )
    return parser.parse_args(argv)


def _show(results: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(results, indent=2))
        return
    for part, found in results.items():
        print(f"\n{part}")
        for name, figure in found.items():
            print(f"  {name:52} {figure['median']:10.2f}   spread {figure['spread']:.2f}")


def _checked(results: dict[str, Any], margin: float) -> int:
    committed = figures.read()
    found = figures.worse(committed, results, margin)
    for one in found:
        print(f"worse: {one}", file=sys.stderr)
    if not found:
        print(f"no ratio is worse by more than {margin:.0%}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
