"""What one party's trouble costs the others: a switch in peace, and the same beside a neighbour.

Five neighbours, each beside a stack of its own: a user whose callback gives one octet every four
seconds; a CoS Party that stands still; ten devices that do not answer; a hundred requests that wait
for a home, by a supplier that is not registered for it; and a user that spends what all may send
together.

`python -m bench.neighbours [--case NAME] [--json]`; `make bench-neighbours`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from keys.issuing.ceremony import load_plan, run_ceremony
from services.chassis.time.clock import SystemClock
from stack import faults
from stack.connection import Connection
from stack.processes import start, stop
from stack.provision import devices_of, provision
from stack.supplier import Supplier
from stack.systems import with_link_keys

HOMES = 60
"""Homes of the stack: the first half trusts the transitional CoS Party, the others the enduring."""
DRIP_SECONDS = 4.0
ENDED = frozenset({"completed", "refused", "failed", "quarantined"})


@dataclass(frozen=True, slots=True)
class Row:
    """One case: median seconds of a change of supplier in peace and beside the neighbour.

    `beside` is the limit, and `ended` false, where none came to its end within it.
    """

    case: str
    quiet: float
    beside: float
    ended: bool

    @property
    def ratio(self) -> float:
        """How many times as long."""
        return self.beside / self.quiet


class Stack:
    """A stack under measurement, and what a supplier does to it."""

    def __init__(self, connection: Connection, data: Path, limit: float) -> None:
        self.connection = connection
        self.homes = devices_of(data)
        self.suppliers = {name: Supplier.open(data, name) for name in ("A", "B", "C")}
        self.limit = limit
        self.counter = time.time_ns() // 1_000_000

    def home(self, party: str, number: int) -> dict[str, Any]:
        """A home that trusts a CoS Party."""
        half = len(self.homes) // 2
        home: dict[str, Any] = self.homes[number + (half if party == "ecos_party" else 0)]
        return home

    def request(self, supplier: str, home: dict[str, Any]) -> tuple[str, bytes]:
        """A supplier's request for a home: its identifier, and the signed document."""
        self.counter += 1
        request_id, document = self.suppliers[supplier].change_of_supplier(
            home["eui"], home["mpxn"], counter=self.counter
        )
        return str(request_id), document

    def ask(self, supplier: str, *homes: dict[str, Any]) -> None:
        """Have a supplier ask for homes."""
        documents = [self.request(supplier, home)[1] for home in homes]
        for document in documents:
            self.connection.submit(document).raise_for_status()

    @contextmanager
    def stopped(self, party: str) -> Iterator[None]:
        """A system takes connections meanwhile, and answers nothing."""
        pid = self.connection.stack.pids[party]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def switch(self, home: dict[str, Any]) -> tuple[float, bool]:
        """Seconds of one change of supplier, and whether it came to a good end in time."""
        request_id, document = self.request("B", home)
        began = time.perf_counter()
        self.connection.submit(document).raise_for_status()
        while (took := time.perf_counter() - began) < self.limit:
            told = self.connection.request_state(request_id, wait=2)
            if told["state"] in ENDED:
                return time.perf_counter() - began, told["state"] == "completed"
        return took, False

    def median(self, home: dict[str, Any], times: int) -> tuple[float, bool]:
        """The median of several, one after the other; the first that does not end is the last."""
        took: list[float] = []
        for _ in range(times):
            seconds, ok = self.switch(home)
            if not ok:
                return self.limit, False
            took.append(seconds)
        return median(took), True

    def callback(self, supplier: str, url: str) -> None:
        """Tell the broker where a supplier hears its documents."""
        eui = self.suppliers[supplier].eui
        self.connection.lab("acb", "PUT", f"/lab/users/{eui}/callback", {"callback_url": url})


