"""What a person sees: one console, and one way to end with an error."""

from __future__ import annotations

import json
import sys
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def fail(message: str, code: int, *, as_json: bool = False, **more: Any) -> NoReturn:
    """End the command: the sentence on standard error, or as JSON on standard output."""
    if as_json:
        print(json.dumps({"error": message, "exit_code": code, **more}, indent=2), file=sys.stdout)
    else:
        errors.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    raise typer.Exit(code)


def whisper(line: str) -> None:
    """Say something that matters only while it happens."""
    console.print(line, style="dim")


def silence(line: str) -> None:
    """Say nothing, for commands whose output a script reads."""
    del line
