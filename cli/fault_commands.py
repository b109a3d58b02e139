"""`cos faults` and `cos quirks`: exactly this failure, the next so many times; known odd peers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table

from cli.console import Columns, print_table, sentence, write_json
from cli.on_stack import on_stack
from stack import faults
from stack.connection import Connection

app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Force exactly this failure, the next n times, at any system. A fault says where "
        "(inbound: others call the system; outbound: it calls them; device: the network to a "
        "device, at meter_sim; the request or the answer), "
        "whose (--hop), which messages (--purpose, --device, ...), what befalls them, and how "
        "often. It is counted, shown in `cos trace`, and undone by remove or reset.\n\n"
        "Kinds: drop, delay, duplicate, reorder, stale_answer, status, bit_flip, truncate, "
        "old_key. All of them, and the hops of each system: docs/faults.md.\n\n"
        "  cos faults add acb drop outbound-request --hop ecos_party --times 2"
    ),
)
quirks_app = typer.Typer(
    no_args_is_help=True,
    help=(
        "Have a system behave like a known odd peer: what published vectors and tools do "
        "differently. Not a fault: the system goes on working, that way."
    ),
)

Party = Annotated[str, typer.Argument(metavar="SYSTEM", help="Such as acb or ecos_party.")]
OneParty = Annotated[
    str | None, typer.Argument(metavar="SYSTEM", help="One system; all of them if not given.")
]
FaultId = Annotated[str, typer.Argument(metavar="ID", help="As `cos faults list` shows it: f1.")]


class Where(StrEnum):
    """Which half of an exchange."""

    INBOUND_REQUEST = "inbound-request"
    INBOUND_ANSWER = "inbound-answer"
    OUTBOUND_REQUEST = "outbound-request"
    OUTBOUND_ANSWER = "outbound-answer"
    DEVICE_REQUEST = "device-request"
    DEVICE_ANSWER = "device-answer"


class Kind(StrEnum):
    """What befalls a message."""

    DROP = "drop"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    STALE_ANSWER = "stale_answer"
    STATUS = "status"
    BIT_FLIP = "bit_flip"
    TRUNCATE = "truncate"
    OLD_KEY = "old_key"


class Claim(StrEnum):
    """Whose key an old key says it is."""

    OWN = "own"
    OLD = "old"


@app.command(name="list")
@on_stack
def list_(
    connection: Connection,
    system: OneParty = None,
    *,
    as_json: bool,
) -> None:
    """Say which faults are armed, how often they have struck, and what they hold back.

    With --json also the hops of each system and the kinds of fault that it can have.
    """
    told = faults.listed(connection, faults.parties_of(connection, system))
    table = Columns("system", "id", "fault", "where", "hop", "which*", "struck", "held")
    for party, one in told.items():
        for fault in one["faults"]:
            of = "" if fault["times"] is None else f" of {fault['times']}"
            which = ", ".join(f"{name} {value}" for name, value in fault["match"].items())
            table.add_row(
                party,
                fault["id"],
                fault["kind"],
                f"{fault['direction']}-{fault['part']}",
                fault["hop"] or "any",
                which or "all",
                f"{fault['fired']}{of}" + (", spent" if fault["state"] == "spent" else ""),
                str(fault["held"]),
            )
    show(told, table if table.row_count else "No faults.", as_json=as_json)


@app.command()
@on_stack
def add(
    connection: Connection,
    system: Party,
    kind: Annotated[Kind, typer.Argument(help="What befalls the message.")],
    where: Annotated[Where, typer.Argument(help="Which half of which exchange.")],
    hop: Annotated[
        str | None, typer.Option(help="Who calls, or is called: a system, users, alerts, anyone.")
    ] = None,
    times: Annotated[int, typer.Option(min=0, help="How often; 0: until it is removed.")] = 1,
    among: Annotated[
        int | None, typer.Option(help="Draw that many of the next so many that fit (--seed).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="What draws them, and the bit that is flipped.")
    ] = None,
    purpose: Annotated[
        str | None, typer.Option(help="Purpose on the signed link, such as cos-command.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Path; * and ? stand for others: '/link/*'.")
    ] = None,
    method: Annotated[str | None, typer.Option(help="HTTP method.")] = None,
    message_id: Annotated[
        str | None, typer.Option(help="Message identifier on the signed link; * and ? as in path.")
    ] = None,
    request_id: Annotated[
        str | None, typer.Option(help="DUIS request ID, wherever the message names it.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="EUI-64 of a device, wherever the message names it.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="A delay ends after so long by the system's clock, or when released."),
    ] = None,
    status: Annotated[int | None, typer.Option(help="HTTP status answered (503).")] = None,
    bit: Annotated[
        int | None, typer.Option(help="Which bit flips, 0 the first; else drawn from the seed.")
    ] = None,
    octets: Annotated[int | None, typer.Option(help="Octets left by truncate (half).")] = None,
    claims: Annotated[
        Claim | None, typer.Option(help="Whose key an old key says it is: own or old.")
    ] = None,
    *,
    as_json: bool,
) -> None:
    """Arm a fault. Prints its id, which remove and release take.

    The broker's next two calls of the enduring CoS Party are lost on the way:

    cos faults add acb drop outbound-request --hop ecos_party --purpose cos-command --times 2

    One bit of the signed command flips between the broker and one meter:

    cos faults add acb bit_flip outbound-request --hop meter_sim --device 0253494dd0000002
    """
    told = faults.arm(
        connection,
        system,
        faults.order_of(
            kind.value,
            where.value,
            hop=hop,
            times=times,
            among=among,
            seed=seed,
            purpose=purpose,
            path=path,
            method=method,
            message_id=message_id,
            request_id=request_id,
            device=device,
            seconds=seconds,
            status=status,
            bit=bit,
            octets=octets,
            claims=claims,
        ),
    )
    show(told, f"{told['id']} is armed at {system}.", as_json=as_json)


@app.command()
@on_stack
def remove(
    connection: Connection,
    system: Party,
    fault: FaultId,
    *,
    as_json: bool,
) -> None:
    """Undo a fault. What it holds back is carried on."""
    told = faults.remove(connection, system, fault)
    show(told, f"{fault} struck {told['fired']} times; it is gone.", as_json=as_json)


@app.command()
@on_stack
def release(
    connection: Connection,
    system: Party,
    fault: FaultId,
    *,
    as_json: bool,
) -> None:
    """Carry on what a delay or a reorder holds back. The fault stays."""
    count = faults.release(connection, system, fault)
    show({"id": fault, "released": count}, f"released: {count}", as_json=as_json)


@app.command()
@on_stack
def reset(
    connection: Connection,
    system: OneParty = None,
    *,
    as_json: bool,
) -> None:
    """Undo every fault, of one system or of all. Checks, clocks and quirks stay as they are."""
    told = faults.clear(connection, faults.parties_of(connection, system))
    show({"removed": told}, f"removed: {sum(told.values())}", as_json=as_json)


@quirks_app.command(name="list")
@on_stack
def list_quirks(
    connection: Connection,
    system: OneParty = None,
    *,
    as_json: bool,
) -> None:
    """Say which quirks the systems can have, where each is known from, and which are on."""
    told = faults.quirks(connection, faults.parties_of(connection, system))
    table = Columns("system", "quirk", "", "what it does*", "known from*")
    for party, all_of_it in told.items():
        for quirk in all_of_it:
            on = "on" if quirk["on"] else "off"
            table.add_row(party, quirk["name"], on, quirk["title"], quirk["source"])
    show(told, table, as_json=as_json)


@quirks_app.command()
@on_stack
def on(
    connection: Connection,
    system: Party,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    as_json: bool,
) -> None:
    """Have a system behave that way from now on: `cos quirks on meter_sim non-minimal-lengths`."""
    _switch(connection, system, name, to=True, as_json=as_json)


@quirks_app.command()
@on_stack
def off(
    connection: Connection,
    system: Party,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    as_json: bool,
) -> None:
    """Have it behave as usual again."""
    _switch(connection, system, name, to=False, as_json=as_json)


def _switch(connection: Connection, system: str, name: str, *, to: bool, as_json: bool) -> None:
    told = faults.switch_quirk(connection, system, name, on=to)
    show(told, f"{system}: {name} is {'on' if told['on'] else 'off'}", as_json=as_json)


def show(told: Any, plainly: str | Table, *, as_json: bool) -> NoReturn:
    """Print it, as JSON or for people, and end well."""
    if as_json:
        write_json(told)
    elif isinstance(plainly, Table):
        print_table(plainly)
    else:
        sentence(plainly)
    raise typer.Exit(0)
