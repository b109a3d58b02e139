"""The options that commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

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
