"""The `cos` command: start the stack, drive it as a supplier would, see what every system did."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import (
    clock_commands,
    duis_commands,
    evidence_commands,
    fault_commands,
    gbcs_commands,
    keys_commands,
    lifecycle,
    own_key_commands,
)
from cli.cells import cells_of, devices_in
from cli.connection import Connection
from cli.console import Columns, console, errors, fail, lay, sentence
from cli.demo import demo as run_whole_demo
from cli.errors import REFUSED, USAGE, CommandError
from cli.export import export as write_export
from cli.finding import find_stack
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens, entity, fill_help
from cli.show import holder, story_of
from cli.story import tell
from cli.switching import Outcome
from cli.switching import submit as submit_document
from cli.switching import switch as switch_supplier
from cli.tamper_commands import tamper
from duis.errors import DuisError
from duis.xml import request_from_xml
from keys.errors import KeysError
from probe import command as probe_command

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=(
        "A change of energy supplier on simulated smart meters: start the systems, drive them, "
        "see which check said what.\n\n"
        "Exit codes: 0 fine; 1 refused, invalid or not as it must be; 2 wrong input or usage; "
        "3 a key or data folder is missing; 4 a service cannot be reached."
    ),
)
app.add_typer(gbcs_commands.app, name="gbcs")
app.add_typer(duis_commands.app, name="duis")
app.add_typer(own_key_commands.app, name="request")
app.add_typer(keys_commands.app, name="keys")
app.add_typer(probe_command.app, name="probe")
app.add_typer(clock_commands.app, name="clock")
app.add_typer(evidence_commands.app, name="evidence")
app.add_typer(fault_commands.app, name="faults")
app.add_typer(fault_commands.quirks_app, name="quirks")


for running in (lifecycle.up, lifecycle.down, lifecycle.status):
    app.command()(running)


@app.command()
def devices(
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """List the meters and whose certificates their trust anchor cells hold."""
    try:
        stack = find_stack(data, service, lab_token)
        with Connection(stack) as connection:
            listed = devices_in(connection)
            cells = {d["eui"]: cells_of(connection, d["eui"]) for d in listed}
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        told = [
            {
                "eui": d["eui"],
                "device_type": d["device_type"],
                "cells": {
                    name: {
                        "subject": held.subject,
                        "key_identifier": held.key_identifier,
                        "fingerprint": held.fingerprint,
                    }
                    for name, held in cells[d["eui"]].items()
                },
            }
            for d in listed
        ]
        print(json.dumps(told, indent=2))
        return
    table = Columns("meter", "type", "supplier", "CoS Party")
    for device in listed:
        held = cells[device["eui"]]
        table.add_row(
            device["eui"],
            device["device_type"],
            *(
                holder(held[name], stack) if name in held else "-"
                for name in (
                    "supplier/digitalSignature/management",
                    "transitionalCoS/digitalSignature/management",
                )
            ),
        )
    lay(table)


def show_outcome(connection: Connection, outcome: Outcome, *, as_json: bool) -> int:
    """Print how a request ended; returns the exit code."""
    if as_json:
        print(json.dumps(outcome.as_dict(), indent=2))
    else:
        console.print(story_of(tell(connection, outcome.request_id), connection.stack))
        style = "green" if outcome.ok else "red"
        sentence(f"[{style}]{outcome.request_id}: {outcome.state}[/] {outcome.response_code or ''}")
    return 0 if outcome.ok else REFUSED


@app.command()
def switch(
    meter: Annotated[str, typer.Option(help="Entity identifier of the meter, 16 hex digits.")],
    supplier: Annotated[str, typer.Option(help="Name of the supplier that takes over.")],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Let a supplier take over a meter by a request that it signs. Exit code 1 if refused."""
    try:
        eui = entity("--meter", meter)
        with Connection(find_stack(data, service, lab_token)) as connection:
            done = switch_supplier(connection, data, eui, supplier)
            code = show_outcome(connection, done, as_json=as_json)
    except (KeysError, DuisError) as error:
        fail(str(error), USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="A signed DUIS request.", exists=True)],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Send a document to the broker exactly as it is, and wait for the outcome."""
    document = file.read_bytes()
    try:
        request_id = str(request_from_xml(document).header.request_id)
    except DuisError:
        request_id = ""  # the broker shall say what is wrong with it
    try:
        with Connection(find_stack(data, service, lab_token)) as connection:
            done = submit_document(connection, document, request_id)
            code = show_outcome(connection, done, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def trace(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="A request ID.")],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Show what every system did with one request: messages, named checks, verdicts."""
    try:
        stack = find_stack(data, service, lab_token)
        with Connection(stack) as connection:
            story = tell(connection, request_id)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        print(json.dumps([event.as_dict() for event in story.events], indent=2))
    else:
        console.print(story_of(story, stack))


@app.command()
def export(
    out: Annotated[Path, typer.Option(envvar="COS_OUT", help="Folder to write into.")],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Write every GBCS message of a run, the keys that check them, and a Wireshark capture.

    The folder then holds PRIVATE KEYS of the simulated broker and meters, for tools that check
    a MAC. They are simulated, and good for nothing else.
    """
    try:
        with Connection(find_stack(data, service, lab_token)) as connection:
            done = write_export(connection, out)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        print(json.dumps(done.as_dict(), indent=2))
    else:
        sentence(f"{done.messages} messages, {done.keys} keys and gbcs.pcapng in {out}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(envvar="COS_OUT", help="Where everything is left.")] = Path(
        "var/demo"
    ),
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", envvar="COS_DATA", help="Use the running stack of this folder, not a new one."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Two homes change supplier, a third attempt is refused: exit code 0 if all that is so."""
    try:
        code = run_whole_demo(out, as_json=as_json, data=data)
    except KeysError as error:
        fail(str(error), 3, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    raise typer.Exit(code)


app.command()(tamper)
fill_help(app)


def main() -> None:
    """Entry point of the `cos` command."""
    lifecycle.end_in_order()
    try:
        app()
    except KeyboardInterrupt:
        errors.print("stopped")
        raise SystemExit(130) from None
    except (OSError, KeysError) as error:
        try:
            fail(str(error), USAGE, as_json="--json" in sys.argv)
        except typer.Exit as ended:
            raise SystemExit(ended.exit_code) from None
