"""Asks a service whether it is ready: `python -m services.chassis.healthcheck --config FILE`.

For container health checks. Exit code 0: ready. 1: not ready, or no answer, with the reason on
standard output.
"""

from __future__ import annotations

import http.client
import sys
from typing import Final

from services.chassis.settings import Settings, load_settings

TIMEOUT: Final = 4.0  # seconds


class AnySettings(Settings, extra="ignore"):
    """The settings every party has; a party's own are of no interest here."""


def reason_not_ready(host: str, port: int) -> str | None:
    """None if the lab port there says ready, else why not."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(4096).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host}:{port} ({type(error).__name__})"
    finally:
        connection.close()
    return None if answer.status == http.HTTPStatus.OK else said


def main() -> None:
    """Ask, say, and end with the exit code."""
    settings = load_settings(AnySettings)
    reason = reason_not_ready(settings.lab.host, settings.lab.port)
    if reason is not None:
        sys.stdout.write(f"{reason}\n")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
