"""Asks a service whether it is ready: `python -I -S healthcheck.py --config FILE`.

For container health checks, which start anew every few seconds: so it is run as a file and imports
nothing but what opens a socket (a check that loaded the settings cost 40 times as much). Exit code
0: ready. 1: not ready, or no answer, with the reason on standard output.
"""

from __future__ import annotations

import socket
import sys
import tomllib
from typing import Final

TIMEOUT: Final = 4.0  # seconds
READ: Final = 4096  # octets of the answer that are looked at


def reason_not_ready(host: str, port: int) -> str | None:
    """None if the lab port there says ready, else why not."""
    question = f"GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    answer = b""
    try:
        with socket.create_connection((host, port), TIMEOUT) as connection:
            connection.sendall(question.encode())
            while len(answer) < READ and (more := connection.recv(READ)):
                answer += more
    except OSError as error:
        return f"no answer from {host}:{port} ({type(error).__name__})"
    status = answer.split(b"\r\n", 1)[0].split()
    if len(status) > 1 and status[0].startswith(b"HTTP/1.") and status[1] == b"200":
        return None
    body = answer.partition(b"\r\n\r\n")[2] or answer
    return body.decode("utf-8", "replace") or f"an empty answer from {host}:{port}"


def main() -> None:
    """Ask, say, and end with the exit code."""
    if sys.argv[1:2] != ["--config"] or len(sys.argv) != 3:
        sys.stdout.write("wanted: --config FILE\n")
        raise SystemExit(1)
    try:
        with open(sys.argv[2], "rb") as file:  # noqa: PTH123 - pathlib costs as much as the question
            lab = tomllib.load(file)["lab"]
        reason = reason_not_ready(str(lab["host"]), int(lab["port"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{sys.argv[2]}: {type(error).__name__}: {error}"
    if reason is not None:
        sys.stdout.write(f"{reason}\n")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
