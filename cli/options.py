"""The options that commands share, so that they read the same everywhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from stack.errors import USAGE, CommandError

Data = Annotated[Path, typer.Option("--data", envvar="COS_DATA", help="The stack's data folder.")]
Services = Annotated[
    list[str] | None,
    typer.Option(
        "--service",
        metavar="NAME=URL[,LAB_URL]",
        help="A service by its base URLs instead of --data; once per service.",
    ),
]
Tokens = Annotated[
    list[str] | None,
    typer.Option(
        "--lab-token",
        metavar="NAME=TOKEN",
        help="Lab credential of a service that is named by URL; once per service.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
DEFAULT_DATA: Final = Path("var/stack")


def entity(option: str, text: str) -> str:
    """An entity identifier as the project writes it: 16 lower-case hex digits, no hyphens.

    Raises:
        CommandError: it is none (exit code 2).
    """
    plain = text.lower().replace("-", "")
    if not re.fullmatch("[0-9a-f]{16}", plain):
        raise CommandError(f"{option} {text!r}: an entity identifier has 16 hex digits", USAGE)
    return plain


def fill_help(app: typer.Typer) -> None:
    """Let each paragraph of each command's help fill the terminal's lines, not the source's."""
    for command in app.registered_commands:
        if command.help is None and command.callback is not None:
            paragraphs = inspect.cleandoc(command.callback.__doc__ or "").split("\n\n")
            command.help = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            fill_help(group.typer_instance)
