"""`cos duis`: signing, verifying and reading service requests and responses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, fail, sentence, write_json
from cli.gbcs_commands import tree_branch
from cli.options import DEFAULT_DATA, AsJson, Data, entity
from cli.request_commands import date_of
from duis.errors import DuisError, MalformedXml
from duis.show import show as describe_document
from duis.signature import from_template, signature_reference, verify_document
from duis.signature_form import ISSUER_SPELLING
from keys.certificate import Certificate
from keys.encodings import certificate_of
from keys.errors import KeysError
from keys.octets import public_key_fault
from stack.errors import MISSING, REFUSED, USAGE, CommandError
from stack.provision import devices_of
from stack.supplier import Supplier

app = typer.Typer(no_args_is_help=True, help="Write, sign, verify and read DUIS documents.")

Source = Annotated[str, typer.Argument(metavar="FILE|-", help="A DUIS document; - is stdin.")]
Out = Annotated[Path | None, typer.Option(help="Write here instead of standard output.")]


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
def new(
    service: Annotated[str, typer.Argument(metavar="6.23", help="The service to ask for.")],
    supplier: Annotated[str, typer.Option(help="Name of the supplier that takes over.")],
    meter: Annotated[str, typer.Option(help="Entity identifier of the meter, 16 hex digits.")],
    mpxn: Annotated[
        str | None, typer.Option(help="Its import meter point; known for this stack's meters.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When, such as 2030-01-02T00:00:00Z. Else at once.")
    ] = None,
    *,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Withdraw what waits for its date.")
    ] = False,
    for_xmlsec1: Annotated[
        bool,
        typer.Option("--for-xmlsec1", help="With an empty signature, which xmlsec1 --sign fills."),
    ] = False,
    data: Data = DEFAULT_DATA,
    out: Out = None,
) -> None:
    """Write a change of supplier (6.23), ready to sign by `cos duis sign`.

    It asks for the supplier's certificates of this stack and has a request ID whose counter is the
    time in milliseconds, so that it grows. No system is asked, none has to run. The other services
    are written and sent by `cos request`.
    """
    if service != "6.23":
        fail(f"{service}: only 6.23 is written here; see `cos request --help`", USAGE)
    execution = date_of(at, cancel, as_json=False)
    try:
        eui = entity("--meter", meter)
        point = mpxn or known_meter_point(data, eui)
        requester = Supplier.open(data, supplier)
        _, document = requester.write_change_of_supplier(eui, point, execution=execution)
        if for_xmlsec1:
            document = requester.leave_to_sign(document)
    except DuisError as error:
        fail(str(error), USAGE)
    except KeysError as error:
        fail(str(error), MISSING)
    except CommandError as error:
        fail(str(error), error.code)
    put(document, out)


def known_meter_point(data: Path, meter: str) -> str:
    """The import meter point of a meter that the ceremony made.

    Raises:
        CommandError: it made no such meter (exit code 2).
    """
    for device in devices_of(data) if (data / "devices.json").is_file() else []:
        if device["eui"] == meter:
            return str(device["mpxn"])
    raise CommandError(f"{data} has no meter {meter}: say its meter point by --mpxn", USAGE)


def put(document: bytes, out: Path | None) -> None:
    """Write a document to a file, or to standard output with nothing added."""
    if out:
        out.write_bytes(document)
    else:
        sys.stdout.buffer.write(document)


@app.command()
def sign(
    source: Source,
    supplier: Annotated[str, typer.Option(help="Whose XML-signing key signs.")],
    *,
    template: Annotated[
        bool,
        typer.Option(
            "--template",
            help="First take out comments, white space between elements and a signature that only "
            "holds a place.",
        ),
    ] = False,
    data: Data = DEFAULT_DATA,
    out: Out = None,
) -> None:
    """Sign a document as a supplier of this stack. Nothing else in it is changed.

    What is laid out for people (comments, indentation) is refused, because verifiers digest it
    differently; with --template it is taken out first. Identifiers and certificates stay as they
    are in the template: put yours in before you sign.
    """
    try:
        document = read_document(source)
        if template:
            document = from_template(document)
        signed = Supplier.open(data, supplier).sign(document)
    except DuisError as error:
        advice = ""
        if error.reason in ("comment", "inter_element_white_space", "already_signed"):
            advice = " (`cos duis sign --template` takes out layout and a signature that is there)"
        fail(f"{error}{advice}", USAGE)
    except KeysError as error:
        fail(str(error), MISSING)
    except CommandError as error:
        fail(str(error), error.code)
    put(signed, out)


@app.command()
def verify(
    source: Source,
    certificate: Annotated[
        Path | None, typer.Option(help="The signer's certificate (PEM, DER or base64).")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Check a document's signature, strictly.

    The signer is looked up among the certificates of the stack by issuer and serial number,
    unless its certificate is given. Exit code 1: the signature does not hold, or its form or that
    of the signer's key is not the one allowed. 2: not a document. 3: the signer is unknown.
    """
    try:
        document = read_document(source)
        reference = signature_reference(document)
        signer = (
            read_certificate(certificate)
            if certificate
            else find_signer(data, reference.issuer, reference.serial)
        )
        hold_key_form(signer)
        verify_document(document, signer.der)
    except DuisError as error:
        code = USAGE if isinstance(error, MalformedXml) else REFUSED
        fail(str(error), code, as_json=as_json, valid=False)
    except KeysError as error:
        fail(str(error), MISSING, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json, **error.facts)
    told = {
        "valid": True,
        "signer": signer.subject_eui or signer.common_name,
        "role": signer.role,
        "issuer": reference.issuer,
        "serial": str(reference.serial),
    }
    if as_json:
        write_json(told)
    else:
        sentence(("✓", "green"), f" signed by {told['signer']} (OU {signer.role}, {signer.issuer})")


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
        write_json(told)
    else:
        console.print(tree_branch("DUIS document", told))


def read_certificate(path: Path) -> Certificate:
    """The certificate in a file.

    Raises:
        CommandError: it cannot be read, or holds none (exit code 3).
    """
    try:
        return certificate_of(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", MISSING) from error
    except KeysError as error:
        raise CommandError(f"{path}: {error}", MISSING) from error


def hold_key_form(signer: Certificate) -> None:
    """Be satisfied that the signer's key is written as every party here has it.

    Raises:
        CommandError: it is not (exit code 1).
    """
    if fault := public_key_fault(signer.octets.public_key):
        raise CommandError(f"the signer's certificate: {fault}", REFUSED, valid=False)


def find_signer(data: Path, issuer: str, serial: int) -> Certificate:
    """The certificate with that issuer and serial among those the repository publishes."""
    for path in sorted((data / "smki_repository" / "repository" / "certificates").glob("*.pem")):
        certificate = Certificate.from_pem(path.read_bytes())
        if (certificate.issuer, certificate.serial) == (issuer, serial):
            return certificate
    raise CommandError(
        f"no certificate {serial} issued by {issuer} in {data}; {ISSUER_SPELLING}", MISSING
    )
