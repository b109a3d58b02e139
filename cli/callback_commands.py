"""`cos callback` and `cos listen`: where a supplier's responses and alerts go, and taking them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import fail, print_dim, sentence, write_json
from cli.options import DEFAULT_DATA, AsJson, Data, Services, Tokens
from duis.errors import DuisError
from duis.show import show as describe_document
from keys.errors import KeysError
from stack.connection import Connection
from stack.errors import UNDER_WAY, USAGE, CommandError
from stack.finding import find_stack
from stack.receiver import ReceivedDocument, Receiver, own_address
from stack.supplier import Supplier

Who = Annotated[str, typer.Argument(metavar="SUPPLIER", help="Name of a supplier.")]


def set_callback(connection: Connection, supplier: str, url: str | None) -> dict[str, Any]:
    """Tell the broker where that supplier is sent what it is owed; None: nowhere.

    Raises:
        CommandError: no such supplier, or the broker refuses the URL.
    """
    eui = connection.stack.supplier(supplier)["eui"]
    told: dict[str, Any] = connection.lab(
        "acb", "PUT", f"/lab/users/{eui}/callback", {"callback_url": url}
    )
    return told


def get_callback(connection: Connection, supplier: str) -> str | None:
    """Where the broker sends what that supplier is owed."""
    eui = connection.stack.supplier(supplier)["eui"]
    users = connection.lab("acb", "GET", "/lab/users")["users"]
    return next((one["callback_url"] for one in users if one["eui"] == eui), None)


def callback(
    supplier: Who,
    url: Annotated[
        str | None, typer.Argument(metavar="[URL]", help="An http URL of yours.")
    ] = None,
    *,
    off: Annotated[bool, typer.Option("--off", help="Send nothing any more.")] = False,
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Say where the broker sends a supplier's signed responses and alerts.

    Each is one POST of application/xml; answer it with any 2xx. What was not taken is sent again.
    Without a URL it shows where they go now; --off ends it. With no callback, ask for the response
    by GET /service-requests/{request ID}.
    """
    if off and url is not None:
        fail("give either a URL or --off", USAGE, as_json=as_json)
    try:
        with Connection(find_stack(data, service, lab_token)) as connection:
            if off or url is not None:
                where = set_callback(connection, supplier, url)["callback_url"]
            else:
                where = get_callback(connection, supplier)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json({"supplier": supplier, "callback_url": where}, indent=None)
    else:
        sentence(f"{supplier}: {where or 'no callback'}")


def listen(
    supplier: Annotated[str, typer.Option(help="Name of the supplier to listen as.")],
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Where to listen; 0: any that is free.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Also write each document into this folder.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="End after so many documents; else at Ctrl-C.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, help="End after so many seconds; exit code 5 if --count is not reached."
        ),
    ] = None,
    data: Data = DEFAULT_DATA,
    service: Services = None,
    lab_token: Tokens = None,
    as_json: AsJson = False,
) -> None:
    """Receive what the broker sends a supplier: registers itself as the callback, and listens.

    Each document's signature is verified under the broker's certificate; what it says is shown,
    with --json as one line of JSON. When it ends, the callback is again what it was before.
    """
    ended = False
    try:
        stack = find_stack(data, service, lab_token)
        reader = Supplier.open(data, supplier)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        with Connection(stack) as connection:
            before = get_callback(connection, supplier)
            host = own_address(connection.of("acb").interface)
            with Receiver(host, port) as receiver:
                set_callback(connection, supplier, receiver.url(supplier))
                if not as_json:
                    print_dim(
                        f"listening as {supplier} on {receiver.url(supplier)}; Ctrl-C ends it"
                    )
                try:
                    ended = take(receiver, reader, count, wait, out, as_json=as_json)
                finally:
                    set_callback(connection, supplier, before)
    except KeysError as error:
        fail(str(error), USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    except KeyboardInterrupt:
        return
    if not ended:
        fail(f"fewer than {count} documents came within {wait:g} s", UNDER_WAY, as_json=as_json)


def take(
    receiver: Receiver,
    reader: Supplier,
    count: int | None,
    wait: float | None,
    out: Path | None,
    *,
    as_json: bool,
) -> bool:
    """Show each document as it comes; False if `wait` seconds passed before `count` came."""
    deadline = None if wait is None else time.monotonic() + wait
    seen = 0
    while count is None or seen < count:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        for delivery in receiver.after(seen, left):
            seen += 1
            told = read(delivery, reader)
            if out is not None:
                (out / f"{seen:03d}.xml").write_bytes(delivery.document)
            if as_json:
                write_json(told, indent=None)
            else:
                mark = "✓" if told["verified"] else "✗"
                print_dim(f"{seen:03d} {mark} {told['says']}")
        if left == 0.0:
            return count is None or seen >= count
    return True


def read(delivery: ReceivedDocument, reader: Supplier) -> dict[str, Any]:
    """Whether the broker signed it, and what it says."""
    told: dict[str, Any] = {"verified": False, "octets": len(delivery.document)}
    try:
        reader.read(delivery.document)
        told["verified"] = True
        told["document"] = describe_document(delivery.document)
        told["says"] = in_words(told["document"])
    except DuisError as error:
        told["says"] = str(error)
    return told


def in_words(document: dict[str, Any]) -> str:
    """The head of a response in one line: what it answers, its code, what kind of answer it is."""
    header = document.get("header", {})
    kind = ", ".join(document.get("body", {}))
    alert = document.get("alert_meaning")
    about = header.get("request_id") or "asked by nobody"
    code = f"{header.get('response_code')} ({header.get('meaning')})"
    return f"{about}: {code}; {kind}{f': {alert}' if alert else ''}"
