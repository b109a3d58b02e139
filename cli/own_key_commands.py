"""`cos request` for a device's own keys: 6.17, 6.15.2 and 6.24.2, in the order they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import fail, sentence, write_json
from cli.options import DEFAULT_DATA, AsJson, Data
from cli.request_commands import Meter, Who, app, because, certificate_in, plain
from duis.errors import DuisError
from duis.model import ResponseMessage
from gbcs.errors import GbcsError
from keys.errors import KeysError
from stack.connection import Connection
from stack.errors import REFUSED, USAGE, CommandError
from stack.layout import load_stack
from stack.own_keys import (
    DeviceResult,
    KeyName,
    KeyService,
    command_device,
    device_result,
    issue,
    provide,
    update,
)
from stack.supplier import Supplier

__all__ = ["app"]

Key = Annotated[KeyName, typer.Option(help="Which of the device's two keys.")]
Out = Annotated[
    Path | None, typer.Option(help="File to write what the device gave to (PEM).", writable=True)
]


@app.command(name="issue-credentials")
def issue_credentials(
    supplier: Who,
    meter: Meter,
    *,
    key: Key = KeyName.KEY_AGREEMENT,
    out: Out = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """6.17 Issue Security Credentials: have a device make a new key pair.

    The device answers with a certification request (PKCS #10) for it, and goes on using the key it
    has. What comes next: have the request certified with `cos keys certify`, and give the device
    the certificate with `cos request update-device-certificate`.

    Only the supplier in the device's signing cell may ask. Exit code 1 if the broker refuses, if
    the device stays silent, or if the device says that it could not.
    """
    _run(issue(key), supplier, meter, out, data, as_json=as_json)


@app.command(name="update-device-certificate")
def update_device_certificate(
    supplier: Who,
    meter: Meter,
    certificate: Annotated[
        Path,
        typer.Option(help="The certificate for the new key (PEM, DER or base64).", exists=True),
    ],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """6.15.2 Update Security Credentials (Device): have a device use its new key from now on.

    The certificate must be for the key pair that the device made last (6.17). The device says what
    it thinks of it: `success`, or the reason why not (exit code 1), such as `wrongPublicKey`. The
    broker's record follows the device's word: its next command to the device is for the new key.
    """
    try:
        given = certificate_in(certificate)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    _run(update(given), supplier, meter, None, data, as_json=as_json)


@app.command(name="provide-device-certificate")
def provide_device_certificate(
    supplier: Who,
    meter: Meter,
    *,
    key: Key = KeyName.KEY_AGREEMENT,
    out: Out = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """6.24.2 Retrieve Device Security Credentials (Device): have a device show its certificate.

    It shows the certificate of the key that it uses now, signed with its signing key. Exit code 1
    if it holds none (`noCertificateHeld`) or cannot show it (`retrievalFailure`).
    """
    _run(provide(key), supplier, meter, out, data, as_json=as_json)


def _run(
    act: KeyService, name: str, meter: str, out: Path | None, data: Path, *, as_json: bool
) -> None:
    """Do it, print what the device said and leave with the exit code."""
    told: DeviceResult | None = None
    try:
        with Connection(load_stack(data)) as connection:
            supplier = Supplier.open(data, name)
            done = command_device(connection, supplier, plain(meter), act)
            body = None if done.response is None else supplier.read(done.response).body
        if isinstance(body, ResponseMessage) and body.gbcs_payload is not None:
            told = device_result(body.gbcs_payload)
        if out is not None and told is not None and told.pem is not None:
            out.write_text(told.pem)
    except (KeysError, DuisError, GbcsError, OSError) as error:
        fail(str(error), USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    ok = done.ok and told is not None and told.ok
    if as_json:
        device = None if told is None else {"result": told.result, "pem": told.pem}
        write_json(done.as_dict() | {"device": device})
    else:
        why = because(done)
        word = "" if told is None else f"; the device says: {told.result}"
        style = "green" if ok else "red"
        sentence((f"{done.request_id}: {done.state}", style), f"{why}{word}")
        if told is not None and told.pem is not None:
            shown = told.pem.strip().splitlines() if out is None else [f"written to {out}"]
            for one in shown:
                sentence(one)
    raise typer.Exit(0 if ok else REFUSED)
