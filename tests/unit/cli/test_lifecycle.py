"""What `cos up` started ends with it, and nobody else's process does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from cli import lifecycle
from stack.layout import Addresses, Stack, save_stack
from stack.processes import runs, stop, why_not_ready
from stack.systems import SYSTEMS


def stack_of(data: Path, pid: int) -> Stack:
    stack = Stack(data, {"acb": Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")})
    stack.pids["acb"] = pid
    save_stack(stack)
    return stack


WAITS = "import sys; print(flush=True); sys.stdin.read()"


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has begun: before that, nothing tells whose it is."""
    command = [sys.executable, "-c", WAITS, *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process


def test_a_stranger_with_the_number_of_a_system_is_left_alone(tmp_path: Path) -> None:
    with running() as stranger:
        stack = stack_of(tmp_path, stranger.pid)
        assert not runs(stack, "acb")
        assert stop(stack) == []
        assert stranger.poll() is None
        assert stranger.stdin is not None
        stranger.stdin.close()
        assert stranger.wait() == 0


def test_a_system_of_another_stack_with_that_number_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other" / "acb" / "config.toml"
    with running("-m", "acb.main", "--config", str(other)) as theirs:
        stack = stack_of(tmp_path, theirs.pid)
        assert not runs(stack, "acb")
        assert stop(stack) == []
        assert theirs.poll() is None


def test_a_system_of_ours_is_stopped(tmp_path: Path) -> None:
    ours_file = tmp_path / "acb" / "config.toml"
    with running("-m", "acb.main", "--config", str(ours_file)) as ours:
        stack = stack_of(tmp_path, ours.pid)
        assert runs(stack, "acb")
        assert stop(stack) == ["acb"]
        assert not runs(stack, "acb")


@pytest.mark.parametrize(
    ("party", "said"),
    [
        (httpx.Response(401), "another's answers there"),
        (httpx.Response(200, json={"party": "registration", "process": 7}), "another's answers"),
        (httpx.Response(200, json={"party": "acb", "process": 8}), "another process answers"),
        (httpx.Response(200, text="<html>"), "no answer"),
        (httpx.Response(200, json={"party": "acb", "process": 7}), None),
    ],
)
def test_who_answers_on_its_port_is_asked(party: httpx.Response, said: str | None) -> None:
    stack = Stack(None, {"acb": Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")})
    stack.pids["acb"], stack.lab_tokens["acb"] = 7, "secret"

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/readyz":
            return httpx.Response(200, json={"status": "ready"})
        assert request.headers["authorization"] == "Bearer secret"
        return party

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        why = why_not_ready(stack, "acb", client)
    assert (why or "").startswith(said or "")
    assert (why is None) == (said is None)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, ValueError])
def test_nothing_is_left_behind_when_it_ends_early(
    ending: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "estate.json").write_text("{}")
    stopped: list[Stack] = []

    def provision(*_: object, **_named: object) -> int:
        raise ending

    monkeypatch.setattr(lifecycle, "start", lambda data, *_, **__: stack_of(data, 1))
    monkeypatch.setattr(lifecycle, "provision", provision)
    monkeypatch.setattr(lifecycle, "stop", stopped.append)
    with pytest.raises(ending):
        lifecycle.bring_up(tmp_path, {}, None, lambda _line: None, detach=True, as_json=True)
    assert [one.pids for one in stopped] == [{"acb": 1}]


def test_it_does_not_wait_for_systems_that_all_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    stack = Stack(tmp_path, {}, pids=dict.fromkeys(SYSTEMS, ended.pid))
    save_stack(stack)
    lifecycle.stay_with(tmp_path, as_json=True)
    told = capsys.readouterr()
    assert not told.out
    assert all(f"{name} ended" in told.err for name in SYSTEMS)
