"""The parts that are measured in one process: messages, documents, the link."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.figures import Figure
from bench.timing import Cost
from cli.keys_commands import hold_ceremony

MODULES: Final = {"message": "bench.messages", "duis": "bench.duis", "link": "bench.link"}


def measured(say: Callable[[str], None], part: str) -> dict[str, Figure]:
    """The ratios of one part, as its module tells them; empty where the part is not there."""
    if importlib.util.find_spec(MODULES[part]) is None:
        return {}
    say(f"{part}: in one process")
    module = importlib.import_module(MODULES[part])
    with TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        hold_ceremony(data)
        return {name: _figure(told) for name, told in _ratios(module, data).items()}


def _ratios(module: Any, data: Path) -> Mapping[str, Any]:
    """What a module says of itself; of one without `ratios`, the ratios of all it measures."""
    of = getattr(module, "ratios", None)
    if of is not None:
        told: Mapping[str, Any] = of(data) if inspect.signature(of).parameters else of()
        return told
    measure = module.measured
    costs: list[Cost] = measure(data) if inspect.signature(measure).parameters else measure()
    return {_slug(cost.name): cost.ratio for cost in costs if not cost.name.startswith("bare")}


def _figure(told: Any) -> Figure:
    if isinstance(told, Figure):
        return told
    if isinstance(told, Mapping):
        return Figure(told["median"], told["spread"])
    return Figure(float(told), 0.0)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
