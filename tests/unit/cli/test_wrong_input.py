"""Wrong input ends with one sentence and its exit code, and changes nothing."""

from __future__ import annotations

import json
import socket
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app, main
from stack.containers import in_containers
from stack.errors import MISSING, REFUSED, USAGE
from stack.layout import Addresses, Stack, save_stack, stack_file

FOREIGN = """-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----
"""


@pytest.fixture
def of_containers(tmp_path: Path) -> Path:
    """A data folder as the operator's container has it: addresses, and no processes."""
    (tmp_path / "estate.json").write_text("{}")
    save_stack(Stack(tmp_path, {"acb": Addresses("http://acb:8000", "http://lab.acb:8001")}))
    assert in_containers(tmp_path)
    return tmp_path


def test_where_nothing_is_installed_the_version_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where the command is run from its folder."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("cli.app.version_of", missing)
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.stdout) == (0, "cos (not installed)\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("switch --meter 025349 --supplier B", USAGE, "--meter '025349': an entity identifier"),
        ("switch --meter 025349xdd0000009 --supplier B", USAGE, "16 hex digits"),
        ("gbcs decode --acb xyz MESSAGE", USAGE, "--acb 'xyz': an entity identifier"),
        ("gbcs build --acb xyz EMPTY", USAGE, "--acb 'xyz': an entity identifier"),
        ("duis verify EMPTY", USAGE, "error: "),
        ("devices --service acb=http://127.0.0.1:1", USAGE, "this needs meter_sim"),
        ("tamper --listen 99999 --to http://127.0.0.1:1", USAGE, "--listen"),
        ("probe --junit nowhere/junit.xml", USAGE, "nowhere is no folder"),
        ("keys show --data .", MISSING, "no ceremony in ."),
    ],
)
def test_it_is_named(
    words: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("MESSAGE").write_text("DF09")
    Path("EMPTY").write_text("{}")
    done = CliRunner().invoke(app, words.split())
    assert done.exit_code == code, done.output
    assert said in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = ["tamper", "--listen", str(port), "--to", "http://127.0.0.1:1"]
        done = CliRunner().invoke(app, words)
    assert done.exit_code == USAGE
    assert f"cannot listen on 127.0.0.1:{port}" in done.output


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "estate.json").write_text("{}")
    (tmp_path / "odd.pem").write_text(FOREIGN)
    done = CliRunner().invoke(app, ["keys", "show", "--data", str(tmp_path)])
    assert done.exit_code == MISSING
    assert "odd.pem: " in done.output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("up --detach", REFUSED, "docker compose up --wait"),
        ("down", REFUSED, "docker compose down"),
        ("keys verify", MISSING, "each container has its keys to itself"),
        ("probe --only link.tcos.unsigned", MISSING, "every system's keys"),
    ],
)
def test_a_stack_of_containers_is_not_started_over(
    words: str, code: int, said: str, of_containers: Path
) -> None:
    before = sorted((p, p.read_bytes()) for p in of_containers.iterdir())
    done = CliRunner().invoke(app, [*words.split(), "--data", str(of_containers)])
    assert done.exit_code == code, done.output
    assert said in done.output
    assert sorted((p, p.read_bytes()) for p in of_containers.iterdir()) == before


def test_a_folder_that_cannot_be_made_is_an_error_in_json_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file" / "stack")
    monkeypatch.setattr(sys, "argv", ["cos", "up", "--detach", "--json", "--data", where])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == USAGE
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == USAGE
    assert where in told["error"]
    assert not stack_file(tmp_path).exists()
