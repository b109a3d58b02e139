"""`cos switch`, `submit`, `requests` and `trace`: requests to the broker and what came of them."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import Columns, console, fail, print_dim, print_table, sentence, write_json
from cli.duis_commands import read_document
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens, entity
from cli.show import moment, render_trace
from duis.errors import DuisError
from duis.xml import request_from_xml
from keys.errors import KeysError
from stack.connection import Connection
from stack.errors import REFUSED, USAGE, CommandError
from stack.finding import find_stack
from stack.switching import GIVE_UP, Outcome
from stack.switching import submit as submit_document
from stack.switching import switch as switch_supplier
from stack.trace import tell

Wait = Annotated[float, typer.Option(min=0, help="Seconds to wait for the end of the request.")]


def show_outcome(connection: Connection, outcome: Outcome, *, as_json: bool) -> int:
    """Print how a request ended; returns the exit code."""
    if as_json:
        write_json(outcome.as_dict())
    else:
        console.print(render_trace(tell(connection, outcome.request_id), connection.stack))
        style = "green" if outcome.ok else "red"
        sentence(
            (f"{outcome.request_id}: {outcome.state}", style), f" {outcome.response_code or ''}"
        )
    return 0 if outcome.ok else REFUSED


def switch(
    meter: Annotated[str, typer.Option(help="Entity identifier of the meter, 16 hex digits.")],
    supplier: Annotated[str, typer.Option(help="Name of the supplier that takes over.")],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    wait: Wait = GIVE_UP,
    as_json: AsJson = False,
) -> None:
    """Let a supplier take over a meter by a 6.23 request that it signs.

    Shows each state and each refusal on the way. Exit code 1 if refused, 5 if it is still under
    way after --wait seconds.
    """
    try:
        eui = entity("--meter", meter)
        with Connection(find_stack(data, service, lab_token)) as connection:
            done = switch_supplier(
                connection, data, eui, supplier, say=None if as_json else print_dim, limit=wait
            )
            code = show_outcome(connection, done, as_json=as_json)
    except (KeysError, DuisError) as error:
        fail(str(error), USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json, **error.facts)
    raise typer.Exit(code)


def submit(
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A signed DUIS request; - is stdin.")
    ],
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    wait: Wait = GIVE_UP,
    as_json: AsJson = False,
) -> None:
    """Send a signed document to the broker exactly as it is, and wait for the outcome.

    Exit code 1 if refused, 5 if it is still under way after --wait seconds.
    """
    try:
        document = read_document(file)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    try:
        request_id = str(request_from_xml(document).header.request_id)
    except DuisError:
        request_id = ""  # the broker shall say what is wrong with it
    try:
        with Connection(find_stack(data, service, lab_token)) as connection:
            done = submit_document(
                connection, document, request_id, say=None if as_json else print_dim, limit=wait
            )
            code = show_outcome(connection, done, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json, **error.facts)
    raise typer.Exit(code)


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
        fail(str(error), error.code, as_json=as_json, **error.facts)
    if as_json:
        write_json([event.as_dict() for event in story.events])
    else:
        console.print(render_trace(story, stack))


def requests(
    state: Annotated[
        str | None, typer.Option(help="Only those in this state, such as completed.")
    ] = None,
    meter: Annotated[str | None, typer.Option(help="Only those to this device.")] = None,
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """List the service requests that the broker keeps: what was asked, of whom, how far it is."""
    try:
        eui = None if meter is None else entity("--meter", meter)
        with Connection(find_stack(data, service, lab_token)) as connection:
            listed = connection.lab("acb", "GET", "/lab/requests")["requests"]
            name_of = connection.stack.supplier_name
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    listed = [
        one for one in listed if state in (None, one["state"]) and eui in (None, one["target"])
    ]
    if as_json:
        write_json(listed)
        return
    table = Columns("accepted", "service", "from", "request", "state", "code", "refused by")
    for one in listed:
        table.add_row(
            moment(one["accepted_at"]),
            one["service"],
            name_of(one["originator"]),
            one["request_id"],
            one["state"],
            one["response_code"] or "-",
            one["refused"] or "-",
        )
    print_table(table)
