from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cli import processes
from cli.errors import CommandError
from cli.layout import FIRST_PORT, QUIET_FROM, QUIET_PORTS, Stack, choose_ports


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

    def start_on(data: Path, ports: list[int], *more: object) -> Stack:
        tried.append(ports)
        if len(tried) < 3:
            raise CommandError(f"acb is not ready: cannot listen on 127.0.0.1:{ports[-1]}", 4)
        return Stack(data, {})

    monkeypatch.setattr(processes, "start_on", start_on)
    processes.start(tmp_path, lambda _line: None, FIRST_PORT)
    assert len(tried) == 3
    assert not set(tried[0]) & set(tried[1]) & set(tried[2])


def test_any_other_failure_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start_on(*_: object) -> Stack:
        raise CommandError("acb is not ready: no keys", 4)

    monkeypatch.setattr(processes, "start_on", start_on)
    with pytest.raises(CommandError, match="no keys"):
        processes.start(tmp_path, lambda _line: None, FIRST_PORT)
