"""`cos demo`: homes change supplier through systems that do not trust each other.

Three acts on a fresh stack:

1. a home whose meter trusts TCoS moves from supplier A to supplier B;
2. a home whose meter trusts ECoS does the same;
3. supplier C, who is nobody's incoming supplier, tries to take the first home: a named check of
   the CoS Party refuses, and nothing on the meter changes.

Exit code 0 only if every outcome is the right one.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table

from cli.console import (
    Columns,
    console,
    escaped,
    print_dim,
    print_nothing,
    print_table,
    sentence,
    write_json,
)
from cli.keys_commands import hold_ceremony
from cli.show import cells_table, render_trace
from duis.errors import DuisError
from stack.cells import cells_of, changed
from stack.connection import Connection
from stack.errors import REFUSED, CommandError
from stack.export import Exported, export
from stack.layout import Stack, load_stack, stack_file
from stack.processes import start, stop
from stack.provision import devices_of, provision
from stack.receiver import Receiver, own_address
from stack.supplier import Supplier
from stack.switching import Outcome, switch
from stack.systems import SYSTEMS
from stack.trace import RequestTrace, tell

CALLBACK_LIMIT = 20.0  # seconds for a signed response to reach the supplier's own service
SUPPLIER_CELLS = frozenset(
    {
        "supplier/digitalSignature/management",
        "supplier/keyAgreement/management",
        "supplier/keyAgreement/prePaymentTopUp",
    }
)


@dataclass(frozen=True)
class Attempt:
    """One attempt: who wants which meter, and how it must end."""

    title: str
    meter: str
    cos_party: str
    supplier: str
    refused_by: str | None = None  # check that must refuse; None: it must succeed


@dataclass
class AttemptResult:
    """What an attempt came to, and every way in which it was not as it must be."""

    attempt: Attempt
    outcome: Outcome
    wrong: list[str]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "title": self.attempt.title,
            "meter": self.attempt.meter,
            "cos_party": self.attempt.cos_party,
            "supplier": self.attempt.supplier,
            "must_be_refused_by": self.attempt.refused_by,
            "state": self.outcome.state,
            "refused": self.outcome.refused,
            "wrong": self.wrong,
        }


def attempts_for(devices: list[dict[str, Any]]) -> list[Attempt]:
    """The three acts, on the first device of each CoS Party."""
    first = {
        party: next(d for d in devices if d["cos_party"] == party)
        for party in ("tcos_party", "ecos_party")
    }
    tcos, ecos = first["tcos_party"]["eui"], first["ecos_party"]["eui"]
    return [
        Attempt("A home whose meter trusts TCoS moves to supplier B", tcos, "tcos_party", "B"),
        Attempt("A home whose meter trusts ECoS moves to supplier B", ecos, "ecos_party", "B"),
        Attempt(
            "Supplier C, not the incoming supplier, tries to take the first home",
            tcos,
            "tcos_party",
            "C",
            refused_by="tcos.registration.incoming_supplier",
        ),
    ]


@contextmanager
def fresh_stack(data: Path, *, quiet: bool) -> Iterator[Stack]:
    """A stack of its own for the demo: ceremony, six processes; stopped at the end."""
    if stack_file(data).is_file():
        stop(load_stack(data))
    shutil.rmtree(data, ignore_errors=True)
    say = print_nothing if quiet else print_dim
    say("key ceremony: authorities, suppliers, systems and meters get simulated certificates")
    hold_ceremony(data)
    stack = start(data, say)
    try:
        yield stack
    finally:
        stop(stack)


def run_demo(out: Path, *, quiet: bool = False) -> tuple[list[AttemptResult], Exported]:
    """Start a stack, play the three acts on it, export what passed, stop it.

    Args:
        out: everything is left here: `stack/` (data folder), messages, keystore, capture.
        quiet: show nothing (for `--json`).
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("*.hex"), *out.glob("*.xml"), *out.glob("*.pcapng")]:
        old.unlink()
    if not quiet:
        console.print(Rule(escaped("A change of supplier, end to end", "bold")))
    with fresh_stack(out / "stack", quiet=quiet) as stack, Connection(stack) as connection:
        return run_attempts(connection, out / "stack", out, quiet=quiet)


