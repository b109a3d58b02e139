"""`cos probe`: attack a running stack, and see who refuses."""

from __future__ import annotations

import difflib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.console import Columns, console, errors, escaped, fail, print_table, sentence, write_json
from keys.errors import KeysError
from probe import matrix as matrices
from probe.catalogue import catalogue, chosen, sample
from probe.changes import NONE, Changes
from probe.document import document
from probe.model import Attack, Result, Rung
from probe.own_attacks import attacks_in
from probe.reports import as_json as to_json
from probe.reports import as_junit, as_sarif, complaint, totals
from probe.result import Refusal
from probe.runner import JOBS, run
from probe.world import World
from stack.connection import Connection
from stack.containers import in_containers
from stack.errors import REFUSED, USAGE, CommandError
from stack.layout import load_stack

app = typer.Typer(invoke_without_command=True)

Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="ID", help="An attack, or a family.")
]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="Attacks with this tag.")]
OfRung = Annotated[
    list[int] | None, typer.Option("--rung", min=0, max=7, help="Attacks of this rung.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

Data = Annotated[Path, typer.Option("--data", envvar="COS_DATA", help="The stack's data folder.")]
Reset = Annotated[
    bool,
    typer.Option("--reset", help="First undo what is changed: checks, quirks, faults, clocks."),
]
DEFAULT_DATA = Path("var/stack")
EVERY = 5.0  # seconds between two words about progress


@app.callback()
def probe(
    context: typer.Context,
    data: Data = DEFAULT_DATA,
    only: Only = None,
    tag: Tag = None,
    rung: OfRung = None,
    every: Annotated[
        bool, typer.Option("--all", help="At TCoS too every attack that ECoS stands.")
    ] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=16, help="How many attacks run at once, where they can.")
    ] = JOBS,
    as_json: AsJson = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.")] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write SARIF 2.1.0 to this file.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Run the attacks of this Python file instead; repeatable."),
    ] = None,
    reset: Reset = False,
    as_is: Annotated[
        bool,
        typer.Option("--as-is", help="Leave checks off, quirks on and clocks as they are."),
    ] = False,
) -> None:
    """Attack a running stack. Exit code 1 if an attack was not refused as it must be.

    TCoS and ECoS run the same code: the whole catalogue runs against ECoS, and of what would be the
    same at TCoS the first attack of each family, check and rung. `--all` runs every one, `--only`
    all of that name. Rung 5, which turns checks of the stack off, runs only where asked for
    (`--rung 5`). Attacks that leave nothing behind run side by side (`--jobs`).

    The homes of the stack are put back as the ceremony left them: do not run it on a stack whose
    state you want to keep. A stack on which checks, quirks, faults or clocks are changed is left
    alone (exit code 2), unless --reset or --as-is says what shall become of that.
    """
    if context.invoked_subcommand is not None:
        context.obj = data
        return
    if reset and as_is:
        fail("give either --reset or --as-is", USAGE, as_json=as_json)
    try:
        attacks = [one for path in file for one in attacks_in(path)] if file else catalogue()
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)
    if Rung.CHECK_OFF in (rung or ()) or "weakened" in (tag or ()):
        attacks += matrices.weakened(attacks)
    attacks = picked(attacks if every or only else sample(attacks), only, tag, rung, as_json)
    for report in (junit, sarif):  # before the attacks, which take minutes
        if report is not None and not report.parent.is_dir():
            fail(f"{report}: {report.parent} is no folder", USAGE, as_json=as_json)
    results = against(data, attacks, jobs=jobs, reset=reset, as_is=as_is, as_json=as_json)
    if junit is not None:
        junit.write_bytes(as_junit(results))
    if sarif is not None:
        sarif.write_text(as_sarif(results))
    if as_json:
        write_json(to_json(results))
    else:
        show(results)
    raise typer.Exit(0 if all(r.ok for r in results) else REFUSED)


def picked(
    attacks: list[Attack],
    only: Sequence[str] | None,
    tag: Sequence[str] | None,
    rung: Sequence[int] | None,
    as_json: bool,
) -> list[Attack]:
    """Those that the options name; ends the command where there is none."""
    found = chosen(attacks, only or (), tag or (), rung or ())
    if not found:
        fail("no attack of that name, tag or rung", USAGE, as_json=as_json)
    return found


@app.command("list")
def list_all(
    only: Only = None, tag: Tag = None, rung: OfRung = None, as_json: AsJson = False
) -> None:
    """List every attack: who refuses it by which check, and who without that check."""
    attacks, lines = picked(catalogue(), only, tag, rung, as_json), matrices.recorded()
    if as_json:
        write_json([as_row(attack, lines) for attack in attacks])
        return
    table = Columns("attack", "rung", "title*", "refused by", "and without it by")
    for a in attacks:
        check = a.expected.check if a.expected else "nobody"
        table.add_row(a.id, str(int(a.rung)), a.title, check, behind(a, lines))
    print_table(table)


def behind(attack: Attack, lines: matrices.Repeats) -> str:
    """Who refuses an attack without the check that refuses it."""
    refusal = lines.get(attack.id)
    return refusal.check if refusal else "nobody" if attack.id in lines else "-"


