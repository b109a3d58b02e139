"""The six systems, really started, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stack_bench import Bench

from cli.connection import Connection
from cli.keys_commands import hold_ceremony
from cli.processes import start, stop
from cli.provision import provision
from cli.receiver import Receiver


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
        stop(stack)


@pytest.fixture
def bench(data: Path, running: Connection) -> Iterator[Bench]:
    """The stack with every check on and the two homes as the ceremony left them."""
    bench = Bench(data, running)
    bench.reset()
    provision(running, data, afresh=True)
    yield bench
    bench.reset()


@pytest.fixture
def receiver(bench: Bench) -> Iterator[Receiver]:
    """The suppliers' own services, registered with the broker."""
    with Receiver("127.0.0.1") as receiver:
        for supplier in bench.connection.stack.facts["suppliers"]:
            bench.connection.lab(
                "acb",
                "PUT",
                f"/lab/users/{supplier['eui']}/callback",
                {"callback_url": receiver.url(supplier["name"])},
            )
        yield receiver
