"""Nothing that a file, a server or a wire says is obeyed by the terminal, or taken as markup."""

from __future__ import annotations

import ast
import io
import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from rich.tree import Tree
from typer.testing import CliRunner

from cli import console as shown
from cli import evidence_commands
from cli.app import app
from cli.console import Columns, SafeConsole, escaped, line, visible
from cli.gbcs_commands import tree_branch, tree_of
from cli.show import cells_table, render_trace
from stack.cells import CellContent
from stack.evidence.report import Finding, Report
from stack.layout import Stack
from stack.trace import RequestTrace, TraceEvent

ROOT = Path(__file__).parents[3]

ERASE = "\x1b[2K\x1b[1A"
C1 = "\x9b2J"
LINK = "\x1b]8;;http://evil.example/\x07click\x1b]8;;\x07"
BIDI = "\u202etxt\u2066\u200f"
MARKUP = "[/] [bold] [link=http://evil.example/]x[/link] :skull:"
LINES = "a\nb\rc\x0b\x0c\u2028d"
HOSTILE = f"|{ERASE}|{C1}|{LINK}|{BIDI}|{MARKUP}|{LINES}|\x7f|\ud800|"

OURS = re.compile(r"\x1b\[[0-9;]*m")
"""Colour, which is ours to set."""