def as_row(attack: Attack, lines: matrices.Repeats) -> dict[str, Any]:
    """An attack for scripts; `without_check` is absent where that was not tried."""

    def told(refusal: Refusal | None) -> dict[str, str] | None:
        return None if refusal is None else {"party": refusal.party, "check": refusal.check}

    row: dict[str, Any] = {
        "id": attack.id, "title": attack.title, "rung": int(attack.rung), "holds": attack.holds,
        "requirement": attack.requirement, "refused_by": told(attack.expected),
        "tags": list(attack.tags),
    }  # fmt: skip
    return row | ({"without_check": told(lines[attack.id])} if attack.id in lines else {})


@app.command()
def matrix(
    context: typer.Context,
    own: Annotated[
        Path | None, typer.Option("--data", help="The stack's data folder; also before `matrix`.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The document to write.")] = Path("docs/attacks.md"),
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 if it would differ.")
    ] = False,
    reset: Reset = False,
) -> None:
    """Turn off every check in turn, repeat what it refused, and write down what gets through."""
    attacks = catalogue()
    data = own or context.obj
    try:
        with Connection(load_stack(data)) as connection:
            world = World(connection, data, prepare(connection, reset=reset))
            lines, broken = matrices.repeat_without_checks(world, attacks, Progress(len(attacks)))
            text = document(attacks, lines, matrices.checks_of(world))
    except (CommandError, KeysError) as error:
        fail(str(error), getattr(error, "code", REFUSED))
    for result in broken:
        errors.print(f"{result.attack.id}: {result.note}")
    if check:
        before = out.read_text() if out.is_file() else ""
        same = before == text and matrices.recorded() == lines and not broken
        for line in difflib.unified_diff(before.splitlines(), text.splitlines(), n=0, lineterm=""):
            errors.print(line[:300])
        console.print(f"{out} is {'current' if same else 'stale'}")
        raise typer.Exit(0 if same else REFUSED)
    out.write_text(text)
    matrices.record(lines)
    console.print(f"{len(lines)} attacks repeated without the check that refused them: {out}")
    if broken:
        fail(f"{len(broken)} attacks broke off: nothing is said about them", REFUSED)


def against(
    data: Path,
    attacks: list[Attack],
    *,
    jobs: int = JOBS,
    reset: bool = False,
    as_is: bool = False,
    as_json: bool = False,
) -> list[Result]:
    """Run attacks against the stack of a data folder; ends the command where there is none."""
    if in_containers(data):
        fail("a probe needs every system's keys: use the processes of `cos up`", 3, as_json=as_json)
    try:
        with Connection(load_stack(data)) as connection:
            kept = prepare(connection, reset=reset, as_is=as_is)
            return run(World(connection, data, kept), attacks, Progress(len(attacks)), jobs)
    except KeysError as error:
        fail(str(error), 3, as_json=as_json)
    except CommandError as error:
        fail(str(error), error.code, as_json=as_json)


def prepare(connection: Connection, *, reset: bool = False, as_is: bool = False) -> Changes:
    """Say what becomes of the stack; what of it the bench has to keep as it is.

    Raises:
        CommandError: the stack is changed and nobody said what shall become of that (exit code 2),
            or a fault is armed that shall stay.
    """
    found = Changes.of(connection)
    if found.described() and not (reset or as_is):
        raise CommandError(
            f"this stack is not as it starts: {'; '.join(found.described())}. The bench would undo "
            "that: --reset has it undone, --as-is attacks the stack as it is",
            USAGE,
        )
    if as_is and found.faults:
        raise CommandError(
            "armed faults strike the bench as well and are used up: `cos faults clear` first", USAGE
        )
    errors.print(
        "The homes of this stack are put back as the key ceremony left them, now and again.",
        soft_wrap=True,
    )
    for change in found.described():
        errors.print(f"{'stays' if as_is else 'undone'}: {change}", soft_wrap=True)
    return found if as_is else NONE


class Progress:
    """How far a run is, on the error channel, so that JSON on the other stays JSON."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._begun = time.monotonic()
        self._said = 0.0

    def __call__(self, result: Result) -> None:
        """One more is done; says at once what went wrong, and every few seconds how far it is."""
        self.done += 1
        if not result.ok and result.attack.off is None:
            errors.print(f"{result.attack.id}: {complaint(result)}")
        taken = time.monotonic() - self._begun
        if self.done == self.total:
            errors.print(f"{self.done} of {self.total}, {taken:.0f} s")
        elif taken - self._said > EVERY:
            self._said = taken
            left = taken / self.done * (self.total - self.done)
            errors.print(f"{self.done} of {self.total}, about {left:.0f} s left")


def show(results: list[Result]) -> None:
    """One line per attack, and the sum."""
    table = Columns("attack", "rung", "outcome", "by", "state*")
    for r in results:
        style = "green" if r.ok else "red"
        table.add_row(
            r.attack.id,
            str(int(r.attack.rung)),
            escaped(r.outcome, style),
            r.refused_by.check if r.refused_by else "-",
            "unchanged" if r.state_unchanged else ", ".join(r.changed),
        )
    print_table(table)
    count = totals(results)
    style = "green" if not count["not_ok"] else "red"
    sentence(
        (f"{count['ok']} of {count['attacks']} as they must be", style),
        f": {count['refused']} refused, {count['succeeded']} succeeded, {count['error']} errors",
    )
    for r in results:
        if not r.ok:
            console.print(f"{r.attack.id}: {complaint(r)}")