def run_attempts(
    connection: Connection, data: Path, out: Path, *, quiet: bool
) -> tuple[list[AttemptResult], Exported]:
    """Provision the stack, play the acts, export; for a stack that runs already."""
    stack = connection.stack
    provision(connection, data, afresh=True)
    if not quiet:
        print_table(systems_table(stack))
    with Receiver(own_address(stack.services["acb"].interface)) as receiver:
        for supplier in stack.facts["suppliers"]:
            connection.lab(
                "acb",
                "PUT",
                f"/lab/users/{supplier['eui']}/callback",
                {"callback_url": receiver.url(supplier["name"])},
            )
        results = [
            run_attempt(connection, data, attempt, number, receiver, quiet=quiet)
            for number, attempt in enumerate(attempts_for(devices_of(data)), 1)
        ]
        write_documents(out, results, receiver)
        # The receiver ends here: the broker shall not go on trying to reach it.
        for supplier in stack.facts["suppliers"]:
            url = f"/lab/users/{supplier['eui']}/callback"
            connection.lab("acb", "PUT", url, {"callback_url": None})
    exported = export(connection, out)
    return results, exported


def run_attempt(
    connection: Connection,
    data: Path,
    attempt: Attempt,
    number: int,
    receiver: Receiver,
    *,
    quiet: bool,
) -> AttemptResult:
    """Make one attempt and compare every outcome with what it must be."""
    if not quiet:
        console.print()
        console.print(Rule(escaped(f"{number}. {attempt.title}", "bold"), align="left"))
    before = cells_of(connection, attempt.meter)
    answered = len(receiver.received(attempt.supplier))
    began = time.monotonic()
    outcome = switch(connection, data, attempt.meter, attempt.supplier)
    took = time.monotonic() - began
    deliveries = receiver.wait_for(attempt.supplier, answered + 1, CALLBACK_LIMIT)
    connection.settle()
    story = tell(connection, outcome.request_id)
    after = cells_of(connection, attempt.meter)
    wrong = judge(attempt, outcome, story, changed(before, after))
    if len(deliveries) <= answered:
        wrong.append(f"supplier {attempt.supplier} was sent no signed response")
    supplier = Supplier.open(data, attempt.supplier)
    for document in deliveries[answered:]:
        try:
            supplier.read(document)
        except DuisError as error:
            wrong.append(f"supplier {attempt.supplier} cannot accept what it was sent: {error}")
    eui = connection.stack.supplier(attempt.supplier)["eui"]
    held = {after[cell].subject for cell in SUPPLIER_CELLS}
    if (held == {eui}) == bool(attempt.refused_by):
        wrong.append(f"the supplier cells hold {', '.join(sorted(held))}")
    if not quiet:
        console.print(render_trace(story, connection.stack))
        console.print()
        console.print(cells_table(before, after, connection.stack))
        console.print()
        console.print(verdict_line(attempt, outcome, wrong, took))
    return AttemptResult(attempt, outcome, wrong)


def judge(attempt: Attempt, outcome: Outcome, story: RequestTrace, cells: set[str]) -> list[str]:
    """Everything that is not as it must be, as sentences; none where all is right."""
    wrong = []
    checks = [verdict["check"] for _, verdict in story.refusals]
    if attempt.refused_by is None:
        if outcome.state != "completed":
            wrong.append(f"the request ended {outcome.state}, not completed")
        if checks:
            wrong.append(f"refused by {', '.join(checks)}")
        if cells != SUPPLIER_CELLS:
            wrong.append(f"cells that changed: {', '.join(sorted(cells)) or 'none'}")
        made = {event.party for event in story.events if event.verdicts}
        if not {"acb", attempt.cos_party, "meter_sim"} <= made:
            wrong.append(f"only {', '.join(sorted(made))} made checks")
    else:
        if outcome.state != "refused":
            wrong.append(f"the request ended {outcome.state}, not refused")
        if checks != [attempt.refused_by]:
            wrong.append(f"refused by {checks or 'nobody'}, not by {attempt.refused_by}")
        if cells:
            wrong.append(f"cells changed: {', '.join(sorted(cells))}")
    return wrong


