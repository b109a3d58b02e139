"""Nothing that somebody needs is cut off or broken up, however narrow the terminal is."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console
from typer.core import TyperCommand, TyperGroup

from cli import console as shown
from cli.app import COMMANDS
from cli.console import Columns, print_table, sentence
from cli.show import render_trace
from stack.layout import Stack
from stack.trace import RequestTrace, TraceEvent

NAME = "pre-command-trailing-zero"
PROSE = "A Pre-Command ends in 0x00, the length of a signature that is not there"


def table() -> Columns:
    made = Columns("system", "quirk", "what it does*")
    made.add_row("acb", NAME, PROSE)
    return made


def test_without_a_terminal_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(table())
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["acb", NAME, *PROSE.split()]


@pytest.mark.parametrize("width", [60, 80])
def test_on_a_terminal_prose_gives_way_and_names_stay(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = io.StringIO()
    terminal = Console(file=page, force_terminal=True, no_color=True, width=width)
    monkeypatch.setattr(shown, "console", terminal)
    print_table(table())
    text = page.getvalue()
    assert "…" not in text
    assert NAME in text
    assert all(word in text for word in PROSE.split())


def test_a_sentence_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    command = "cos gbcs decode " + "var/demo/message.hex " * 10
    sentence(command)
    assert capsys.readouterr().out.rstrip() == command.rstrip()


def test_a_refusal_on_the_link_is_shown_with_its_check() -> None:
    event = TraceEvent(
        "acb", "2026-01-01T00:00:00+00:00", "refused", "ecos_party", "acb",
        "link.response.content_digest", "the digest is of another body", None, None,
    )  # fmt: skip
    page = io.StringIO()
    Console(file=page, width=80).print(render_trace(RequestTrace("id", [event]), Stack(None, {})))
    assert [line.strip() for line in page.getvalue().splitlines()] == [
        "2026-01-01 UTC",
        "00:00:00.000 REFUSED by acb, check link.response.content_digest",
        "the digest is of another body",
    ]


def commands_of(group: TyperGroup) -> Iterator[TyperCommand]:
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            yield from commands_of(command)
        elif isinstance(command, TyperCommand):
            yield command


def test_help_fills_lines_not_the_source_s() -> None:
    seen = 0
    for entry in COMMANDS:
        loaded = entry.load()
        assert loaded.name == entry.name
        for command in commands_of(loaded) if isinstance(loaded, TyperGroup) else [loaded]:
            assert command.help
            assert "\n" not in command.help.replace("\n\n", "")
            seen += 1
    assert seen > 40
