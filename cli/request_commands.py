"""`cos request`: the service requests other than a change of supplier, asked as a supplier."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, fail, sentence, write_json
from cli.options import DEFAULT_DATA, AsJson, Data, entity
from duis.errors import DuisError
from duis.model import CANCEL_DATE, Inventory, RemotePartyRole, Response, ResponseMessage
from gbcs.errors import GbcsError
from gbcs.text.describe import describe
from keys.certificate import Certificate
from keys.encodings import certificate_of
from keys.errors import CertificateError, KeysError
from stack.connection import Connection
from stack.errors import REFUSED, USAGE, CommandError
from stack.layout import load_stack
from stack.service_requests import (
    NewCertificates,
    ask_update,
    read_credentials,
    read_inventory,
    request_handover,
    send_update,
    sign_pre_command,
)
from stack.supplier import Supplier
from stack.switching import Outcome, submit

app = typer.Typer(no_args_is_help=True, help="Ask the broker other services, as a supplier.")

Who = Annotated[str, typer.Option("--supplier", help="Name of the supplier that asks.")]
Meter = Annotated[str, typer.Option(help="Entity identifier of the meter, 16 hex digits.")]
CertificateFile = Annotated[
    Path | None,
    typer.Option(help="A certificate of the supplier's (PEM, DER or base64).", exists=True),
]
At = Annotated[
    str | None, typer.Option(help="When, by the stack's clock: 2030-01-02T00:00:00Z. Else at once.")
]
Cancel = Annotated[bool, typer.Option("--cancel", help="Withdraw what waits for its date.")]


@app.command()
def inventory(
    supplier: Who,
    meter: Annotated[str | None, typer.Option(help="Search by device.")] = None,
    mpxn: Annotated[str | None, typer.Option(help="Search by meter point.")] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """8.2 Read Inventory: what the broker's record says of a device or a meter point."""
    if (meter is None) == (mpxn is None):
        fail("give either --meter or --mpxn", USAGE, as_json=as_json)

    def act(connection: Connection, requester: Supplier) -> Outcome:
        device = None if meter is None else plain(meter)
        broker = connection.stack.facts["parties"]["acb"]
        request_id, document = read_inventory(requester, broker, device=device, mpxn=mpxn)
        return submit(connection, document, str(request_id))

    run(act, supplier, data, as_json=as_json)


