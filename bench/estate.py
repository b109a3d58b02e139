"""The six systems under measurement: started, homes installed, nothing in the way of a load."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keys.issuing.ceremony import load_plan, run_ceremony
from keys.issuing.plan import DevicesPlan
from services.chassis.settings import LONGEST_LEASE
from services.chassis.time.clock import SystemClock
from stack.connection import Connection
from stack.fleets import FleetPlan, add_fleet
from stack.layout import load_stack
from stack.processes import start, stop
from stack.provision import provision
from stack.systems import COS_PARTIES, with_link_keys

HOMES: Final = 64
"""As many lanes as are used at once, twice over: a home is never asked for while it waits."""

MANY: Final = 2**31 - 1
WATCH: Final = Path(__file__).with_name("watch")


def hold_ceremony(data: Path, homes: int = HOMES) -> None:
    """A data folder with that many homes; half of them trust each CoS Party."""
    plan = with_link_keys(load_plan().with_devices(homes))
    run_ceremony(plan, data, now=SystemClock().now())


def add_homes(data: Path, homes: int) -> None:
    """A fleet of that many homes more, in a folder that was never started."""
    run = {
        "first_eui": "0253494de0000000", "first_mpxn": "1400000000000", "count": homes,
        "device_type": "ESME", "supplier": "A", "cos_party": "ecos_party",
    }  # fmt: skip
    add_fleet(data, FleetPlan(DevicesPlan.model_validate(run), "B"), SystemClock().now())


@contextmanager
def running(data: Path, *, watched: bool = False) -> Iterator[Connection]:
    """Start the stack of a folder, make its homes known, let thresholds not stand in the way.

    Args:
        data: a folder with a ceremony in it.
        watched: count inside each process too (`bench/watch`), within one lease of the sources.
    """
    with _environment(watched=watched):
        # nobody asks a source again meanwhile: how often would depend on how fast the machine is
        settings = {"source_lease_seconds": LONGEST_LEASE} if watched else None
        start(data, lambda _line: None, first_port=None, settings=settings)
    stack = load_stack(data)
    try:
        with Connection(stack) as connection:
            provision(connection, data)
            suppliers = [one["eui"] for one in stack.facts["suppliers"]]
            for scope in ("*", *suppliers):
                connection.lab("acb", "PUT", f"/lab/thresholds/{scope}", {"most": MANY})
            most = {"window_seconds": 3600, "per_requester": MANY, "total": MANY}
            for party in COS_PARTIES:
                connection.lab(party, "PUT", "/lab/thresholds", most)
            yield connection
    finally:
        stop(stack)


@contextmanager
def _environment(*, watched: bool) -> Iterator[None]:
    """What the systems are started with; this process is as it was afterwards."""
    before = os.environ.get("PYTHONPATH")
    if watched:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(WATCH), *([before] if before else [])])
    try:
        yield
    finally:
        if before is not None:
            os.environ["PYTHONPATH"] = before
        elif watched:
            del os.environ["PYTHONPATH"]
