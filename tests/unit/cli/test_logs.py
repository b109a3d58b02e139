"""`cos logs`: several files as one, in order of time, and nothing in them acts on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.logs import Filter, lines_of
from stack.errors import MISSING, USAGE
from stack.layout import Addresses, Stack, save_stack

ID = "02-53-49-4D-20-00-00-00:02-53-49-4D-D0-00-00-01:7"


def line(second: int, event: str, **facts: str) -> str:
    return json.dumps({"timestamp": f"2030-01-02T00:00:{second:02d}Z", "event": event, **facts})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files = {
        "acb": [line(1, "first", duis_request_id=ID), "Traceback", line(5, "last")],
        "tcos_party": [line(3, "odd\x1b[2J", duis_request_id=ID), line(4, "cut off")[:20]],
    }
    for system, lines in files.items():
        (tmp_path / system).mkdir()
        end = "" if system == "tcos_party" else "\n"
        (tmp_path / system / "service.log").write_text("\n".join(lines) + end)
    urls = Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")
    save_stack(Stack(tmp_path, dict.fromkeys(files, urls), dict.fromkeys(files, 1)))
    return tmp_path


def shown(data: Path, *words: str) -> str:
    done = CliRunner().invoke(app, ["logs", "--data", str(data), *words])
    assert done.exit_code == 0, done.output
    return done.output


def test_files_are_read_as_one_in_order_of_time(data: Path) -> None:
    events = [
        json.loads(one)["event"] for one in shown(data, "--json").splitlines() if one[0] == "{"
    ]
    assert events == ["first", "odd\x1b[2J", "last"]
    assert shown(data, "--last", "1").split()[2] == "last"


def test_what_is_not_printable_is_escaped(data: Path) -> None:
    told = shown(data, "tcos_party")
    assert "\x1b" not in told
    assert "odd\\u001b[2J" in told


def test_lines_about_one_request(data: Path) -> None:
    told = shown(data, "--json", "--request", ID).splitlines()
    assert [json.loads(one)["event"] for one in told] == ["first", "odd\x1b[2J"]


def test_a_line_under_way_is_shown_when_it_is_whole(data: Path) -> None:
    wanted = Filter(("tcos_party",), None)
    lines, ends = lines_of(data, wanted)
    assert len(lines) == 1
    with (data / "tcos_party" / "service.log").open("a") as file:
        file.write(" and more\n")
    assert ends["tcos_party"] < (data / "tcos_party" / "service.log").stat().st_size


def test_wrong_input_is_named(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = CliRunner().invoke
    done = run(app, ["logs", "nobody", "--data", str(data)])
    assert (done.exit_code, "no system 'nobody'" in done.output) == (USAGE, True)
    empty = tmp_path_factory.mktemp("empty")
    assert run(app, ["logs", "--data", str(empty)]).exit_code == MISSING
