"""What `cos tamper` shows of a message, and what a person who holds one can do with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import tamper_commands
from cli.console import line
from cli.tamper_commands import held, line_of, told
from tamper.exchange import Exchange, Request, Response
from tamper.proxy import Proxy
from tamper.script import Script


def exchange() -> Exchange:
    request = Request([("cos-purpose", "cos-command")], b'{"a":1}', "POST", "/link/cos-command")
    return Exchange(3, request.frozen(), request, lambda _: Response())


def test_a_message_is_told_with_what_was_done_to_it() -> None:
    one = exchange()
    one.answer(418, b'{"b":2}')
    asked, answered = told("request", one), told("response", one)
    assert (asked["exchange"], asked["path"], asked["json"]) == (3, "/link/cos-command", {"a": 1})
    assert asked["link"] == {"purpose": "cos-command"}
    assert "status" not in asked
    assert (answered["status"], answered["json"]) == (418, {"b": 2})
    assert answered["acts"] == ["answered 418 in place of the other side"]


def test_an_exchange_is_one_line() -> None:
    one = exchange()
    one.answer(403, b'{"check":"link.request.nonce"}')
    assert line(*line_of(one)).plain == (
        "3 POST /link/cos-command cos-command, 7 octets ──▶ 403 link.request.nonce, 30 octets; "
        "answered 403 in place of the other side"
    )
    one.drop()
    assert "──▶ closed; " in line(*line_of(one)).plain


def test_what_a_message_says_never_reaches_the_terminal_as_a_command() -> None:
    one = exchange()
    one.request.path = "/a\x1b[2J[/]\nb"
    one.answer(403, b'{"check":"\\u001b]8;;x"}')
    shown = line(*line_of(one)).plain
    assert shown.isprintable()
    assert "[/]" in shown  # as it stands: it is no mark of ours


def test_each_exchange_ends_once_however_it_ends() -> None:
    stages: list[str] = []
    for act in (Exchange.drop, lambda e: e.answer(200, b""), lambda _: 1 / 0):
        script = Script(request=act)  # type: ignore[arg-type]
        proxy = Proxy("http://127.0.0.1:1", script, lambda stage, _: stages.append(stage))
        with proxy:
            proxy.pass_on(Request([], b"", "POST", "/x"))
    assert stages == ["request", "end", "request", "response", "end", "request", "end"]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lines that the person at the terminal types, in order."""
    lines: list[str] = []
    monkeypatch.setattr(tamper_commands.typer, "prompt", lambda *_, **__: lines.pop(0))
    yield lines
    assert not lines, "the person was not asked as often as expected"


def test_a_held_message_passes_when_it_is_let(say: list[str]) -> None:
    one = exchange()
    say += ["what?", "send"]
    held(Script()).request(one)
    assert (one.dropped, one.request.body) == (False, b'{"a":1}')


def test_a_held_message_can_be_dropped(say: list[str]) -> None:
    one = exchange()
    say += ["drop"]
    held(Script()).request(one)
    assert one.dropped


def test_a_held_body_can_be_saved_and_replaced(say: list[str], tmp_path: Path) -> None:
    one, file = exchange(), tmp_path / "body"
    (tmp_path / "other").write_bytes(b"\x00\xff")
    say += [f"save {file}", f"load {tmp_path / 'none'}", f"load {tmp_path / 'other'}", "send"]
    held(Script()).request(one)
    assert file.read_bytes() == b'{"a":1}'
    assert one.request.body == b"\x00\xff"


def test_the_script_comes_first_and_what_it_dropped_is_not_asked_about(say: list[str]) -> None:
    one = exchange()
    held(Script(request=Exchange.drop)).request(one)
    assert one.dropped
    answered = exchange()
    answered.answer(200, b"made up")
    say += ["drop"]
    held(Script()).response(answered)
    assert answered.given_back is None
