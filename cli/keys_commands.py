"""`cos keys`: the simulated authorities and everything they issue."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.console import Columns, console, fail, print_table, sentence, write_json
from cli.options import DEFAULT_DATA, AsJson, Data
from keys.certificate import Certificate
from keys.crl import LIST_DAYS
from keys.encodings import REQUEST, der_of
from keys.errors import KeysError, KeyStoreError
from keys.issuing.ceremony import load_plan, run_ceremony
from keys.issuing.issue import certify_request
from keys.issuing.plan import DevicesPlan
from keys.verify import verify_folder
from services.chassis.time.clock import SystemClock
from stack.connection import Connection
from stack.containers import in_containers, lay_out
from stack.errors import MISSING, REFUSED, USAGE, CommandError
from stack.fleets import FleetPlan, add_fleet
from stack.layout import load_stack, stack_file
from stack.revocation_lists import ListName
from stack.revocation_lists import renew_lists as issue_lists
from stack.systems import with_link_keys

app = typer.Typer(no_args_is_help=True, help="The simulated key infrastructure (SMKI).")


def hold_ceremony(data: Path, plan: Path | None = None) -> None:
    """Make every key and certificate of a new stack in an empty folder.

    Raises:
        KeysError: the folder already holds a ceremony, or the plan does not make sense.
    """
    run_ceremony(with_link_keys(load_plan(plan)), data, now=SystemClock().now())


@app.command()
def init(
    data: Data = DEFAULT_DATA,
    plan: Annotated[
        Path | None, typer.Option(help="The ceremony as a TOML file; the shipped one by default.")
    ] = None,
    containers: Annotated[
        bool, typer.Option("--containers", help="Lay the folder out for docker compose.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Hold the key ceremony: one declarative file in, a stack's whole key material out."""
    if containers and stack_file(data).is_file():
        sentence(f"{data} holds a ceremony already; nothing to do")
        return
    try:
        hold_ceremony(data, plan)
    except KeysError as error:
        fail(str(error), MISSING, as_json=as_json)
    if containers:
        lay_out(data)
    facts = json.loads((data / "estate.json").read_text())
    if as_json:
        write_json(facts)
    else:
        sentence("Simulated keys and certificates are in ", (str(data), "bold"), ".")
        console.print("They are useless for anything real, and say so in every name.")


