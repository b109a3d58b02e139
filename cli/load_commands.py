"""`cos load`: many changes of supplier at once, and what they cost."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from cli.console import Columns, fail, print_dim, print_nothing, print_table, sentence, write_json
from cli.options import DEFAULT_DATA, AsJson, Data
from stack.errors import REFUSED, CommandError
from stack.layout import load_stack
from stack.load import LoadReport
from stack.load import load as drive


def load(
    homes: Annotated[int, typer.Option(min=1, help="How many homes take part.")] = 2,
    changes: Annotated[int, typer.Option(min=1, help="How many changes to make in all.")] = 100,
    in_flight: Annotated[
        int, typer.Option(min=1, max=4096, help="How many at once; never more than homes.")
    ] = 32,
    rate: Annotated[
        float | None, typer.Option(min=0.01, help="So many begin each second; else all it can.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the homes and their order.")] = 1,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Have many homes of a running stack change supplier at once; say what each change cost.

    Each home is asked for by the supplier that is registered for it, again and again. Thresholds
    are lifted and answers are sent here meanwhile; both are put back. Exit code 1 if a change was
    refused.
    """
    say = print_nothing if as_json else print_dim
    try:
        report = asyncio.run(
            drive(
                load_stack(data), data, homes=homes, changes=changes, in_flight=in_flight,
                rate=rate, seed=seed, progress=say,
            )
        )  # fmt: skip
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json(report.as_dict())
    else:
        show(report)
    raise typer.Exit(REFUSED if report.refused else 0)


def show(report: LoadReport) -> None:
    """The report as text."""
    sentence(
        f"{report.completed} of {report.changes} changes completed, {report.homes} homes, at most "
        f"{report.in_flight} at once, in {report.wall_seconds:.1f} s: {report.per_second:.1f} a "
        "second"
    )
    if report.waits_ms:
        p50, p95, most = (report.wait_ms(share) for share in (0.5, 0.95, 1))
        sentence(f"each took, in milliseconds: median {p50:.0f}, p95 {p95:.0f}, most {most:.0f}")
    for check, count in report.refused.items():
        sentence((f"{count} refused: {check}", "red"))
    each = report.cpu_ms_each
    if each:
        table = Columns("system", "CPU s", "CPU ms a change")
        for name, spent in report.cpu_seconds.items():
            table.add_row(name, f"{spent:.2f}", f"{each[name]:.1f}")
        table.add_row("all", f"{sum(report.cpu_seconds.values()):.2f}", f"{sum(each.values()):.1f}")
        print_table(table)
    sentence(f"this command itself: {report.driver_cpu_seconds:.2f} CPU s")
