"""The `cos` command: start the stack, drive it as a supplier would, see what every system did."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from cli import (
    clock_commands,
    duis_commands,
    evidence_commands,
    fault_commands,
    gbcs_commands,
    keys_commands,
    own_key_commands,
)
from cli.cells import cells_of, devices_in
from cli.connection import Connection
from cli.console import console, errors, fail, silence, whisper
from cli.demo import demo as run_whole_demo
from cli.demo import systems_table
from cli.errors import REFUSED, USAGE, CommandError
from cli.export import export as write_export
from cli.finding import find_stack
from cli.layout import Stack, load_stack
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens
from cli.processes import is_running, read_detours, start, stop
from cli.provision import provision
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
app.command()(tamper)


@app.command()
def up(
    data: Data = DEFAULT_DATA,
    detach: Annotated[bool, typer.Option("--detach", help="Return when all are ready.")] = False,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CALLER:CALLEE=URL",
            help="Tell one system that another is at URL (where `cos tamper` listens); repeatable.",
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        typer.Option(
            metavar="OCTETS",
            min=64,
            max=65_535,
            help="Send meters what is longer in blocks of so many octets (General Block Transfer).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the six systems, each a process of its own; make keys and meters on the first start.

    Without --detach it stays until Ctrl-C and then stops them.
    """
    say = silence if as_json else whisper
    try:
        detours = read_detours(peer or [])
        if not (data / "estate.json").is_file():
            say("first start: holding the key ceremony")
            keys_commands.hold_ceremony(data)
        stack = start(data.resolve(), say, detours=detours, block_size=blocks)
        try:
            with Connection(stack) as connection:
                count = provision(connection, data)
        except CommandError:
            stop(stack)
            raise
    except KeysError as error:
        fail(str(error), 3, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        print(json.dumps(status_of(stack), indent=2))
    else:
        console.print(systems_table(stack))
        console.print(f"{count} meters installed. Next: cos switch --meter EUI --supplier B")
    if not detach:
        console.print("Running; Ctrl-C stops everything.")
        try:
            signal.pause()
        except KeyboardInterrupt:
            stop(stack)


@app.command()
def down(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Stop the systems of a data folder. What they hold stays; `cos up` starts them again."""
    try:
        stopped = stop(load_stack(data))
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        print(json.dumps({"stopped": stopped}))
    else:
        console.print(f"stopped: {', '.join(stopped) or 'nothing was running'}")


def status_of(stack: Stack) -> dict[str, Any]:
    """What `cos status --json` says. Devices are counted where the lab credential is known."""
    services: dict[str, Any] = {}
    with Connection(stack) as connection:
        for name, urls in stack.services.items():
            pid = stack.pids.get(name)
            ready = False
            try:
                answer = connection.send(name, "GET", f"{urls.lab}/readyz")
                ready = answer.is_success
            except CommandError:
                ready = False
            services[name] = {
                "interface": urls.interface,
                "lab": urls.lab,
                "pid": pid,
                "running": is_running(pid) if pid else ready,
                "ready": ready,
            }
        devices = None
        if services.get("meter_sim", {}).get("ready") and "meter_sim" in stack.lab_tokens:
            devices = connection.lab("meter_sim", "GET", "/lab/devices?limit=1")["total"]
    data = str(stack.data) if stack.data else None
    return {"data": data, "acb_eui": stack.acb_eui, "devices": devices, "services": services}


@app.command()
def status(
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Say where each system listens and whether it is ready. Exit code 4 if one is not."""
    try:
        told = status_of(find_stack(data, service, lab_token))
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        table = Table("system", "interface", "lab port", "process", "state", box=None)
        for name, one in told["services"].items():
            state = "[green]ready[/]" if one["ready"] else "[red]not ready[/]"
            table.add_row(name, one["interface"], one["lab"], str(one["pid"] or "-"), state)
        console.print(table)
        console.print(f"acb {told['acb_eui']}, {told['devices']} devices")
    raise typer.Exit(0 if all(s["ready"] for s in told["services"].values()) else 4)


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
    table = Table("meter", "type", "supplier", "CoS Party")
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
    console.print(table)


def show_outcome(connection: Connection, outcome: Outcome, *, as_json: bool) -> int:
    """Print how a request ended; returns the exit code."""
    if as_json:
        print(json.dumps(outcome.as_dict(), indent=2))
    else:
        console.print(story_of(tell(connection, outcome.request_id), connection.stack))
        style = "green" if outcome.ok else "red"
        console.print(
            f"[{style}]{outcome.request_id}: {outcome.state}[/] {outcome.response_code or ''}"
        )
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
        with Connection(find_stack(data, service, lab_token)) as connection:
            eui = meter.lower().replace("-", "")
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
        console.print(f"{done.messages} messages, {done.keys} keys and gbcs.pcapng in {out}")


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


def main() -> None:
    """Entry point of the `cos` command."""
    try:
        app()
    except KeyboardInterrupt:
        errors.print("stopped")
        raise SystemExit(130) from None
    except OSError as error:
        errors.print(f"error: {error}", markup=False)
        raise SystemExit(USAGE) from None
