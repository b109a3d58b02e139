"""The measured tables and pictures of docs/performance.md, written anew by `make bench`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.bare import PRIMITIVES, Bare
from bench.change import Measured
from bench.counts import COSTS, Counted
from bench.plots import bars, curve
from stack.systems import SYSTEMS

WHOSE: Final = {"rules": "required", "link": "ours: the link"}
DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
PAGE: Final = DOCS / "performance.md"
PICTURES: Final = DOCS / "performance"


def write(counted: Counted, whole: Measured) -> None:
    """The pictures, and the tables of counts and of causes."""
    PICTURES.mkdir(exist_ok=True)
    floor = whole.figures["floor_us"].median / 1e3
    picture(
        "by-system",
        bars(
            "CPU of one change of supplier at 32 in flight",
            "ms of CPU",
            {"bare cryptography": floor, **whole.by_system},
        ),
    )
    picture(
        "by-in-flight",
        curve("Changes a second, by changes in flight", "in flight", whole.by_in_flight),
    )
    picture(
        "by-history",
        curve(
            "CPU over the bare cryptography, by earlier changes",
            "earlier changes",
            whole.by_history,
        ),
    )
    replace("counts", _table(("per change", *SYSTEMS, "all"), _count_rows(counted)))
    replace("prices", _table(("", *PRIMITIVES, "µs"), _prices(counted, whole.bare)))
    replace("causes", _table(("whose", "for", "system", *PRIMITIVES), _causes(counted)))


def write_results(results: Mapping[str, Any]) -> None:
    """The table of figures."""
    rows = [
        (f"{part}.{name}", f"{figure['median']:g}", f"{figure['spread']:g}")
        for part, found in results.items()
        for name, figure in found.items()
    ]
    replace("results", _table(("figure", "median", "spread"), rows))


def picture(name: str, svg: str) -> None:
    """Write one."""
    (PICTURES / f"{name}.svg").write_text(svg)


def replace(name: str, text: str, page: Path = PAGE) -> None:
    """Put a table between the page's marks of that name.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- measured: {name} -->", "<!-- end -->"
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    new, times = marked.subn(lambda _: f"{begin}\n{text}\n{end}", page.read_text())
    if times != 1:
        raise ValueError(
            f"{page.name} must have the marks of {name} once, it has them {times} times"
        )
    page.write_text(new)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _count_rows(counted: Counted) -> list[list[str]]:
    rows = []
    for name in (*COSTS, "rows", "octets"):
        each = [counted.costs[system].get(name, 0) for system in SYSTEMS]
        if any(each):
            rows.append([_words(name), *(_number(one) for one in (*each, sum(each)))])
    if counted.synced:
        each = [counted.synced.get(system, 0) for system in SYSTEMS]
        rows.append(["fdatasync", *(_number(one) for one in (*each, sum(each)))])
    return rows


def _causes(counted: Counted) -> list[list[str]]:
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for system, causes in counted.causes.items():
        for name, number in causes.items():
            primitive, whose, cause = _cause(name)
            row = found.setdefault((whose, cause, system), {})
            row[primitive] = row.get(primitive, 0) + number
    return [
        [WHOSE[whose], f"`{cause}`", system, *(_number(row.get(p, 0)) for p in PRIMITIVES)]
        for (whose, cause, system), row in sorted(found.items(), reverse=True)
    ]


def _cause(name: str) -> tuple[str, str, str]:
    """Primitive, whose rules ask for it, the function: of a name as the watch has it."""
    primitive, whose, cause = name.removeprefix("watch.").split("|")
    return primitive.rpartition(".")[2], whose, cause  # verify: of a certificate, list or message


def _prices(counted: Counted, bare: Bare) -> list[list[str]]:
    """What is required, what is ours, and both, counted and priced."""
    found: dict[str, dict[str, float]] = {whose: {} for whose in WHOSE}
    for causes in counted.causes.values():
        for name, number in causes.items():
            primitive, whose, _ = _cause(name)
            found[whose][primitive] = found[whose].get(primitive, 0) + number
    rows = [(WHOSE[whose], numbers) for whose, numbers in found.items()]
    return [
        [name, *(_number(numbers.get(p, 0)) for p in PRIMITIVES), f"{bare.of(numbers):,.0f}"]
        for name, numbers in (*rows, ("all of it: the floor", counted.primitives))
    ]


def _words(name: str) -> str:
    return name.partition(".")[2].replace("_", " ").replace(".", " ") or name


def _number(value: float) -> str:
    return f"{value:g}" if value < 1000 else f"{value:,.0f}"
