"""What a person sees: one console, and one way to end with an error.

Everything that is printed goes through here. Text comes from files, servers and wires that may be
hostile, so none of it is ever read as rich's markup, and whatever a terminal would obey or hide is
shown as an escape: control characters (C0, DEL, C1), directions of writing, invisible characters,
line ends inside a text. Links (OSC 8) can only be made of such characters or of markup. Beside it
stands only `write_json`, for JSON: it writes in ASCII and escapes them in its own way.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

PROSE = 10  # characters that a column of prose keeps when names beside it need the room
Part = str | tuple[str, str]
"""A piece of a line: plain text, or text and its style."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that a terminal obeys or does not show: controls, formats, surrogates, ends
of lines and paragraphs."""


def visible(text: str, *, keep: str = "") -> str:
    """Text as a terminal may be given it: what it would obey or hide is written as an escape.

    Args:
        text: anything.
        keep: characters of it that are left alone: the line feed, for text of several lines.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        one
        if one in keep or unicodedata.category(one) not in _HIDDEN
        else one.encode("unicode_escape").decode("ascii")
        for one in text
    )


def escaped(text: object, style: str = "") -> Text:
    """One line of text that may be anybody's, in a style that is ours."""
    return Text(visible(str(text)), style)


def line(*parts: Part) -> Text:
    """One line of several pieces, each with a style of its own."""
    pieces = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((visible(text), style) for text, style in pieces))


class SafeConsole(Console):
    """A console that takes no markup and lets nothing through that a terminal would obey.

    `escaped` and `line` escape what is put together from pieces; what is given as a plain string is
    escaped here, and so is, at last, whatever came past both.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **given: Any) -> Text:
        """A plain string as text: never markup, every line of it escaped."""
        given |= {"markup": False, "emoji": False}
        return super().render_str(visible(text), **given)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The pieces that are written, escaped but for the ends of lines that rich makes."""
        for text, style, control in super().render(renderable, options):
            shown = text if control else visible(text, keep="\n")
            yield Segment(shown, None if style is None else _no_link(style), control)


def _no_link(style: Style) -> Style:
    return style.update_link(None) if style.link else style


console = SafeConsole()
errors = SafeConsole(stderr=True)


def fail(message: str, code: int, *, as_json: bool = False, **more: Any) -> NoReturn:
    """End the command: the sentence on standard error, or as JSON on standard output."""
    if as_json:
        write_json({"error": message, "exit_code": code, **more})
    else:
        errors.print(line(("error: ", "bold red"), message), soft_wrap=True)
    raise typer.Exit(code)


def write_json(told: Any, *, indent: int | None = 2) -> None:
    """Print what a script reads: JSON in ASCII, at once.

    Whole numbers that JSON's readers would lose are text (`services.chassis.data.canonical`).
    """
    from services.chassis.data.canonical import exact  # noqa: PLC0415 - help imports nothing of it

    print(json.dumps(exact(told), indent=indent), flush=True)


def sentence(*parts: Part) -> None:
    """One sentence for people; what is copied from it is never broken up."""
    console.print(line(*parts), soft_wrap=True)


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


def print_table(table: Table) -> None:
    """Print a table: as wide as the terminal, or one line to a row where there is none."""
    options = console.options.update(max_width=10_000)
    width = Measurement.get(console, options, table).maximum
    if console.is_terminal:
        if width > console.width:
            table.padding = (0, 1, 0, 0)
        console.print(table)
        return
    SafeConsole(width=max(width, console.width)).print(table)


def print_dim(text: str) -> None:
    """Say something that matters only while it happens."""
    sentence((text, "dim"))


def print_nothing(text: str) -> None:
    """Say nothing, for commands whose output a script reads."""
    del text
