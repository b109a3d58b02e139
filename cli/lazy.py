"""A command's module is imported when the command is used, and not to say that it exists.

`cos --help` needs a name and a sentence of each command. The modules behind them need a second of
CPU and more (XML, certificates, HTTP, the attacks of the bench).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from cli.options import fill_help


@dataclass(frozen=True)
class Entry:
    """One command of `cos`.

    Attributes:
        name: as it is typed.
        where: ``module:attribute``: a function, or a `typer.Typer` that is a group of commands.
        says: what `cos --help` says of it; the first sentence of its own help.
    """

    name: str
    where: str
    says: str

    def load(self) -> Any:
        """Import the command."""
        module, _, attribute = self.where.partition(":")
        behind = getattr(import_module(module), attribute)
        group = isinstance(behind, typer.Typer)
        app = behind if group else typer.Typer(add_completion=False)
        if not group:
            app.command(name=self.name)(behind)
        fill_help(app)
        loaded = get_group(app) if group else get_command(app)
        loaded.name = self.name
        return loaded


def lazy_group(entries: tuple[Entry, ...]) -> type[TyperGroup]:
    """A class of command group that knows its commands by name until one of them is used."""

    class LazyGroup(TyperGroup):
        """The group; what stands in `commands` can only say its name and its sentence."""

        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = {e.name: TyperCommand(e.name, help=e.says) for e in entries}

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            """Find the command that is to be run, or completed, and import it."""
            name, command, rest = super().resolve_command(ctx, args)
            entry = next((e for e in entries if e.name == name), None)
            return name, command if entry is None else entry.load(), rest

    return LazyGroup