def hidden(text: str) -> set[str]:
    return {one for one in text if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


@given(text=st.text())
@example(text=HOSTILE)
def test_what_a_terminal_would_obey_or_hide_is_written_out(text: str) -> None:
    seen = visible(text)
    assert not hidden(seen)
    assert visible(seen) == seen
    assert [one for one in text if not hidden(one)] == [
        one for one in seen if one in text
    ] or hidden(text)


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("", "plain [/] text", "ein Zähler, 12 €", "──▶ ✓", "日本"):
        assert visible(text) == text


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal that says what was written to it, for both channels."""
    written = io.StringIO()
    for name in ("console", "errors"):
        terminal = SafeConsole(file=written, force_terminal=True, width=10_000)
        monkeypatch.setattr(shown, name, terminal)
    return written


def as_written(page: io.StringIO) -> str:
    text = OURS.sub("", page.getvalue())
    assert hidden(text) <= {"\n"}
    return text


def table() -> Table:
    made = Columns("a", f"{HOSTILE}*")
    made.add_row(HOSTILE, escaped(HOSTILE))
    return made


def told(**more: Any) -> TraceEvent:
    given: dict[str, Any] = {
        "party": HOSTILE, "at": HOSTILE, "kind": HOSTILE, "sender": HOSTILE, "receiver": HOSTILE,
        "name": HOSTILE, "summary": HOSTILE, "gbcs_ref": HOSTILE, "message": None,
    }  # fmt: skip
    return TraceEvent(**given | more)


VERDICT = {"check": f"acb.{HOSTILE}", "outcome": "refused", "detail": HOSTILE, "found": HOSTILE}
STORY = RequestTrace(
    HOSTILE,
    [
        told(),
        told(message="AAAA"),
        told(kind="refused", name=f"a.{HOSTILE}", summary=f"x{HOSTILE}"),
        told(summary="", verdicts=(VERDICT, VERDICT | {"outcome": "passed"})),
    ],
)
MESSAGE = {
    "use_case": HOSTILE, "message_code": HOSTILE, "cra": HOSTILE, "originator": HOSTILE,
    "recipient": HOSTILE, "originator_counter": HOSTILE, "signature": HOSTILE, "mac": HOSTILE,
    "payload": {HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}, "payload_read": True,
    "reencoded_identical": False,
}  # fmt: skip
HELD = CellContent(HOSTILE, HOSTILE, HOSTILE)
STACK = Stack(None, {}, facts={"suppliers": [], "parties": {}})

RENDERED: dict[str, Callable[[], RenderableType]] = {
    "a string": lambda: HOSTILE,
    "words": lambda: escaped(HOSTILE, "bold"),
    "a line": lambda: line(HOSTILE, (HOSTILE, "red")),
    "a table": table,
    "a tree": lambda: Tree(HOSTILE),
    "a rule": lambda: Rule(HOSTILE),
    "a panel": lambda: Panel(HOSTILE, title=escaped(HOSTILE)),
    "a story": lambda: render_trace(STORY, STACK),
    "cells": lambda: cells_table({"a": HELD}, {"a": CellContent("b", "c", "d")}, STACK),
    "a message": lambda: tree_of(MESSAGE),
    "blocks": lambda: tree_of({"blocks": [MESSAGE], "missing": [HOSTILE]}),
    "a document": lambda: tree_branch(HOSTILE, {HOSTILE: HOSTILE}),
}


@pytest.mark.parametrize("name", RENDERED)
def test_nothing_that_is_rendered_is_obeyed(page: io.StringIO, name: str) -> None:
    shown.console.print(RENDERED[name](), soft_wrap=True)
    text = as_written(page)
    assert r"\x1b[2K\x1b[1A" in text
    assert "[/]" in text
    assert ":skull:" in text or name in {"a message", "blocks", "a document"}, "those shorten"


def test_text_that_was_made_past_the_helpers_is_still_not_obeyed(page: io.StringIO) -> None:
    shown.console.print(Text(HOSTILE), soft_wrap=True)
    assert r"\x1b[2K" in as_written(page)


def test_no_link_is_ever_made(page: io.StringIO) -> None:
    shown.console.print(Text("click", style="link http://evil.example/"))
    assert "evil" not in page.getvalue()


@pytest.mark.parametrize("say", [shown.sentence, shown.print_dim])
def test_a_sentence_stays_one_line(page: io.StringIO, say: Callable[[str], None]) -> None:
    say(HOSTILE)
    assert as_written(page).count("\n") == 1


def test_an_error_stays_one_line_and_is_exact_in_json(
    page: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    for as_json in (False, True):
        with pytest.raises(typer.Exit) as ended:
            shown.fail(HOSTILE, 2, as_json=as_json)
        assert ended.value.exit_code == 2
    assert as_written(page).count("\n") == 1
    out = capsys.readouterr().out
    assert out.isascii()
    assert not hidden(out) - {"\n", "\x7f"}
    assert json.loads(out)["error"] == HOSTILE


def test_a_report_cannot_hide_what_is_wrong(page: io.StringIO) -> None:
    finding = Finding(HOSTILE, HOSTILE, HOSTILE)
    evidence_commands.show(
        Report(HOSTILE, wrong=[finding], told=[finding], verified=[finding], missing=[finding])
    )
    lines = as_written(page).splitlines()
    assert [line[0] for line in lines if line[0] in "✓·?✗"] == ["✓", "·", "?", "✗"]
    assert len(lines) == 4 + 4 + 1


BUNDLE = {"kind": "cos-evidence", "version": 2, "request_id": HOSTILE, "cos_party": HOSTILE}


def test_a_hostile_bundle_in_a_hostile_file(tmp_path: Path) -> None:
    """Once `[/]` in it ended the command with a traceback, and ESC went through."""
    file = tmp_path / "a\x1b[2J[bold]\u202e.json"
    file.write_text(json.dumps(BUNDLE))
    for words_ in (["verify", str(file)], ["verify", str(file.with_name("no\x1b[2J[bold]"))]):
        done = CliRunner().invoke(app, ["evidence", *words_])
        assert done.exit_code in {1, 2}, done.output
        assert not hidden(done.output) - {"\n"}
    done = CliRunner().invoke(app, ["evidence", "verify", str(file), "--json"])
    assert done.output.isascii()
    assert json.loads(done.output)["request_id"] == HOSTILE


@pytest.mark.parametrize(
    "words_", [["duis", "show"], ["duis", "verify"], ["gbcs", "decode"], ["gbcs", "build"]]
)
def test_hostile_files_and_their_names(tmp_path: Path, words_: list[str]) -> None:
    file = tmp_path / "a\x1b[2J[bold]\u202e"
    file.write_text('<a xmlns="\u202e[/]\u009b">\u009b</a>')
    for name in (file, file.with_name("no\x1b[2J[bold]")):
        done = CliRunner().invoke(app, [*words_, str(name)])
        assert done.exit_code in {1, 2, 3}, done.output
        assert isinstance(done.exception, SystemExit)
        assert not hidden(done.output) - {"\n"}


# --- the rule, held to the source --------------------------------------------------------------

FOLDERS = ("cli", "probe", "tamper")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TAGS = re.compile(r"\[/\]|\[/?(?:bold|dim|red|green|yellow|cyan|blue|magenta|link)\b[^\]\[]*\]")
FORBIDDEN = {
    "echo", "secho", "from_markup", "from_ansi", "render_markup", "print_exception", "rprint",
}  # fmt: skip


def offences(tree: ast.AST) -> list[tuple[int, str]]:
    """Where a source prints past `cli.console`, or writes markup."""
    found: list[tuple[int, str]] = []
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in documented:
                if TAGS.search(text):
                    found.append((node.lineno, "markup in a text"))
            case ast.Call(func=ast.Name(id="Panel" | "Table")) if _titled(node):
                found.append((node.lineno, "rich reads a title as markup"))
            case _:
                pass
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rpartition(".")[2]
        if called == "print":
            found.append((node.lineno, "print, past cli.console"))
        if last in FORBIDDEN or called in {"Text", "Text.assemble", "Console", "rich.print"}:
            found.append((node.lineno, f"{called}, past cli.console"))
        if called in {"sys.stdout.write", "sys.stderr.write"}:
            found.append((node.lineno, called))
        if any(key.arg in {"markup", "emoji"} for key in node.keywords):
            found.append((node.lineno, "markup asked for"))
    return found


def _titled(node: ast.Call) -> bool:
    titles = [key.value for key in node.keywords if key.arg in {"title", "subtitle", "caption"}]
    return not all(isinstance(title, ast.Constant) for title in titles)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_is_printed_in_one_place(path: Path) -> None:
    if path == ROOT / "cli" / "console.py":
        return
    assert offences(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "text",
    [
        "print(told)", "print(json.dumps(told))", "typer.echo(told)",
        "Text(told)", "Console().print(told)", "console.print(told, markup=True)",
        "Panel(told, title=f'{told}')", "sentence(f'[green]{told}[/]')",
        "sys.stdout.write(told)", "Text.from_markup(told)",
    ],
)  # fmt: skip
def test_the_rule_sees_what_it_forbids(text: str) -> None:
    assert offences(ast.parse(text))
