"""What the systems of a stack log, read from their files and put in order of time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from cli import console

LOOK_AGAIN = 0.2  # seconds between two looks for new lines
REQUEST = "duis_request_id"
"""The member of a line that names the service request it is about."""

STYLES = {"warning": "yellow", "error": "bold red", "critical": "bold red"}
SHOWN_FIRST = ("timestamp", "party", "level", "event")


@dataclass(frozen=True)
class Filter:
    """Which lines are wanted: of which systems, about which request (None: whatever)."""

    systems: tuple[str, ...]
    request: str | None


@dataclass(frozen=True)
class Line:
    """One line of a log: who wrote it, its text, and what that says if it is JSON."""

    system: str
    text: str
    told: dict[str, Any]


def lines_of(data: Path, wanted: Filter) -> tuple[list[Line], dict[str, int]]:
    """The lines there are, in order of time, and where each file ended."""
    ends = dict.fromkeys(wanted.systems, 0)
    return read_on(data, wanted, ends), ends


def follow(data: Path, wanted: Filter, ends: dict[str, int]) -> Iterator[Line]:
    """Every line that is written from now on."""
    while True:
        yield from read_on(data, wanted, ends)
        time.sleep(LOOK_AGAIN)


def read_on(data: Path, wanted: Filter, ends: dict[str, int]) -> list[Line]:
    """The whole lines behind `ends`, which is moved to their end."""
    found: list[tuple[str, Line]] = []
    for system, end in ends.items():
        path = data / system / "service.log"
        if not path.is_file():
            continue
        with path.open("rb") as file:
            file.seek(end)
            octets = file.read()
        whole = octets[: octets.rfind(b"\n") + 1]
        ends[system] = end + len(whole)
        at = ""
        for text in whole.decode(errors="replace").splitlines():
            line = Line(system, text, said_by(text))
            at = str(line.told.get("timestamp", at))  # a traceback stays where it was raised
            if wanted.request in (None, line.told.get(REQUEST)):
                found.append((at, line))
    return [line for _, line in sorted(found, key=lambda one: one[0])]


def said_by(text: str) -> dict[str, Any]:
    """A line as JSON, or nothing where it is none (what the interpreter itself prints)."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def written(line: Line) -> Text:
    """A line for people. Nothing in it acts on the terminal: what is not printable is escaped."""
    if not line.told:
        return console.escaped(f"{line.system} {plain(line.text)}")
    told = line.told
    facts = " ".join(
        f"{plain(name)}={plain(value)}"
        for name, value in told.items()
        if name not in SHOWN_FIRST and value not in (None, "", [], {})
    )
    return console.line(
        (f"{plain(told.get('timestamp', ''))} ", "dim"),
        (f"{line.system:<15} ", "cyan"),
        (f"{plain(told.get('event', ''))} ", STYLES.get(str(told.get("level")), "bold")),
        (facts, "dim"),
    )


def plain(value: object) -> str:
    """A value as text without spaces round it being lost, or characters that command a terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text.isprintable() else json.dumps(text)
