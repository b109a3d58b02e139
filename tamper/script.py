"""A tester's script: a Python file with `request(exchange)`, `response(exchange)`, or both."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tamper.errors import TamperError
from tamper.exchange import Exchange

Act = Callable[[Exchange], None]


def leave(exchange: Exchange) -> None:
    """Let it pass as it is."""
    del exchange


@dataclass(frozen=True)
class Script:
    """What is done to a request before it is sent on, and to its answer before it goes back."""

    request: Act = leave
    response: Act = leave


def load_script(path: Path) -> Script:
    """Run a script file once and take its two functions.

    Raises:
        TamperError: it cannot be read or run, or defines neither function.
    """
    try:
        found = runpy.run_path(str(path))
    except Exception as error:  # whatever a script raises, the tester is told
        raise TamperError(f"{path}: {type(error).__name__}: {error}") from error
    acts = {name: found[name] for name in ("request", "response") if callable(found.get(name))}
    if not acts:
        raise TamperError(f"{path} defines neither request(exchange) nor response(exchange)")
    return Script(**acts)
