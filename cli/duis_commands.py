"""`cos duis`: signing, verifying and reading service requests and responses."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, fail, sentence
from cli.errors import MISSING, REFUSED, USAGE, CommandError
from cli.gbcs_commands import tree_branch
from cli.options import DEFAULT_DATA, AsJson, Data
from cli.supplier import Supplier
from duis.errors import DuisError, MalformedXml
from duis.show import show as describe_document
from duis.signature import signature_reference, verify_document
from keys.certificate import Certificate
from keys.errors import KeysError

app = typer.Typer(no_args_is_help=True, help="Sign, verify and read DUIS documents.")

Source = Annotated[str, typer.Argument(metavar="FILE|-", help="A DUIS document; - is stdin.")]


def read_document(source: str) -> bytes:
    """The octets of a document.

    Raises:
        CommandError: it cannot be read (exit code 2).
    """
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise CommandError(f"{source}: {error.strerror}", USAGE) from error


@app.command()
def sign(
    source: Source,
    supplier: Annotated[str, typer.Option(help="Whose XML-signing key signs.")],
    data: Data = DEFAULT_DATA,
    out: Annotated[Path | None, typer.Option(help="Write here instead of standard output.")] = None,
) -> None:
    """Sign an unsigned document as a supplier of this stack. Nothing else in it is changed."""
    try:
        signed = Supplier.open(data, supplier).sign(read_document(source))
    except DuisError as error:
        fail(str(error), USAGE)
    except KeysError as error:
        fail(str(error), MISSING)
    except CommandError as error:
        fail(str(error), error.code)
    if out:
        out.write_bytes(signed)
    else:
        sys.stdout.buffer.write(signed)


@app.command()
def verify(
    source: Source,
    certificate: Annotated[
        Path | None, typer.Option(help="The signer's certificate (PEM or DER).")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Check a document's signature, strictly.

    The signer is looked up among the certificates of the stack by issuer and serial number,
    unless its certificate is given. Exit code 1: the signature does not hold, or its form is not
    the one allowed. 2: not a document. 3: the signer is unknown.
    """
    try:
        document = read_document(source)
        reference = signature_reference(document)
        signer = (
            read_certificate(certificate)
            if certificate
            else find_signer(data, reference.issuer, reference.serial)
        )
        verify_document(document, signer.der)
    except DuisError as error:
        code = USAGE if isinstance(error, MalformedXml) else REFUSED
        fail(str(error), code, as_json=as_json, valid=False)
    except KeysError as error:
        fail(str(error), MISSING, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    told = {
        "valid": True,
        "signer": signer.subject_eui or signer.common_name,
        "role": signer.role,
        "issuer": reference.issuer,
        "serial": str(reference.serial),
    }
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        sentence(f"[green]✓[/] signed by {told['signer']} (OU {signer.role}, {signer.issuer})")


@app.command()
def show(source: Source, as_json: AsJson = False) -> None:
    """Say what a document asks or answers. Its signature is not checked here."""
    try:
        told = describe_document(read_document(source))
    except DuisError as error:
        fail(str(error), USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        console.print(tree_branch("DUIS document", told))


def read_certificate(path: Path) -> Certificate:
    """A certificate file in either encoding."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", MISSING) from error
    pem = data.lstrip().startswith(b"-----")
    return Certificate.from_pem(data) if pem else Certificate.from_der(data)


def find_signer(data: Path, issuer: str, serial: int) -> Certificate:
    """The certificate with that issuer and serial among those the repository publishes."""
    for path in sorted((data / "smki_repository" / "repository" / "certificates").glob("*.pem")):
        certificate = Certificate.from_pem(path.read_bytes())
        if (certificate.issuer, certificate.serial) == (issuer, serial):
            return certificate
    raise CommandError(f"no certificate {serial} issued by {issuer} in {data}", MISSING)
