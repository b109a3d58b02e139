"""What of a stack must stay as it was when an attack is refused, and what of it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from stack.cells import pages
from stack.connection import Connection
from stack.systems import COS_PARTIES

State = dict[str, Any]
"""Each part of the state by `what:whose`."""

_DEVICE = ("cells", "counters", "pending", "certificates")
_ALWAYS = frozenset({*_DEVICE, "record", "signed"})

T = TypeVar("T")


def in_parallel(*acts: Callable[[], T]) -> list[T]:
    """Do several things at once, which go to different systems: what each gave."""
    if not acts:
        return []
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(lambda act: act(), acts))


def state_of(connection: Connection, devices: Iterable[str]) -> State:
    """Every meter, the broker's record, and the counter of what each CoS Party signed."""
    questions = [partial(_records, connection)]
    questions += [partial(_device, connection, eui) for eui in devices]
    questions += [partial(_signed, connection, party) for party in COS_PARTIES]
    return {k: v for answer in in_parallel(*questions) for k, v in answer.items()}


def watched(connection: Connection, what: str, meter: str) -> State:
    """A further part: see `probe.model.Attack.watches`. `meter`: the one of a CoS Party's."""
    if what == "registration":
        return {"register:registration": connection.lab(what, "GET", "/lab/register")}
    if what == "smki_repository":
        return {"published:smki_repository": connection.lab(what, "GET", "/lab/repository")}
    if what == "meter_sim":
        devices = connection.lab(what, "GET", "/lab/devices")["devices"]
        return {"installed:meter_sim": [one["eui"] for one in devices]}
    return {f"known:{what}": connection.lab(what, "GET", f"/lab/devices/{meter}")["cells"]}


def differences(before: State, now: State) -> tuple[str, ...]:
    """The parts that are not as they were, or gone."""
    gone = {k for k in before if k.partition(":")[0] in _ALWAYS and k not in now}
    return tuple(sorted(gone | {k for k in now if before.get(k) != now[k]}))


def _device(connection: Connection, eui: str) -> State:
    held = connection.lab("meter_sim", "GET", f"/lab/devices/{eui}")
    return {f"{part}:{eui}": held[part] for part in _DEVICE}


def _records(connection: Connection) -> State:
    records = pages(connection, "acb", "/lab/devices")
    return {f"record:{one['eui']}": [one["cells"], one["certificates"]] for one in records}


def _signed(connection: Connection, party: str) -> State:
    return {f"signed:{party}": connection.lab(party, "GET", "/lab/counters")["last"]}
