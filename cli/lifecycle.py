"""`cos up`, `down` and `status`: the six processes of a stack, from their start to their end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.console import (
    Columns,
    console,
    errors,
    escaped,
    fail,
    print_dim,
    print_nothing,
    print_table,
    sentence,
    write_json,
)
from cli.demo import systems_table
from cli.keys_commands import hold_ceremony
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens
from keys.errors import KeysError
from stack.connection import Connection
from stack.containers import in_containers
from stack.errors import REFUSED, UNREACHABLE, CommandError
from stack.finding import find_stack
from stack.layout import Stack, load_stack
from stack.processes import read_detours, runs, start, stop, why_not_ready
from stack.provision import provision

LOOK_AGAIN = 0.5  # seconds between two looks at whether the systems still run


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
    port: Annotated[
        int | None,
        typer.Option(
            metavar="FIRST",
            min=1024,
            max=65_000,
            help="Listen on this port and the eleven after it. Else where it listened last time.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start the six systems, each a process of its own; make keys and meters on the first start.

    Without --detach it stays until Ctrl-C and then stops them.
    """
    try:
        bring_up(
            data, read_detours(peer or []), blocks, print_nothing if as_json else print_dim,
            detach=detach, as_json=as_json, port=port,
        )  # fmt: skip
    except KeysError as error:
        fail(str(error), 3, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)


def bring_up(
    data: Path,
    detours: dict[tuple[str, str], str],
    block_size: int | None,
    say: Callable[[str], None],
    *,
    detach: bool,
    as_json: bool,
    port: int | None = None,
) -> None:
    """Start a stack and stay with it, unless detached. However that ends, nothing is left behind.

    Raises:
        CommandError: it is one of containers, or a system does not start.
        KeysError: the folder is neither empty nor a stack's.
    """
    if in_containers(data):
        raise CommandError(f"{data} is of containers: `docker compose up --wait` starts them")
    if not (data / "estate.json").is_file():
        say("first start: holding the key ceremony")
        hold_ceremony(data)
    stack = start(data.resolve(), say, detours=detours, block_size=block_size, port=port)
    stays = False
    try:
        with Connection(stack) as connection:
            count = provision(connection, data, progress=say)
        if as_json:
            write_json(status_of(stack))
        else:
            print_table(systems_table(stack))
            sentence(f"{count} meters installed. Next: cos switch --meter EUI --supplier B")
        stays = detach
        if not detach:
            stay_with(data, as_json=as_json)
    finally:
        if not stays:
            stop(load_stack(data))


def stay_with(data: Path, *, as_json: bool) -> None:
    """Return at Ctrl-C, or when no system runs any more; say which end before that."""
    told: set[str] = set()
    try:
        if not as_json:
            console.print("Running; Ctrl-C stops everything.")
        while True:
            stack = load_stack(data)  # anew: a probe may have started one of them again
            ended = {name for name in stack.pids if not runs(stack, name)}
            for name in sorted(ended - told):
                errors.print(f"{name} ended; its log: {data / name}/service.log", soft_wrap=True)
            told = ended
            if len(ended) == len(stack.pids):
                return
            time.sleep(LOOK_AGAIN)
    except KeyboardInterrupt:
        return


def provision_stack(
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Make the ceremony's meters and suppliers known to a running stack, where they are not yet.

    `cos up` does this itself; in containers a service of its own does it once all are ready.
    """
    try:
        with Connection(load_stack(data)) as connection:
            say = print_nothing if as_json else print_dim
            count = provision(connection, data, progress=say)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json({"devices": count}, indent=None)
    else:
        sentence(f"{count} meters installed")


def down(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Stop the systems of a data folder. What they hold stays; `cos up` starts them again."""
    try:
        if in_containers(data):
            fail(
                f"{data} is of containers: `docker compose down` stops them",
                REFUSED,
                as_json=as_json,
            )
        stopped = stop(load_stack(data))
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json({"stopped": stopped}, indent=None)
    else:
        sentence(f"stopped: {', '.join(stopped) or 'nothing was running'}")


def status_of(stack: Stack) -> dict[str, Any]:
    """What `cos status --json` says. Devices are counted where the lab credential is known."""
    services: dict[str, Any] = {}
    with Connection(stack) as connection:
        for name, urls in stack.services.items():
            why = why_not_ready(stack, name, connection.http)
            ready = why is None
            services[name] = {
                "interface": urls.interface,
                "lab": urls.lab,
                "pid": stack.pids.get(name),
                "running": runs(stack, name) if name in stack.pids else ready,
                "ready": ready,
                "why_not": why,
            }
        devices = None
        if services.get("meter_sim", {}).get("ready") and "meter_sim" in stack.lab_tokens:
            devices = connection.lab("meter_sim", "GET", "/lab/devices?limit=1")["total"]
    data = str(stack.data) if stack.data else None
    return {"data": data, "acb_eui": stack.acb_eui, "devices": devices, "services": services}


def state_of(one: dict[str, Any]) -> Text:
    """Whether a system is ready, in words, and why not."""
    if one["ready"]:
        return escaped("ready", "green")
    running = "not ready" if one["running"] else "not running"
    return escaped(f"{running}: {one['why_not']}", "red")


def status(
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Say where each system listens and whether it is ready. Exit code 4 if one is not.

    Who answers is asked: another stack's system on a port that this one had is not taken for it.
    """
    try:
        told = status_of(find_stack(data, service, lab_token))
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json(told)
    else:
        table = Columns("system", "interface", "lab port", "process", "state")
        for name, one in told["services"].items():
            table.add_row(name, one["interface"], one["lab"], str(one["pid"] or "-"), state_of(one))
        print_table(table)
        if told["devices"] is not None:
            sentence(f"acb {told['acb_eui']}, {told['devices']} devices")
    raise typer.Exit(0 if all(s["ready"] for s in told["services"].values()) else UNREACHABLE)
