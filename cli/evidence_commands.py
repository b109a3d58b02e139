"""`cos evidence`: one exchange between the broker and a CoS Party, for anyone to verify later."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.console import fail, sentence, write_json
from cli.options import AsJson
from stack.connection import Connection
from stack.errors import REFUSED, USAGE, CommandError
from stack.evidence.collect import AUTHORITIES, collect, file_of, read_pem
from stack.evidence.report import Finding, Report
from stack.evidence.verify import UnreadableBundle, judge, write_bundle
from stack.layout import load_stack

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
        write_json({"file": str(out), "octets": len(octets), "rows": rows})
    else:
        shown = ", ".join(f"{count} rows of {party}" for party, count in rows.items())
        sentence(f"{out}: {shown}. Next: cos evidence verify {out} --trust {data}/acb/trust")


@app.command("verify")
def verify_bundle(
    file: Annotated[Path, typer.Argument(help="A bundle that `cos evidence export` wrote.")],
    trust: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the roots you trust (infrastructure-root.pem, organisation-root.pem, "
            "device-root.pem); if not given, the bundle's own, which may be anybody's."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a bundle proves, and name whatever was changed. Needs no key and no stack.

    Exit code 0: what is said to be proven is, and the exchange is whole. 1: something is not what
    was signed or written, or is missing. 2: no bundle. 3: a root cannot be read. Without --trust
    it is only said whether the bundle fits together: its roots may be the forger's own.
    """
    try:
        roots = {name: read_pem(trust / file_of(name)).der for name in ROOTS} if trust else None
        report = judge(file.read_bytes(), roots)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", USAGE, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    except UnreadableBundle as error:
        fail(f"{file}: {error}", USAGE, as_json=as_json)
    if as_json:
        write_json(report.as_dict())
    else:
        show(report)
    raise typer.Exit(0 if report.ok else REFUSED)


HEADINGS = (
    ("verified", "Proven by signature:", "✓", "green"),
    ("told", "Told, not proven (signed by nobody):", "·", "dim"),
    ("missing", "Missing:", "?", "bold yellow"),
    ("wrong", "Wrong:", "✗", "bold red"),
)


def show(report: Report) -> None:
    """A report for people: what holds, what parties only say, what is missing, what is wrong."""
    for name, heading, mark, style in HEADINGS:
        findings: list[Finding] = getattr(report, name)
        if findings:
            sentence(heading)
        for one in findings:
            sentence((f"{mark} {one.party}: {one.part}: {one.detail}", style))
    if report.ok:
        roots = (
            "it fits together under roots that it brings itself, which anybody could have made: "
            "give --trust"
            if report.own_roots
            else "what is proven above holds, and the exchange is whole"
        )
        sentence((f"{report.request_id}: {roots}", "yellow" if report.own_roots else "green"))
    else:
        said = f"{len(report.wrong)} wrong, {len(report.missing)} missing"
        sentence((f"{report.request_id}: {said}", "bold red"))
