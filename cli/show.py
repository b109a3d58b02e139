"""How a story is shown: who sent what to whom, every named check, the cells before and after."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.console import escaped, line
from stack.cells import CellContent
from stack.layout import Stack
from stack.systems import SYSTEM
from stack.trace import RequestTrace, TraceEvent

MARKS = {
    "passed": ("✓", "green"),
    "refused": ("✗", "bold red"),
    "off": ("○", "bold yellow"),
    "not_applicable": ("-", "dim"),
    "not_reached": ("·", "dim"),
}


def render_trace(story: RequestTrace, stack: Stack) -> RenderableType:
    """The messages in order, each followed by the checks made on it.

    What both ends tell of one transfer is shown once. Times are UTC, by the clock of the machine
    on which each system runs, whatever its domain clock says; the day is named where it changes.
    """
    parts: list[RenderableType] = []
    day = ""
    shown: set[tuple[str, str]] = set()
    said: set[str] = set()
    for event in story.events:
        if (today := moment(event.at)[:10]) != day:
            parts.append(escaped(f"{today} UTC", "dim"))
            day = today
        transfer = (event.receiver, event.message or "")
        # A meter knows the business originator, not who carried the message: the broker tells that.
        if event.message and transfer not in shown and event.party != "meter_sim":
            shown.add(transfer)
            parts.append(Padding(arrow(event, stack), (0, 0, 0, 2)))
        elif not event.message and not event.verdicts and event.summary not in said:
            if event.kind == "refused" and "." in event.name:
                verdict = {"check": event.name, "detail": event.summary}
                parts.append(refusal_line(event.party, verdict, event.at))
            else:
                said_so = escaped(f"{time_of(event.at)} {event.summary}", style="dim")
                parts.append(Padding(said_so, (0, 0, 0, 6)))
        said.update((event.summary, ""))
        said.update(verdict["detail"] for verdict in event.verdicts if verdict.get("detail"))
        if event.verdicts:
            parts.append(verdicts_of(event, stack))
    return Group(*parts)


def arrow(event: TraceEvent, stack: Stack) -> Text:
    """When, `sender ──name──▶ receiver`, and its size."""
    size = f" {len(event.message) * 3 // 4:,} octets" if event.message else ""
    return line(
        (f"{time_of(event.at)} ", "dim"),
        named(event.sender, stack),
        (" ──", "dim"),
        (event.name or event.kind, "bold"),
        ("──▶ ", "dim"),
        named(event.receiver, stack),
        (f" {size}", "dim"),
        (f"  {event.summary}" if event.summary else "", "dim"),
    )


def named(who: str, stack: Stack) -> tuple[str, str]:
    """A party's name in its colour; identifiers become names where they are known."""
    name = stack.supplier_name(who) if len(who) == 16 else who
    if name in SYSTEM:
        return name, SYSTEM[name].colour
    return name, "green" if name.startswith("supplier") else "yellow"


def verdicts_of(event: TraceEvent, stack: Stack) -> RenderableType:
    """One line that sums up, then each named check with its mark, grouped by what it is about."""
    reached = [v for v in event.verdicts if v["outcome"] != "not_reached"]
    counts = {
        outcome: sum(v["outcome"] == outcome for v in event.verdicts)
        for outcome in ("passed", "refused", "off", "not_applicable", "not_reached")
    }
    summary = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items() if n)
    head = line(
        (f"      {time_of(event.at)} ", "dim"),
        named(event.party, stack),
        (f" checks: {summary}", "dim"),
    )
    groups: dict[str, list[Text]] = {}
    for verdict in reached:
        about, _, what = verdict["check"].rpartition(".")
        groups.setdefault(about, []).append(mark(what, verdict["outcome"]))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=4)
    grid.add_column(min_width=18, no_wrap=True)
    grid.add_column(ratio=1)
    for about, marks in groups.items():
        said = escaped("  ").join(marks)
        if about.startswith("link.") and counts["passed"] == len(reached):
            said = escaped(f"✓ all {len(marks)} of the signed link", "green")
        grid.add_row("", escaped(f"{about}.", "dim"), said)
    rows: list[RenderableType] = [head, grid]
    rows += [refusal_line(event.party, v) for v in reached if v["outcome"] == "refused"]
    return Group(*rows)


def mark(check: str, outcome: str) -> Text:
    """The last part of a check's name behind the mark of its verdict, kept on one line."""
    sign, colour = MARKS[outcome]
    return line((sign, colour), (check, "" if outcome == "passed" else colour))


def refusal_line(party: str, verdict: dict[str, str], at: str | None = None) -> RenderableType:
    """When, who refused, by which check, what was expected and what was found."""
    said = [escaped(verdict.get("detail") or verdict["title"])]
    said += [
        escaped(f"{what}: {verdict[what]}", "dim")
        for what in ("expected", "found")
        if verdict.get(what)
    ]
    when = f"{time_of(at)} " if at else ""
    head = line(
        (when, "dim"), ("REFUSED ", "bold red"), (f"by {party}, check {verdict['check']}", "red")
    )
    return Group(Padding(head, (0, 0, 0, 6)), *(Padding(one, (0, 0, 0, 10)) for one in said))


def cells_table(
    before: dict[str, CellContent], after: dict[str, CellContent], stack: Stack
) -> RenderableType:
    """Every trust anchor cell: whose certificate it held, and whose it holds now.

    "/management", the default of the format, is left out of the names as the format leaves it out.
    """
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(min_width=2)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_row("", *(escaped(t, "bold") for t in ("trust anchor cell", "before", "after")))
    for name, new in after.items():
        old, shown = before[name], name.removesuffix("/management")
        if old == new:
            whose = holder(old, stack).rpartition(" ")[0]
            grid.add_row("", *(escaped(t, "dim") for t in (shown, whose, "unchanged")))
        else:
            grid.add_row(
                "",
                escaped(shown, "bold"),
                escaped(holder(old, stack), "red"),
                escaped(holder(new, stack), "green"),
            )
    return grid


def holder(held: CellContent, stack: Stack) -> str:
    """`supplier A 4f5688`: who, and the first digits of the key identifier; a root has no name."""
    who = stack.supplier_name(held.subject) if held.subject.strip("0") else "root"
    return f"{who} {held.key_identifier[:6]}"


def moment(at: str) -> str:
    """A time as a system writes it, as `2030-01-02 03:04:05`, UTC."""
    try:
        return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError):  # a system's word, whatever it is
        return at


def time_of(at: str) -> str:
    """The time of day of it, to the millisecond: `03:04:05.678`."""
    try:
        return f"{datetime.fromisoformat(at).astimezone(UTC):%H:%M:%S.%f}"[:-3]
    except (ValueError, OverflowError):
        return at
