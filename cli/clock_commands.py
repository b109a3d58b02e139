"""`cos clock`: the lab clocks of all systems, turned together."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import Columns, print_table, sentence, write_json
from cli.on_stack import on_stack
from stack.clocks import (
    ClockState,
    agree,
    parse_duration,
    parse_instant,
    read_clocks,
    real_clocks,
    set_clocks,
    step_clocks,
)
from stack.connection import Connection

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "The domain time of all systems, turned together: what waits for a date falls due, "
        "certificates expire, registrations begin. The signed link keeps real time."
    ),
)


@app.command()
@on_stack
def show(connection: Connection, *, as_json: bool) -> None:
    """Say what time it is for each system. Exit code 1 if they disagree."""
    show_clocks(read_clocks(connection), as_json=as_json)


@app.command(name="set")
@on_stack
def set_(
    connection: Connection,
    time: Annotated[str, typer.Argument(help="Such as 2026-12-01T00:00:00Z.")],
    *,
    as_json: bool,
) -> None:
    """Have every clock stand at a time."""
    show_clocks(set_clocks(connection, parse_instant(time)), as_json=as_json)


@app.command(context_settings={"ignore_unknown_options": True})
@on_stack
def step(
    connection: Connection,
    by: Annotated[str, typer.Argument(help="Seconds, or a duration: P10D, PT1H30M, -PT5M.")],
    *,
    as_json: bool,
) -> None:
    """Move every clock forth or back; clocks that run go on running."""
    show_clocks(step_clocks(connection, parse_duration(by)), as_json=as_json)


@app.command()
@on_stack
def real(connection: Connection, *, as_json: bool) -> None:
    """Have every clock follow the machine's again."""
    show_clocks(real_clocks(connection), as_json=as_json)


def show_clocks(clocks: dict[str, ClockState], *, as_json: bool) -> None:
    """Show the clocks of a stack; exit code 1 if they disagree."""
    together = agree(clocks)
    if as_json:
        told = {
            "together": together,
            "clocks": {name: clock.as_dict() for name, clock in clocks.items()},
        }
        write_json(told)
    else:
        table = Columns("system", "time", "clock")
        for name, clock in clocks.items():
            table.add_row(name, clock.now.isoformat(timespec="seconds"), clock.mode)
        print_table(table)
        if not together:
            sentence(("The clocks disagree.", "red"))
    raise typer.Exit(0 if together else 1)
