"""`cos evidence`: one exchange between the broker and a CoS Party, for anyone to verify later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cli.connection import Connection
from cli.console import console, fail, sentence
from cli.errors import REFUSED, USAGE, CommandError
from cli.evidence import Report, Unreadable, judge, write_bundle
from cli.evidence_collect import AUTHORITIES, collect, file_of, read_pem
from cli.layout import load_stack
from cli.options import AsJson

app = typer.Typer(
    no_args_is_help=True, help="Take an exchange out of both ends' logs; verify it offline."
)

ROOTS = tuple(name for name in AUTHORITIES if name.endswith("_root"))


@app.command("export")
def export_bundle(
    request: Annotated[str, typer.Option("--request", metavar="ID", help="A request ID.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    data: Annotated[
        Path, typer.Option("--data", envvar="COS_DATA", help="The stack's data folder.")
    ] = Path("var/stack"),
    as_json: AsJson = False,
) -> None:
    """Write everything on the link about one request, as both ends kept it. It holds no secret.

    Exit code 1 if no CoS Party was ever asked about it.
    """
    try:
        with Connection(load_stack(data)) as connection:
            bundle = collect(connection, data, request)
        octets = write_bundle(bundle)
        out.write_bytes(octets)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    except OSError as error:
        fail(f"{out}: {error.strerror}", USAGE, as_json=as_json)
    rows = {party: len(log["rows"]) for party, log in bundle["logs"].items()}
    if as_json:
        print(json.dumps({"file": str(out), "octets": len(octets), "rows": rows}, indent=2))
    else:
        shown = ", ".join(f"{count} rows of {party}" for party, count in rows.items())
        sentence(f"{out}: {shown}. Next: cos evidence verify {out}")


@app.command("verify")
def verify_bundle(
    file: Annotated[Path, typer.Argument(help="A bundle that `cos evidence export` wrote.")],
    trust: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the roots you trust (infrastructure-root.pem, organisation-root.pem, "
            "device-root.pem); the bundle's own if not given."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a bundle proves, and name whatever was changed. Needs no key and no stack.

    Exit code 0: all of it holds. 1: something is not what was signed or written. 2: no bundle.
    3: a root cannot be read.
    """
    try:
        roots = {name: read_pem(trust / file_of(name)).der for name in ROOTS} if trust else None
        report = judge(file.read_bytes(), roots)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    except Unreadable as error:
        fail(f"{file}: {error}", USAGE, as_json=as_json)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        show(report)
    raise typer.Exit(0 if report.ok else REFUSED)


def show(report: Report) -> None:
    """A report for people: what holds, what parties only say, what is wrong."""
    for mark, style, findings in (
        ("✓", "green", report.verified),
        ("·", "dim", report.told),
        ("✗", "bold red", report.wrong),
    ):
        for one in findings:
            line = f"{mark} {one.party}: {one.part}: {one.detail}"
            console.print(line, style=style, markup=False, soft_wrap=True)
    if report.ok:
        sentence(f"[green]{report.request_id}: all of it holds[/]")
    else:
        sentence(f"[bold red]{report.request_id}: {len(report.wrong)} wrong[/]")
