"""What a hostile server or process says reaches nobody's terminal as it came."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_cos_stack.calls import call, told_by
from pytest_cos_stack.command import Cos
from pytest_cos_stack.errors import CosError, RefusedError
from pytest_cos_stack.story import Story, Told

LINK = "\x1b]8;;https://sim.invalid\x1b\\here\x1b]8;;\x1b\\"
HOSTILE = f"\x1b[2J\x1b[31mred\x07\x9b2J\u202e\u200b\u2028\r\n{LINK}"


def harmless(text: str) -> bool:
    return text.isprintable() and "\\x1b" in text


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Answers one request with these octets, whatever it is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/lab/checks"
        thread.join()


def refusing(document: dict[str, str], status: str = "403 no") -> bytes:
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("member", ["party", "check", "detail", "title"])
def test_a_refusal_is_told_escaped(member: str) -> None:
    with server(refusing({member: HOSTILE})) as url, pytest.raises(RefusedError) as raised:
        told_by("acb", call("GET", url))
    assert harmless(str(raised.value))


def test_what_is_no_http_is_told_escaped_and_its_own_error_is_not_shown() -> None:
    with server(b"\x1b[2J\x1b]0;title\x07\r\n\r\n") as url, pytest.raises(CosError) as raised:
        call("GET", url)
    assert harmless(str(raised.value))
    assert raised.value.__suppress_context__


def test_an_answer_that_breaks_off_is_told_escaped() -> None:
    cut = refusing({}, status=f"403 {HOSTILE[:8]}").replace(b"Length: 2", b"Length: 9")
    with server(cut) as url, pytest.raises(CosError) as raised:
        call("GET", url)
    assert str(raised.value).isprintable()
    assert raised.value.__suppress_context__


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_what_a_command_says_is_told_escaped(tmp_path: Path, stream: str) -> None:
    said, command = tmp_path / "said", tmp_path / "cos"
    said.write_text(json.dumps({"error": HOSTILE}) if stream == "stdout" else HOSTILE)
    command.write_text(f"#!/bin/sh\ncat {said} >&{1 if stream == 'stdout' else 2}; exit 1\n")
    command.chmod(0o700)
    with pytest.raises(CosError) as raised:
        Cos(str(command)).run("up", data=tmp_path)
    assert harmless(str(raised.value))


def test_a_story_is_told_escaped() -> None:
    verdict = {
        "outcome": "refused", "check": HOSTILE, "detail": HOSTILE, "expected": HOSTILE,
        "found": HOSTILE,
    }  # fmt: skip
    words = dict.fromkeys(("at", "kind", "sender", "receiver", "name", "summary"), HOSTILE)
    story = Story("1", [Told.of("acb", {**words, "verdicts": [verdict]})])
    lines = str(story).split("\n")
    assert len(lines) == 2
    assert all(harmless(line) for line in lines)
