"""Logs: structlog, JSON lines on stdout (console on a terminal), one canonical line per request.

Never in a log: bodies, keys, tokens. A value whose name looks like a secret's is withheld, octets
are replaced by their number, whoever wrote the call. Tracebacks are written at debug only.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

WITHHELD: Final = "[withheld]"

_SECRET_NAME: Final = re.compile(
    r"pass(word|phrase)|secret|token|private|authorization|cookie|credential|seed|\bpem\b",
    re.IGNORECASE,
)

_OCTETS: Final = (bytes, bytearray, memoryview)
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
"""Values that are shown as they are, unless their name is a secret's."""

_notes: ContextVar[dict[str, Any] | None] = ContextVar("request_notes", default=None)


def withhold(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values whose names look like secrets' names, and octets, at any depth."""
    return {name: _shown(name, value) for name, value in event.items()}


@lru_cache(maxsize=1024)
def _secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _shown(name: str, value: Any) -> Any:
    if _secret(name):
        return WITHHELD
    if type(value) in _PLAIN:
        return value
    if isinstance(value, _OCTETS):
        return f"[{len(value)} octets]"
    if isinstance(value, dict):
        return {key: _shown(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown("", inner) for inner in value]
    return value


def configure(
    party: str,
    *,
    json_lines: bool | None = None,
    level: str = "info",
    file: Path | None = None,
) -> None:
    """Set up logging of this process, once, in `main.py`.

    Args:
        party: Named in every line.
        json_lines: JSON or console; None: console if stdout is a terminal.
        level: Least level written to stdout.
        file: A file that gets everything from debug up, as JSON lines.
    """
    as_json = (not sys.stdout.isatty()) if json_lines is None else json_lines

    def named(
        _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        event.setdefault("party", party)
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        named,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        withhold,
    ]
    json_renderer = structlog.processors.JSONRenderer(serializer=_json)
    stdout = logging.StreamHandler(sys.stdout)
    stdout.setLevel(level.upper())
    stdout.setFormatter(
        _Lines(shared, json_renderer if as_json else structlog.dev.ConsoleRenderer())
    )
    handlers: list[logging.Handler] = [stdout]
    if file is not None:
        to_file = logging.FileHandler(file, encoding="utf-8")
        to_file.setLevel(logging.DEBUG)
        to_file.setFormatter(_Lines(shared, json_renderer))
        handlers.append(to_file)
    root = logging.getLogger()
    root.handlers = handlers
    root.setLevel(logging.DEBUG if file is not None else level.upper())
    for chatty in ("asyncio", "sqlalchemy", "uvicorn", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


class _Lines(structlog.stdlib.ProcessorFormatter):
    """Renders our lines as they come here; lines of libraries are first made like them."""

    def __init__(
        self, shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor
    ) -> None:
        super().__init__(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
        self._render = renderer

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        ours = getattr(record, "_name", None)  # the method that was called, as structlog leaves it
        if ours is None or not isinstance(record.msg, dict):
            return super().format(record)
        return str(self._render(None, ours, record.msg.copy()))


@cache
def _encoder(default: Callable[[Any], Any]) -> json.JSONEncoder:
    return json.JSONEncoder(default=default)


def _json(line: Any, default: Callable[[Any], Any]) -> str:
    """As `json.dumps`, with an encoder that is made once."""
    return _encoder(default).encode(line)


def note(**facts: Any) -> None:
    """Add facts to the canonical line of the request being answered, for example ``caller``."""
    notes = _notes.get()
    if notes is not None:
        notes.update(facts)


def about(**subject: str) -> None:
    """Name what this task is about, in every line that it logs from here on.

    Not to be confused with ``request_id``, which each request over HTTP has for itself.
    """
    bind_contextvars(**subject)
    note(**subject)


@contextmanager
def collect_notes() -> Iterator[dict[str, Any]]:
    """Collect what `note` says while one request is answered; what it was `about` ends with it."""
    notes: dict[str, Any] = {}
    token = _notes.set(notes)
    outer = get_contextvars()
    clear_contextvars()
    try:
        yield notes
    finally:
        _notes.reset(token)
        clear_contextvars()
        bind_contextvars(**outer)
