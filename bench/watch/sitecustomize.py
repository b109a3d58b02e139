"""Counts what a system does, from inside its process; found by Python because of PYTHONPATH.

Only the bench, and the test that holds the counts, start systems with it. As each module of
`COUNTED` is imported its functions are put into a counting shell; nothing else of it changes, and
a name that is not there any more stops the process, so that a count can never be silently nought.
`GET /lab/counts` tells the numbers as ``watch.…``.

With COS_SAMPLE_TO it also looks twice in a hundred milliseconds where the main thread stands, and
writes stacks with their counts to that folder when the process ends.
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

VERIFY = "verify"
COUNTED: Mapping[str, Mapping[str, str]] = {
    "keys.stores.private": {"sign_raw": "sign", "agree": "agree"},
    "keys.path": {"_check_issued": VERIFY, "validate_path": "path"},
    "keys.crl": {"RevocationList.signed_by": VERIFY, "read_crl": "list_read"},
    "gbcs.protect": {"verify_raw": VERIFY},
    "gbcs.message": {"decode": "gbcs_decode"},
    "duis.gate": {"parse": "duis_parse", "validate": "duis_validate"},
    "duis.signature": {"verify_document": VERIFY},
    "services.link.wire.signing": {"verify_signature": VERIFY},
    "services.link.client": {"LinkClient.call": "link_call"},
    "services.chassis.data.canonical": {"canonical": "canonical"},
}
"""For each module, what is counted in it, and as what."""

PARTIES = ("acb", "cos_party", "ecos_party", "tcos_party", "meter_sim")
SUPPORT = ("services.registration", "services.smki_repository", "services.link")


def _cause() -> str:
    """The nearest function of a party above, else of the link or a supporting service."""
    frame, other = sys._getframe(2), ""  # noqa: SLF001 - the only way to see who called
    where: Any = frame
    while where is not None:
        module = str(where.f_globals.get("__name__", ""))
        if module.split(".", 1)[0] in PARTIES and not where.f_code.co_name.startswith("<"):
            return f"{module}.{where.f_code.co_name}"
        if not other and module.startswith(SUPPORT):
            other = f"{module}.{where.f_code.co_name}"
        where = where.f_back
    return other or "elsewhere"


def _counting(name: str, site: str, work: Callable[..., Any]) -> Callable[..., Any]:
    if asyncio.iscoroutinefunction(work):

        @functools.wraps(work)
        async def call_later(*args: Any, **more: Any) -> Any:
            COUNTS[name] += 1
            return await work(*args, **more)

        return call_later
    told = name in {"sign", "verify", "agree"}

    @functools.wraps(work)
    def call(*args: Any, **more: Any) -> Any:
        COUNTS[name] += 1
        if told:
            COUNTS[f"{name}|{site}|{_cause()}"] += 1
        return work(*args, **more)

    return call


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
            site = f"{module.__name__}.{path}"
            setattr(holder, last, _counting(name, site, getattr(holder, last)))
        if module.__name__ == "services.chassis.counts":
            module.register("watch", lambda: dict(COUNTS))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of `COUNTED` as everybody would, and lends them our loader."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in COUNTED and fullname != "services.chassis.counts":
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