@contextmanager
def dripping() -> Iterator[str]:
    """A service that takes what it is sent, and answers an octet at a time."""
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    over = threading.Event()

    def drip(peer: socket.socket) -> None:
        with peer:
            peer.recv(65_536)
            for octet in b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + b"." * 1_000_000:
                if over.wait(DRIP_SECONDS):
                    return
                try:
                    peer.send(bytes([octet]))
                except OSError:
                    return

    def serve() -> None:
        while not over.is_set():
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=drip, args=(peer,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    finally:
        over.set()
        server.close()


@contextmanager
def slow_callback(stack: Stack) -> Iterator[dict[str, Any]]:
    """Supplier A does not take its documents, and is owed many."""
    with dripping() as url:
        stack.callback("A", url)
        # each refused by the CoS Party, and so owed two documents
        stack.ask("A", *(stack.home("ecos_party", 1 + number) for number in range(24)))
        time.sleep(3)  # until the first of them are on their way
        yield stack.home("tcos_party", 0)


@contextmanager
def stopped_cos_party(stack: Stack) -> Iterator[dict[str, Any]]:
    """The transitional CoS Party takes connections and answers nothing."""
    with stack.stopped("tcos_party"):
        stack.ask("B", *(stack.home("tcos_party", 1 + number) for number in range(24)))
        time.sleep(1)
        yield stack.home("ecos_party", 0)


@contextmanager
def slow_devices(stack: Stack) -> Iterator[dict[str, Any]]:
    """Ten devices do not answer, and the broker does not know it before it gives up."""
    homes = [stack.home("ecos_party", 1 + number) for number in range(10)]
    for home in homes:
        order = faults.order_of(
            "delay", "outbound-request", hop="meter_sim", device=home["eui"], times=0
        )
        faults.arm(stack.connection, "acb", order)
    stack.ask("B", *homes)
    time.sleep(4)  # until their commands are on their way
    yield stack.home("ecos_party", 0)


@contextmanager
def without_right(stack: Stack) -> Iterator[dict[str, Any]]:
    """Supplier A asks a hundred times for a home that supplier B is registered for."""
    home = stack.home("ecos_party", 0)
    with stack.stopped("ecos_party"):  # so that all of them wait when the other one asks
        stack.ask("A", *[home] * 100)
    yield home


@contextmanager
def spent_threshold(stack: Stack) -> Iterator[dict[str, Any]]:
    """Supplier A spends what all users together may send."""
    stack.connection.lab("acb", "PUT", "/lab/thresholds/*", {"most": 60})
    stack.ask("A", *(stack.home("tcos_party", number % 20) for number in range(60)))
    time.sleep(20)  # they are refused one after the other; only the threshold is measured here
    yield stack.home("ecos_party", 0)


Case = Callable[[Stack], Any]

CASES: dict[str, tuple[Case, str]] = {
    "callback": (slow_callback, "tcos_party"),
    "cos-party": (stopped_cos_party, "ecos_party"),
    "devices": (slow_devices, "ecos_party"),
    "no-right": (without_right, "ecos_party"),
    "threshold": (spent_threshold, "ecos_party"),
}
"""Each neighbour, and whose home is measured beside it."""


def measure(name: str, times: int, limit: float) -> Row:
    """Measure one case on a stack of its own."""
    neighbour, party = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        run_ceremony(with_link_keys(load_plan().with_devices(HOMES)), data, now=SystemClock().now())
        running = start(data, lambda _line: None, first_port=None)
        try:
            with Connection(running) as connection:
                provision(connection, data)
                stack = Stack(connection, data, limit)
                stack.switch(stack.home(party, 0))  # fills the caches
                quiet, _ = stack.median(stack.home(party, 0), times)
                # those without right wait but once, so they ask anew for each change
                again, at_a_time = (times, 1) if name == "no-right" else (1, times)
                took, ended = [], True
                for _ in range(again):
                    with neighbour(stack) as home:
                        seconds, good = stack.median(home, at_a_time)
                    took.append(seconds)
                    ended = ended and good
                beside = median(took) if ended else limit
        finally:
            stop(running)
    return Row(name, quiet, beside, ended)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(prog="bench.neighbours", description=__doc__)
    parser.add_argument("--case", choices=CASES, action="append", help="only this; may be repeated")
    parser.add_argument("--times", type=int, default=5, help="changes to time in each state")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds to wait for one change")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    told = parser.parse_args()
    rows = [measure(name, told.times, told.limit) for name in told.case or CASES]
    if told.json:
        print(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=2))
        return
    print("a change of supplier, median seconds, in peace and beside a neighbour")
    for row in rows:
        beside = f"{row.beside:9.2f}" if row.ended else f">{row.beside:8.2f}"
        print(f"  {row.case:12} {row.quiet:7.2f} {beside}   x {row.ratio:.1f}")


if __name__ == "__main__":
    main()
