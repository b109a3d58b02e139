"""What a person sees: one console, and one way to end with an error."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)
PROSE = 10  # characters that a column of prose keeps when names beside it need the room


def fail(message: str, code: int, *, as_json: bool = False, **more: Any) -> NoReturn:
    """End the command: the sentence on standard error, or as JSON on standard output."""
    if as_json:
        print(json.dumps({"error": message, "exit_code": code, **more}, indent=2), file=sys.stdout)
    else:
        errors.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    raise typer.Exit(code)


def sentence(text: str | Text) -> None:
    """One sentence for people, with rich's marks in a str; what is copied is never broken up."""
    console.print(text, soft_wrap=True)


class Columns(Table):
    """A table without a frame. Nothing in it is ever cut off: what does not fit is folded.

    Args:
        headers: the columns' names; one that ends in `*` holds prose, which gives way to the
            others where the terminal is narrow.
    """

    def __init__(self, *headers: str) -> None:
        super().__init__(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        has_prose = any(header.endswith("*") for header in headers)
        for header in headers:
            name = header.removesuffix("*")
            prose = name != header
            self.add_column(
                name,
                overflow="fold",
                no_wrap=has_prose and not prose,
                min_width=PROSE if prose else None,
            )


def lay(table: Table) -> None:
    """Print a table: as wide as the terminal, or one line to a row where there is none."""
    options = console.options.update(max_width=10_000)
    width = Measurement.get(console, options, table).maximum
    if console.is_terminal:
        if width > console.width:
            table.padding = (0, 1, 0, 0)
        console.print(table)
        return
    Console(highlight=False, width=max(width, console.width)).print(table)


def whisper(text: str) -> None:
    """Say something that matters only while it happens."""
    console.print(text, style="dim", soft_wrap=True, markup=False)


def silence(text: str) -> None:
    """Say nothing, for commands whose output a script reads."""
    del text
