"""Logs never show a secret, whoever wrote the call."""

from __future__ import annotations

import io
import json
import logging
import sys
from pathlib import Path

import pytest
import structlog

from services.chassis.log import WITHHELD, about, collect_notes, configure, note, withhold

pytestmark = pytest.mark.usefixtures("restore_logging")


@pytest.mark.parametrize(
    "name",
    [
        "passphrase",
        "password",
        "key_password",
        "lab_token",
        "private_key",
        "Authorization",
        "client_secret",
        "device_seed",
        "cookie",
    ],
)
def test_values_named_like_secrets_are_withheld(name: str) -> None:
    shown = withhold(None, "info", {"event": "x", name: "hunter2"})
    assert shown == {"event": "x", name: WITHHELD}


def test_secrets_inside_values_are_withheld_too() -> None:
    shown = withhold(None, "info", {"a": {"b": [{"token": "hunter2", "c": b"octets"}]}})
    assert shown == {"a": {"b": [{"token": WITHHELD, "c": "[6 octets]"}]}}


def test_ordinary_names_are_shown() -> None:
    facts = {"check": "acb.request.signature", "key_id": "ab12", "took_ms": 1.5, "weakened": []}
    assert withhold(None, "info", dict(facts)) == facts


def test_notes_belong_to_one_request() -> None:
    note(caller="nobody listens")
    with collect_notes() as outer:
        note(caller="a")
        with collect_notes() as inner:
            note(caller="b")
        note(check="c")
    assert (outer, inner) == ({"caller": "a", "check": "c"}, {"caller": "b"})


def test_lines_are_json_and_tracebacks_stay_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    file = tmp_path / "party.log"
    configure("acb", json_lines=None, level="info", file=file)
    log = structlog.get_logger("test")
    log.debug("traceback", exc_info=ValueError("deep inside"))
    log.info("request", passphrase="hunter2", body=b"1234")
    logging.getLogger("some.library").warning("of a library")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["request", "of a library"]
    assert all(line["party"] == "acb" and line["timestamp"] for line in lines)
    assert lines[0]["passphrase"] == WITHHELD
    assert lines[0]["body"] == "[4 octets]"
    in_file = [json.loads(line) for line in file.read_text().splitlines()]
    assert "deep inside" in in_file[0]["exception"]
    assert "hunter2" not in file.read_text() + out.getvalue()


def test_every_value_has_one_form_wherever_the_line_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "party.log"
    configure("acb", json_lines=True, file=file)
    facts = {"path": Path("a"), "set": frozenset({1}), "deep": {"n": [b"12", None, 1.5]}}
    structlog.get_logger("test").info("said", **facts)
    logging.getLogger("some.library").info("of a %s", "library")
    on_stdout, in_file = capsys.readouterr().out.splitlines(), file.read_text().splitlines()
    assert (on_stdout[0], len(on_stdout)) == (in_file[0], len(in_file))
    ours, foreign = (json.loads(line) for line in on_stdout)
    assert set(ours) == {*facts, "event", "level", "party", "timestamp"}
    assert ours["deep"] == {"n": ["[2 octets]", None, 1.5]}
    assert (ours["path"], ours["set"]) == (repr(Path("a")), repr(frozenset({1})))
    assert (foreign["event"], foreign["level"]) == ("of a library", "info")


def test_the_console_is_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    configure("acb", json_lines=False)
    structlog.get_logger("test").info("hello", passphrase="hunter2")
    assert "hello" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_every_line_about_a_request_names_it_and_no_line_after_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("acb", json_lines=True)
    log = structlog.get_logger("here")
    with collect_notes() as notes:
        log.info("before it is known")
        about(order="the request")
        log.warning("on the way")
        with collect_notes():
            log.info("of another")
        log.info("request", **notes)
    log.info("after it")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line.get("order") for line in lines] == [None, "the request", None, "the request", None]