@app.command(name="read-credentials")
def read_credentials_(
    supplier: Who,
    meter: Meter,
    role: Annotated[
        list[RemotePartyRole] | None, typer.Option(help="Whose credentials; repeatable.")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """6.24.1 Retrieve Device Security Credentials (KRP): what a device's cells hold."""
    roles = tuple(role or [RemotePartyRole.SUPPLIER])

    def act(connection: Connection, requester: Supplier) -> Outcome:
        request_id, document = read_credentials(requester, plain(meter), roles)
        return submit(connection, document, str(request_id))

    run(act, supplier, data, as_json=as_json)


@app.command()
def handover(
    supplier: Who,
    meter: Meter,
    *,
    at: At = None,
    cancel: Cancel = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """6.21 Request Handover of DCC Controlled Device: take a device the broker holds.

    With --at the broker keeps the request until that time and sends nothing before it; --cancel
    withdraws what it keeps.
    """
    execution = date_of(at, cancel, as_json=as_json)

    def act(connection: Connection, requester: Supplier) -> Outcome:
        request_id, document = request_handover(requester, plain(meter), execution)
        return submit(connection, document, str(request_id))

    run(act, supplier, data, as_json=as_json)


@app.command(name="update-credentials")
def update_credentials_(
    supplier: Who,
    meter: Meter,
    *,
    digital_signing: CertificateFile = None,
    key_agreement: CertificateFile = None,
    key_agreement_top_up: CertificateFile = None,
    at: At = None,
    cancel: Cancel = False,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """6.15.1 Update Security Credentials (KRP): ask, sign what is written, send it.

    Without certificates, those the supplier has in its key store now. With --at the device keeps
    the command until that time; --cancel withdraws what it keeps.
    """
    execution = date_of(at, cancel, as_json=as_json)

    def act(connection: Connection, requester: Supplier) -> Outcome:
        files = (digital_signing, key_agreement, key_agreement_top_up)
        given = [None if file is None else certificate_in(file) for file in files]
        new = NewCertificates(*given) if any(given) else NewCertificates.of(requester)
        return update_credentials(connection, requester, plain(meter), new, execution)

    run(act, supplier, data, as_json=as_json)


def certificate_in(file: Path) -> Certificate:
    """The certificate in a file.

    Raises:
        CommandError: it holds none (exit code 2).
    """
    try:
        return certificate_of(file.read_bytes())
    except CertificateError as error:
        raise CommandError(f"{file}: {error}", USAGE) from error
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", USAGE) from error


def update_credentials(
    connection: Connection,
    supplier: Supplier,
    meter: str,
    new: NewCertificates,
    execution: datetime | None = None,
) -> Outcome:
    """Ask for the Pre-Command, sign it, send it back; how the one that ended it ended.

    Raises:
        CommandError: what the broker wrote is not what was asked for (exit code 1).
        DuisError: what the broker answered is not the broker's.
    """
    request_id, document = ask_update(supplier, meter, new, execution)
    written = submit(connection, document, str(request_id))
    if not written.ok or written.response is None:
        return written
    signed = sign_pre_command(supplier, supplier.read(written.response), new, execution)
    request_id, document = send_update(supplier, meter, signed)
    return submit(connection, document, str(request_id))


def run(
    act: Callable[[Connection, Supplier], Outcome], supplier: str, data: Path, *, as_json: bool
) -> None:
    """Do it, print how it ended and leave with the exit code."""
    try:
        with Connection(load_stack(data)) as connection:
            requester = Supplier.open(data, supplier)
            done = act(connection, requester)
            answer = None if done.response is None else told(requester.read(done.response))
    except (KeysError, DuisError, GbcsError) as error:
        fail(str(error), USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json(done.as_dict() | {"answer": answer})
    else:
        style = "green" if done.ok else "red"
        why = because(done)
        sentence((f"{done.request_id}: {done.state}", style), why)
        if answer is not None:
            console.print_json(data=answer)
    raise typer.Exit(0 if done.ok else REFUSED)


def because(done: Outcome) -> str:
    """By which check it was refused, and how to see what that check found."""
    if not done.refused:
        return ""
    return f" by {done.refused['check']}; cos trace {done.request_id} says why"


def told(response: Response) -> dict[str, object] | None:
    """What a verified response says: the inventory's devices, or the device's own message."""
    body = response.body
    if not isinstance(body, ResponseMessage):
        return None
    if isinstance(body.content, Inventory):
        return {
            "devices": [
                {
                    "device": item.device,
                    "device_type": item.device_type,
                    "status": item.status,
                    "import_mpxn": item.import_mpxn,
                }
                for item in body.content.devices
            ]
        }
    return None if body.gbcs_payload is None else dict(describe(body.gbcs_payload, None, None))


def date_of(at: str | None, cancel: bool, *, as_json: bool) -> datetime | None:
    """The execution date of the options; ends the command if they do not say one."""
    if at is not None and cancel:
        fail("give either --at or --cancel", USAGE, as_json=as_json)
    if at is None:
        return CANCEL_DATE if cancel else None
    try:
        execution = datetime.fromisoformat(at)
    except ValueError:
        execution = None
    if execution is None or execution.tzinfo is None:
        fail("--at is a time with its zone, e.g. 2030-01-02T00:00:00Z", USAGE, as_json=as_json)
    return execution


def plain(eui: str) -> str:
    """What --meter says, as the project writes it: 16 lower-case hex digits."""
    return entity("--meter", eui)
