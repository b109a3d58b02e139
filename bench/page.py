"""The measured tables and pictures of docs/performance.md, written anew by `make bench`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.change import Measured
from bench.counts import COSTS, Counted
from bench.plots import bars, curve
from stack.systems import SYSTEMS

DOCS: Final = Path(__file__).resolve().parent.parent / "docs"
PAGE: Final = DOCS / "performance.md"
PICTURES: Final = DOCS / "performance"


def write(counted: Counted, whole: Measured) -> None:
    """The pictures, and the tables of counts and of causes."""
    PICTURES.mkdir(exist_ok=True)
    floor = whole.floor_ms
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
    replace("causes", _table(("what for", "system", "sign", "verify", "agree"), _causes(counted)))


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
    found: dict[tuple[str, str], dict[str, float]] = {}
    for system, causes in counted.causes.items():
        for name, number in causes.items():
            primitive, cause = name.removeprefix("watch.").split("|")
            primitive = primitive.rpartition(".")[2]  # of a certificate, a list or a message
            row = found.setdefault((cause, system), {})
            row[primitive] = row.get(primitive, 0) + number
    return [
        [f"`{cause}`", system, *(_number(row.get(p, 0)) for p in ("sign", "verify", "agree"))]
        for (cause, system), row in sorted(found.items())
    ]


def _words(name: str) -> str:
    return name.partition(".")[2].replace("_", " ").replace(".", " ") or name


def _number(value: float) -> str:
    return f"{value:g}" if value < 1000 else f"{value:,.0f}"
