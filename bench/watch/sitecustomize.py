"""Counts what a system does, from inside its process; found by Python because of PYTHONPATH.

Only the bench, and the test that holds the counts, start systems with it. What the rooms count
themselves (`keys.tally`) it tells apart by who asked for it. As each module of `COUNTED` is
imported its functions are put into a counting shell; nothing else of it changes, and a name that
is not there any more stops the process, so that a count can never be silently nought.
`GET /lab/counts` tells the numbers as ``watch.…``.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.abc
import importlib.machinery
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

COUNTS: Counter[str] = Counter()

PRIMITIVES = frozenset({"sign", "verify", "certificate.verify", "crl.verify", "agree"})
TALLIES = frozenset({"keys.tally", "gbcs.tally", "duis.tally", "services.link.wire.tally"})
"""Where each room counts; of the primitives, this says for whom they were done."""

COUNTED: Mapping[str, Mapping[str, str]] = {
    "services.link.client": {"LinkClient.call": "link_call"},
    "services.chassis.data.canonical": {"canonical": "canonical"},
}
"""For each module, what is counted in it that no room counts, and as what."""

PARTIES = ("acb", "cos_party", "ecos_party", "tcos_party", "meter_sim")
LINK = "services.link."


def _cause() -> str:
    """Whose rules ask for it, and the nearest function of a party above (else the link's own).

    ``link`` where the link signs or verifies what it carries, ``rules`` for everything else.
    """
    frame, linked = sys._getframe(2), ""  # noqa: SLF001 - the only way to see who called
    where: Any = frame
    while where is not None:
        module = str(where.f_globals.get("__name__", ""))
        if module.split(".", 1)[0] in PARTIES and not where.f_code.co_name.startswith("<"):
            return f"{'link' if linked else 'rules'}|{module}.{where.f_code.co_name}"
        if not linked and module.startswith(LINK):
            linked = f"{module}.{where.f_code.co_name}"
        where = where.f_back
    return f"link|{linked}" if linked else "rules|elsewhere"


def _counting(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(work):

        @functools.wraps(work)
        async def call_later(*args: Any, **more: Any) -> Any:
            COUNTS[name] += 1
            return await work(*args, **more)

        return call_later

    @functools.wraps(work)
    def call(*args: Any, **more: Any) -> Any:
        COUNTS[name] += 1
        return work(*args, **more)

    return call


class _Told(dict[str, int]):
    """A room's counts, which also say for whom."""

    def __setitem__(self, name: str, number: int) -> None:
        if name in PRIMITIVES:
            COUNTS[f"{name}|{_cause()}"] += number - self[name]
        super().__setitem__(name, number)


class _Loader(importlib.abc.Loader):
    """Runs a module as it is, then puts the counting shells on."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self.inner.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        for path, name in COUNTED.get(module.__name__, {}).items():
            holder: Any = module
            *outer, last = path.split(".")
            for one in outer:
                holder = getattr(holder, one)
            setattr(holder, last, _counting(name, getattr(holder, last)))
        if module.__name__ in TALLIES:
            counting: Any = module
            counting.COUNTS = _Told(counting.COUNTS)
        if module.__name__ == "services.chassis.counts":
            module.register("watch", lambda: dict(COUNTS))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of `COUNTED` as everybody would, and lends them our loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in {*COUNTED, *TALLIES, "services.chassis.counts"}:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                spec.loader = _Loader(spec.loader)
                return spec
        return None


sys.meta_path.insert(0, _Finder())
