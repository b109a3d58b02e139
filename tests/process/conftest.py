"""The six systems, really started, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from stack_bench import Bench
from stack_services import SUPPLIER

from cli.keys_commands import hold_ceremony
from keys.certificate import Certificate
from stack.connection import Connection
from stack.layout import load_stack
from stack.processes import start, stop
from stack.provision import provision
from stack.receiver import Receiver


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "data"
    hold_ceremony(folder)
    return folder


@pytest.fixture(scope="session")
def running(data: Path) -> Iterator[Connection]:
    stack = start(data, lambda _line: None, first_port=None)
    try:
        with Connection(stack) as connection:
            yield connection
    finally:
        stop(load_stack(data))  # as it is by now: a bench may have started some of them anew


@cache
def written_at_first(data: Path) -> dict[str, bytes]:
    """What the ceremony wrote down of its homes."""
    return {name: (data / name).read_bytes() for name in ("devices.json", "estate.json")}


@pytest.fixture
def bench(data: Path, running: Connection) -> Iterator[Bench]:
    """The stack with every check on and the two homes as the ceremony left them.

    Homes that an earlier test made are no longer written down: each would be put back every time.
    """
    for name, content in written_at_first(data).items():
        (data / name).write_bytes(content)
    # A command that stands between systems starts some of them anew: these are others by now.
    now = load_stack(data)
    running.stack.pids.update(now.pids)
    running.stack.lab_tokens.update(now.lab_tokens)
    bench = Bench(data, running)
    bench.reset()
    provision(running, data, afresh=True)
    yield bench
    bench.reset()


@pytest.fixture
def receiver(bench: Bench) -> Iterator[Receiver]:
    """The suppliers' own services, registered with the broker while they are there."""

    def register(eui: str, url: str | None) -> None:
        bench.connection.lab("acb", "PUT", f"/lab/users/{eui}/callback", {"callback_url": url})

    suppliers = bench.connection.stack.facts["suppliers"]
    with Receiver("127.0.0.1") as receiver:
        for supplier in suppliers:
            register(supplier["eui"], receiver.url(supplier["name"]))
        yield receiver
    # Else the broker would try to tell them, again and again, for as long as the stack lives.
    for supplier in suppliers:
        register(supplier["eui"], None)


@pytest.fixture
def dcc_controlled(bench: Bench) -> str:
    """A device as it leaves the factory: the broker's certificates in the supplier's cells."""
    device = bench.devices[0]
    keys = bench.data / "acb" / "keys"
    names = ("digital-signing", "key-agreement", "key-agreement")
    held = {
        cell: base64.b64encode(
            Certificate.from_pem((keys / f"{name}.pem").read_bytes()).der
        ).decode()
        for cell, name in zip(SUPPLIER, names, strict=True)
    }
    made: dict[str, Any] = {n: device[n] for n in ("eui", "device_type", "certificates")}
    made["cells"] = device["cells"] | held
    bench.connection.lab("meter_sim", "DELETE", f"/lab/devices/{device['eui']}")
    bench.connection.lab("meter_sim", "POST", "/lab/devices", made)
    bench.connection.lab("acb", "POST", "/lab/devices", made | {"mpxns": [device["mpxn"]]})
    return str(device["eui"])
