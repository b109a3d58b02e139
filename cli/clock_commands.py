"""`cos clock`: the lab clocks of all systems, turned together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cli.console import Columns, fail, print_table, sentence, write_json
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens
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
from stack.errors import CommandError
from stack.finding import find_stack

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "The domain time of all systems, turned together: what waits for a date falls due, "
        "certificates expire, registrations begin. The signed link keeps real time."
    ),
)

Act = Callable[[Connection], dict[str, ClockState]]


@app.command()
def show(
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Say what time it is for each system. Exit code 1 if they disagree."""
    do(read_clocks, data, service, lab_token, as_json=as_json)


@app.command(name="set")
def set_(
    time: Annotated[str, typer.Argument(help="Such as 2026-12-01T00:00:00Z.")],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Have every clock stand at a time."""
    do(lambda c: set_clocks(c, parse_instant(time)), data, service, lab_token, as_json=as_json)


@app.command(context_settings={"ignore_unknown_options": True})
def step(
    by: Annotated[str, typer.Argument(help="Seconds, or a duration: P10D, PT1H30M, -PT5M.")],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Move every clock forth or back; clocks that run go on running."""
    do(lambda c: step_clocks(c, parse_duration(by)), data, service, lab_token, as_json=as_json)


@app.command()
def real(
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Have every clock follow the machine's again."""
    do(real_clocks, data, service, lab_token, as_json=as_json)


def do(
    act: Act, data: Path, services: list[str] | None, tokens: list[str] | None, *, as_json: bool
) -> None:
    """Act on the clocks of a stack and show them; exit code 1 if they then disagree."""
    try:
        with Connection(find_stack(data, services, tokens)) as connection:
            clocks = act(connection)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
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
