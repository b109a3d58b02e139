"""HTTP with the standard library, so that nothing is installed beside the project under test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPErrorProcessor, ProxyHandler, Request, build_opener

from pytest_cos_stack.errors import CosError, RefusedError

LONG_POLL = 20  # seconds that one question may wait at the service
TIMEOUT = LONG_POLL + 10.0  # seconds


class _AnyStatus(HTTPErrorProcessor):
    """Gives every answer as it is: a refusal is no error here, and nobody is sent elsewhere."""

    def http_response(self, request: Request, response: Any) -> Any:
        del request
        return response

    https_response = http_response


_OPENER = build_opener(_AnyStatus, ProxyHandler({}))
"""A stack is near: no proxy of the environment's."""


@dataclass(frozen=True)
class Answer:
    """What a system answered: status, headers by lower-case name, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def call(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request and read the whole answer, whatever its status.

    Raises:
        CosError: no answer came.
    """
    request = Request(url, data=body, headers=dict(headers or {}), method=method)  # noqa: S310 - checked to be http where it is read
    try:
        with _OPENER.open(request, timeout=TIMEOUT) as got:
            return Answer(got.status, {k.lower(): v for k, v in got.headers.items()}, got.read())
    except (URLError, OSError, HTTPException) as error:
        # not from the error: what is no HTTP it quotes as it came, and pytest would print that
        raise CosError(f"{url} cannot be reached: {error}") from None


def told_by(party: str, answer: Answer) -> Any:
    """The JSON of an answer; None where it has no body.

    Raises:
        RefusedError: the system refused.
        CosError: what it answered is no JSON.
    """
    try:
        told = json.loads(answer.body) if answer.body else None
    except ValueError:
        raise CosError(f"{party} answered {answer.status}, and not in JSON") from None
    if answer.status < 400:
        return told
    problem = told if isinstance(told, dict) else {}
    why = str(problem.get("detail") or problem.get("title") or f"status {answer.status}")
    raise RefusedError(str(problem.get("party") or party), problem.get("check"), answer.status, why)
