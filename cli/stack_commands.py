"""`cos devices`, `reset`, `logs`, `export` and `demo`: a whole stack, looked at and put back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import Columns, console, fail, print_table, sentence, write_json
from cli.demo import demo as run_whole_demo
from cli.logs import Filter, Line, follow, lines_of, written
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens
from cli.show import holder
from keys.errors import KeysError
from services.chassis.data.spelling import spelled
from stack.cells import cells_of, devices_in
from stack.connection import Connection
from stack.containers import in_containers
from stack.errors import MISSING, USAGE, CommandError
from stack.export import export as write_export
from stack.finding import find_stack
from stack.layout import load_stack
from stack.provision import provision
from stack.systems import SYSTEMS


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
        write_json(told)
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
    print_table(table)


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
        write_json(done.as_dict())
    else:
        sentence(f"{done.messages} messages, {done.keys} keys and gbcs.pcapng in {out}")


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
        fail(str(error), MISSING, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    raise typer.Exit(code)


def reset(
    homes: Annotated[
        bool, typer.Option("--homes", help="Put the meters back as the ceremony made them, too.")
    ] = False,
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Have every system as it was started: checks on, no faults, no quirks, real time.

    Requests, traces and the evidence stay. With --homes, each meter and the broker's record of it
    are installed anew: supplier A's again, with counters at their beginning.
    """
    try:
        stack = find_stack(data, service, lab_token)
        if homes and stack.data is None:
            fail("--homes needs the data folder: what the ceremony made", USAGE, as_json=as_json)
        with Connection(stack) as connection:
            for name in stack.services:
                connection.lab(name, "POST", "/lab/reset")
            count = provision(connection, data, afresh=True) if homes else 0
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json({"reset": list(stack.services), "homes": count}, indent=None)
    else:
        installed = f"; {count} meters installed anew" if homes else ""
        sentence(f"reset: {', '.join(stack.services)}{installed}")


def logs(
    system: Annotated[
        list[str] | None, typer.Argument(metavar="[SYSTEM]...", help="Such as acb; else all.")
    ] = None,
    *,
    request: Annotated[
        str | None, typer.Option(metavar="ID", help="Only lines about this request ID.")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="So many lines before the end; 0: all.")] = 200,
    follow_on: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is logged; Ctrl-C ends it.")
    ] = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Show what the systems log, all in one, in order of time.

    With --json, each line as the system wrote it. The files are DATA/<system>/service.log.
    """
    unknown = [name for name in system or [] if name not in SYSTEMS]
    if unknown:
        fail(f"no system {unknown[0]!r}; there are: {', '.join(SYSTEMS)}", USAGE, as_json=as_json)
    try:
        load_stack(data)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if in_containers(data):
        fail(f"{data} is of containers: `docker compose logs` shows them", MISSING, as_json=as_json)
    wanted = Filter(tuple(system or SYSTEMS), None if request is None else spelled(request))
    shown, ends = lines_of(data, wanted)

    def say(line: Line) -> None:
        # what the console escapes, JSON may hold escaped; of DEL it would make no JSON
        raw = line.text.replace("\x7f", r"\u007f")
        sentence(raw) if as_json else console.print(written(line), soft_wrap=True)

    for line in shown[-last:] if last else shown:
        say(line)
    if follow_on:
        for line in follow(data, wanted, ends):
            say(line)
