"""The check of a container's health: it asks over HTTP, and costs next to nothing to start."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[5] / "services" / "chassis" / "web" / "healthcheck.py"


class Party(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(b'{"waiting_for":"registration"}')

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Path]:
    with HTTPServer(("127.0.0.1", 0), Party) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        config = tmp_path / "config.toml"
        port = server.server_port
        config.write_text(f'party = "acb"\n[lab]\nhost = "127.0.0.1"\nport = {port}\n')
        yield config
        server.shutdown()
        thread.join()


def check(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", *python, str(CHECK), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_ready(party: Path) -> None:
    done = check("--config", str(party))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_not_ready_says_why(party: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Party, "status", 503)
    done = check("--config", str(party))
    assert (done.returncode, done.stdout) == (1, '{"waiting_for":"registration"}\n')


@pytest.mark.parametrize(("text", "said"), [
    ('[lab]\nhost = "127.0.0.1"\nport = 1\n', "no answer from 127.0.0.1:1"),
    ("[lab", "TOMLDecodeError"),
    ("[interface]", "KeyError"),
    (None, "FileNotFoundError"),
])  # fmt: skip
def test_what_cannot_be_asked_is_not_ready(tmp_path: Path, text: str | None, said: str) -> None:
    config = tmp_path / "config.toml"
    if text is not None:
        config.write_text(text)
    done = check("--config", str(config))
    assert done.returncode == 1
    assert said in done.stdout
    assert done.stderr == ""


def test_without_a_file_it_says_what_it_wants() -> None:
    done = check()
    assert (done.returncode, done.stdout) == (1, "wanted: --config FILE\n")


def test_it_imports_nothing_of_ours_or_of_others(party: Path) -> None:
    """A check that loaded the settings cost 0.6 of a core for six systems."""
    told = check("--config", str(party), python=("-X", "importtime")).stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "socket" in loaded
    assert not {"services", "pydantic", "structlog", "http", "asyncio", "logging"} & loaded
