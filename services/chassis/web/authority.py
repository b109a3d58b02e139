"""Who may call what, as data: a party's `authority.toml`, compared with its routes at start.

::

    [accepts]
    "POST /service-requests" = ["anyone"]        # says in a comment who that is meant to be
    "POST /link/cos-command" = ["acb"]           # names of systems, proven by the signed link

Default deny. A route without a line, a line without a route, an empty list, or "anyone" beside
names stops the process at start. "anyone" means that the route establishes identity by itself, or
that none is needed. System names are enforced by the signed link, which takes its list from here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

ANYONE: Final = "anyone"

_LINE: Final = re.compile(r"^(GET|PUT|POST|PATCH|DELETE) (/\S*)$")
_SYSTEM: Final = re.compile(r"^[a-z][a-z0-9_]*$")


class AuthorityError(Exception):
    """The authority table cannot be read, or does not agree with the routes."""


class Authority:
    """The authority table of one party."""

    def __init__(self, accepts: Mapping[str, frozenset[str]], name: str = "authority") -> None:
        self._accepts = dict(accepts)
        self._name = name

    @classmethod
    def read(cls, path: Path) -> Authority:
        """Read a table.

        Raises:
            AuthorityError: It cannot be read, or says something that is not in the grammar above.
        """
        try:
            with path.open("rb") as file:
                table = tomllib.load(file)
        except (OSError, ValueError, RecursionError) as error:
            raise AuthorityError(f"{path.name}: cannot be read ({error})") from None
        unknown = sorted(set(table) - {"accepts"})
        if unknown:
            raise AuthorityError(f"{path.name}: unknown table or setting {unknown[0]}")
        accepts = table.get("accepts")
        if not isinstance(accepts, dict):
            raise AuthorityError(f"{path.name}: no [accepts] table")
        return cls({line: _callers(path.name, line, v) for line, v in accepts.items()}, path.name)

    def callers(self, route: str) -> frozenset[str]:
        """Who may call ``"METHOD /path"``; nobody, if there is no line for it."""
        return self._accepts.get(route, frozenset())

    def allowed(self, route: str, system: str) -> bool:
        """Whether `system` may call ``"METHOD /path"``."""
        return not self.callers(route).isdisjoint((ANYONE, system))

    def lines(self) -> dict[str, list[str]]:
        """The whole table, for showing."""
        return {line: sorted(callers) for line, callers in self._accepts.items()}

    @property
    def systems(self) -> frozenset[str]:
        """Every system that may call anything here."""
        return frozenset(c for callers in self._accepts.values() for c in callers) - {ANYONE}

    def compare(self, routes: Iterable[BaseRoute]) -> None:
        """Check that table and mounted routes name the same things.

        Raises:
            AuthorityError: Naming every difference.
        """
        mounted = set(mounted_routes(routes))
        without_line = sorted(mounted - set(self._accepts))
        without_route = sorted(set(self._accepts) - mounted)
        said = [f"route without a line: {route}" for route in without_line]
        said += [f"line without a route: {line}" for line in without_route]
        if said:
            raise AuthorityError(f"{self._name}: {'; '.join(said)}")


def mounted_routes(routes: Iterable[BaseRoute]) -> list[str]:
    """Every mounted route as ``"METHOD /path"``, included routers too.

    Raises:
        AuthorityError: Something is mounted that is not an HTTP route with methods.
    """
    found: list[str] = []
    for context in iter_route_contexts(list(routes)):
        methods, path = getattr(context, "methods", None), getattr(context, "path", None)
        if not methods or not path:
            raise AuthorityError("something is mounted that no authority table can name")
        found += [f"{method} {path}" for method in sorted(methods) if method != "HEAD"]
    return found


def _callers(name: str, line: str, value: Any) -> frozenset[str]:
    if not _LINE.match(line):
        raise AuthorityError(f'{name}: "{line}" is not "METHOD /path"')
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise AuthorityError(f'{name}: "{line}" needs a list of names')
    callers = frozenset(value)
    if not callers:
        raise AuthorityError(f'{name}: "{line}" lets nobody in; take the line and the route away')
    if ANYONE in callers and len(callers) > 1:
        raise AuthorityError(f'{name}: "{line}" says anyone beside names')
    for caller in callers:
        if not _SYSTEM.match(caller):
            raise AuthorityError(f'{name}: "{line}" names "{caller}", which is no system\'s name')
    return callers
