from __future__ import annotations

import socket
from pathlib import Path

import pytest

from stack import processes
from stack.errors import UNREACHABLE, CommandError
from stack.layout import (
    FIRST_PORT,
    QUIET_FROM,
    QUIET_PORTS,
    Addresses,
    Stack,
    choose_ports,
    save_stack,
)
from stack.systems import SYSTEMS


def test_no_port_is_chosen_twice() -> None:
    ports = choose_ports(400, None)
    assert len(set(ports)) == 400
    assert all(QUIET_FROM <= port < QUIET_FROM + QUIET_PORTS for port in ports)


def test_a_port_that_is_taken_is_passed_over() -> None:
    (usual,) = choose_ports(1, None)
    with socket.create_server(("127.0.0.1", usual)):
        chosen = choose_ports(3, usual)
    assert usual not in chosen


def test_a_stack_moves_when_somebody_took_its_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[list[int]] = []

    def start_on(data: Path, ports: list[int], *_: object, **__: object) -> Stack:
        tried.append(ports)
        if len(tried) < 3:
            raise CommandError(f"acb is not ready: cannot listen on 127.0.0.1:{ports[-1]}", 4)
        return Stack(data, {})

    monkeypatch.setattr(processes, "start_on", start_on)
    processes.start(tmp_path, lambda _line: None, FIRST_PORT)
    assert len(tried) == 3
    assert not set(tried[0]) & set(tried[1]) & set(tried[2])


def test_any_other_failure_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start_on(*_: object, **__: object) -> Stack:
        raise CommandError("acb is not ready: no keys", 4)

    monkeypatch.setattr(processes, "start_on", start_on)
    with pytest.raises(CommandError, match="no keys"):
        processes.start(tmp_path, lambda _line: None, FIRST_PORT)


def listening_on(data: Path, ports: list[int]) -> Stack:
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    pairs = zip(SYSTEMS, zip(urls[::2], urls[1::2], strict=True), strict=True)
    return Stack(data, {system: Addresses(*pair) for system, pair in pairs})


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The ports on which a stack would have been started."""
    ports_tried: list[list[int]] = []

    def start_on(data: Path, ports: list[int], *_: object, **__: object) -> Stack:
        ports_tried.append(ports)
        return listening_on(data, ports)

    monkeypatch.setattr(processes, "start_on", start_on)
    return ports_tried


def test_a_stack_listens_where_it_did_before(tried: list[list[int]], tmp_path: Path) -> None:
    before = choose_ports(2 * len(SYSTEMS), None)
    save_stack(listening_on(tmp_path, before))
    processes.start(tmp_path, lambda _line: None)
    assert tried == [before]


def test_a_port_that_another_took_meanwhile_is_left_to_it(
    tried: list[list[int]], tmp_path: Path
) -> None:
    before = choose_ports(2 * len(SYSTEMS), None)
    save_stack(listening_on(tmp_path, before))
    said: list[str] = []
    with socket.create_server(("127.0.0.1", before[4])):
        processes.start(tmp_path, said.append, None)
    (ports,) = tried
    assert [i for i, port in enumerate(ports) if port != before[i]] == [4]
    assert ports[4] not in before
    assert said == ["not all ports it had before are free: it listens on others"]


def test_the_ports_that_are_asked_for_or_none(tried: list[list[int]], tmp_path: Path) -> None:
    (first,) = choose_ports(1, None)
    with socket.create_server(("127.0.0.1", first + 3)):
        with pytest.raises(CommandError, match=f"port {first + 3} is taken") as refused:
            processes.start(tmp_path, lambda _line: None, port=first)
        assert refused.value.code == UNREACHABLE
    assert tried == []