@app.command()
def fleet(
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many homes.")],
    supplier: Annotated[str, typer.Option(help="Whose certificates the meters hold.")] = "A",
    incoming: Annotated[str, typer.Option(help="Who is registered from now on.")] = "B",
    cos_party: Annotated[str, typer.Option(help="Whose commands they obey.")] = "ecos_party",
    device_type: Annotated[str, typer.Option(help="ESME or GSME.")] = "ESME",
    first_eui: Annotated[str, typer.Option(help="EUI-64 of the first.")] = "0253494de0000000",
    first_mpxn: Annotated[str, typer.Option(help="Meter point of the first.")] = "1400000000000",
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Add homes by the hundred thousand, before the first start. They cost little until used.

    Their meters' certificates are issued when a home is first needed: `cos load` does that.
    """
    asked = {
        "first_eui": first_eui, "count": count, "device_type": device_type,
        "first_mpxn": first_mpxn, "supplier": supplier, "cos_party": cos_party,
    }  # fmt: skip
    try:
        add_fleet(data, FleetPlan(DevicesPlan.model_validate(asked), incoming), SystemClock().now())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        fail(f"{where}: {first['msg']}", USAGE, as_json=as_json)
    except KeysError as error:
        fail(str(error), MISSING, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json({"first_eui": first_eui, "homes": count}, indent=None)
    else:
        sentence(f"{count} homes from {first_eui} on; next: cos up")


@app.command()
def show(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """List every certificate of a stack: whose, for what, from when to when."""
    if not (data / "estate.json").is_file():
        fail(f"no ceremony in {data}: `cos keys init --data {data}`", MISSING, as_json=as_json)
    rows = []
    for path in certificates_in(data):
        try:
            rows.append((path, Certificate.from_pem(path.read_bytes())))
        except KeysError as error:
            fail(f"{path}: {error}", MISSING, as_json=as_json)
    if as_json:
        write_json([row_of(data, path, c) for path, c in rows])
        return
    table = Columns("file*", "subject", "OU", "usage", "key identifier", "issuer", "until")
    for path, certificate in rows:
        row = row_of(data, path, certificate)
        table.add_row(
            row["file"], row["subject"], row["role"], row["usage"], row["key_identifier"],
            row["issuer"], row["not_after"][:10],
        )  # fmt: skip
    print_table(table)


@app.command()
def verify(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Check a stack's key folders: pairs, paths, profiles, file modes, simulated marks.

    Exit code 1 if anything is found.
    """
    if not (data / "estate.json").is_file():
        fail(f"no ceremony in {data}: `cos keys init --data {data}`", MISSING, as_json=as_json)
    if in_containers(data):
        fail("each container has its keys to itself: none sees them all", MISSING, as_json=as_json)
    findings = [str(finding) for finding in verify_folder(data, now=SystemClock().now())]
    if as_json:
        write_json({"findings": findings})
    elif findings:
        for finding in findings:
            sentence(("✗", "red"), f" {finding}")
    else:
        sentence(("✓", "green"), f" every key and certificate in {data} is as it must be")
    raise typer.Exit(REFUSED if findings else 0)


@app.command()
def certify(
    request: Annotated[
        Path,
        typer.Option(help="A device's certification request (PEM, DER or base64).", exists=True),
    ],
    out: Annotated[Path, typer.Option(help="File for the certificate (PEM).", writable=True)],
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Have the simulated device authority certify a device's new key.

    The request is what a device answers to `cos request issue-credentials`: who it is, what the key
    is for, and a signature by that key. The certificate is for `cos request
    update-device-certificate`. Exit code 2 if the request is not one.
    """
    try:
        octets = der_of(request.read_bytes(), REQUEST)
        certificate = certify_request(data, octets, SystemClock().now())
        out.write_bytes(certificate.to_pem())
    except KeyStoreError as error:
        fail(str(error), MISSING, as_json=as_json)
    except KeysError as error:
        fail(f"{request}: {error}", USAGE, as_json=as_json)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", USAGE, as_json=as_json)
    if as_json:
        write_json(row_of(out.parent, out, certificate))
    else:
        sentence(f"{certificate.subject_eui} {certificate.usage}: written to {out}")


@app.command(name="renew-lists")
def renew_lists(
    names: Annotated[
        list[ListName] | None, typer.Argument(metavar="NAME", help="Whose list; else all.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=36_500, help="Days until the list after it is due.")
    ] = LIST_DAYS,
    data: Data = DEFAULT_DATA,
    as_json: AsJson = False,
) -> None:
    """Have authorities issue the successors of their revocation lists, and publish them.

    A list that has run out vouches for nobody: who holds it refuses everyone, and says so at
    /readyz, until there is a newer one. What was revoked stays revoked. NAME is organisation,
    device or infrastructure (whose list is about the systems' link certificates).

    The lists are written to DATA, and given to the SMKI repository if it runs; otherwise it
    publishes them when it starts. The other systems ask it again within their own intervals. A new
    list holds by the machine's time and, where the stack runs, by its domain time (`cos clock`).

    Exit code 1 if the repository refuses a list, or if it revokes what DATA does not know of; 3 if
    DATA has no authorities or no list.
    """
    if not (data / "estate.json").is_file():
        fail(f"no ceremony in {data}: `cos keys init --data {data}`", MISSING, as_json=as_json)
    if in_containers(data):
        fail("each container has its keys to itself: none sees them all", MISSING, as_json=as_json)
    wanted = [name.value for name in names or ListName]
    try:
        stack = load_stack(data) if stack_file(data).is_file() else None
        with ExitStack() as held:
            connection = None if stack is None else held.enter_context(Connection(stack))
            done = issue_lists(data, connection, wanted, SystemClock().now(), days)
    except KeysError as error:
        fail(str(error), MISSING, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if as_json:
        write_json([one.as_dict() for one in done])
        return
    for one in done:
        where = "published" if one.published else "the repository publishes it when it starts"
        sentence(
            f"{one.name}: number {one.list.number}, {len(one.list.serials)} revoked, until "
            f"{one.list.next_update:%Y-%m-%d}: {where}"
        )


def certificates_in(data: Path) -> list[Path]:
    """Every certificate file below the folder, each system's own before the shared ones."""
    return sorted(p for p in data.rglob("*.pem") if "trust" not in p.parts)


def row_of(data: Path, path: Path, certificate: Certificate) -> dict[str, str]:
    """One certificate for the table and for scripts."""
    return {
        "file": str(path.relative_to(data)),
        "subject": certificate.subject_eui or certificate.common_name or "",
        "role": certificate.role or "",
        "usage": str(certificate.usage or ""),
        "key_identifier": certificate.key_identifier.hex(),
        "issuer": certificate.issuer,
        "serial": str(certificate.serial),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "fingerprint": certificate.fingerprint,
    }