def verdict_line(attempt: Attempt, outcome: Outcome, wrong: list[str], took: float) -> Panel:
    """The attempt's end in a box: what happened, and whether that is right."""
    if wrong:
        return Panel(
            Group(*map(escaped, wrong)), title="NOT AS IT MUST BE", border_style="bold red"
        )
    if attempt.refused_by:
        text = f"Refused by check {attempt.refused_by}. The meter still obeys who it obeyed before."
    else:
        taken = "now holds the home: three cells replaced, the rest as before."
        text = f"Supplier {attempt.supplier} {taken}"
    return Panel(
        Group(escaped(f"{text} ({took:.2f} s)"), escaped(f"request {outcome.request_id}")),
        border_style="green",
        title="as it must be",
        title_align="left",
    )


def systems_table(stack: Stack) -> Table:
    """The systems that run: each a process of its own."""
    table = Columns("system", "interface", "lab port", "process")
    for name in SYSTEMS:
        if name in stack.services:
            urls = stack.services[name]
            table.add_row(name, urls.interface, urls.lab, str(stack.pids.get(name, "-")))
    return table


def write_documents(out: Path, results: list[AttemptResult], receiver: Receiver) -> None:
    """Leave the DUIS documents beside the messages: as sent, as answered, as delivered."""
    for number, one in enumerate(results, 1):
        name = f"act{number}-supplier-{one.attempt.supplier}"
        (out / f"{name}-1-request.xml").write_bytes(one.outcome.request)
        if one.outcome.acknowledgement:
            (out / f"{name}-2-acknowledgement.xml").write_bytes(one.outcome.acknowledgement)
        if one.outcome.response:
            (out / f"{name}-3-response.xml").write_bytes(one.outcome.response)
    counts: dict[str, int] = {}
    for delivery in receiver.deliveries:
        counts[delivery.supplier] = counts.get(delivery.supplier, 0) + 1
        name = f"delivered-to-{delivery.supplier}-{counts[delivery.supplier]}.xml"
        (out / name).write_bytes(delivery.document)


def called() -> str:
    """How the person called `cos`, so that a line which is copied works for that person."""
    if os.environ.get("COS_CALLED"):
        return os.environ["COS_CALLED"]
    name = Path(sys.argv[0])
    return sys.argv[0] if name.name == "cos" else "cos"


def finish(
    results: list[AttemptResult],
    exported: Exported,
    out: Path,
    *,
    seconds: float,
    as_json: bool,
    running: bool = False,
) -> int:
    """Say how it went, and what to do next (on a stack that is running still, or on a new one)."""
    right = all(not one.wrong for one in results)
    cos = called()
    turn = f"{cos} --help" if running else f"{cos} up --detach   then   {cos} --help"
    if as_json:
        told = {
            "ok": right,
            "seconds": round(seconds, 2),
            "acts": [one.as_dict() for one in results],
            "messages": exported.messages,
            "out": str(out),
        }
        write_json(told)
    else:
        console.print()
        console.print(Rule())
        good = sum(not one.wrong for one in results)
        style = "bold green" if right else "bold red"
        sentence((f"{good} of {len(results)} outcomes as they must be", style))
        sentence(
            f"{exported.messages} GBCS messages, the DUIS documents and the keys that check them "
            "are in ",
            (str(out), "bold"),
            f" ({seconds:.0f} s in all).",
        )
        sentence(
            f"Read one:   {cos} gbcs decode --keystore "
            f"{out}/keystore --acb {exported.acb_eui} {exported.first}"
        )
        sentence(f"Dissect:    tshark -r {out}/gbcs.pcapng -V")
        sentence(f"Your turn:  {turn}")
    return 0 if right else REFUSED


def demo(out: Path, *, as_json: bool, data: Path | None = None) -> int:
    """Run the whole demo; on the stack of `data` if given, else on a fresh one.

    Returns:
        0 if every outcome was right, 1 otherwise.
    """
    began = time.monotonic()
    if data is None:
        results, exported = run_demo(out, quiet=as_json)
    else:
        out.mkdir(parents=True, exist_ok=True)
        stack = load_stack(data)
        if not stack.facts:
            raise CommandError(f"{data} holds no facts of a ceremony")
        with Connection(stack) as connection:
            results, exported = run_attempts(connection, data, out, quiet=as_json)
    seconds = time.monotonic() - began
    running = data is not None
    return finish(results, exported, out, seconds=seconds, as_json=as_json, running=running)
