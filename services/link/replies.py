"""Answers as they leave: always signed, bound to the request wherever that can be done."""

from __future__ import annotations

from typing import Any, Final

from services.chassis.checks import Refused
from services.chassis.log import note
from services.chassis.time.clock import Clock
from services.chassis.web.problems import Problem
from services.link.errors import BaseError
from services.link.identity import LinkIdentity
from services.link.opened import encode_answer
from services.link.wire.message import HttpRequest, HttpResponse
from services.link.wire.signing import sign_refusal, sign_response

MAX_DETAIL: Final = 200
"""Characters of a refusal's detail that an evidence entry keeps."""


class Replies:
    """What one party answers with."""

    def __init__(self, identity: LinkIdentity, clock: Clock, party: str) -> None:
        self._identity = identity
        self._clock = clock
        self.party = party

    def document(self, problem: Problem, request: HttpRequest) -> bytes:
        """A problem document as octets; it always names a party."""
        problem.party = problem.party or self.party
        if problem.check is not None:
            note(verdict="refused", check=problem.check)
        return encode_answer(problem.document(request.path))

    def signed(self, request: HttpRequest, status: int, body: bytes) -> HttpResponse:
        """A signed response: bound to the request, or a bare refusal where nothing can be bound."""
        stamp = self._identity.stamp(self._clock)
        try:
            return sign_response(
                request,
                status,
                body,
                sender=self._identity.system,
                stamp=stamp,
                sign=self._identity.sign,
            )
        except BaseError:
            return sign_refusal(status, body, self._identity.system, stamp, self._identity.sign)


def verdict_of(refused: Refused) -> dict[str, Any]:
    """What an evidence entry says of a refusal. A stranger's words in it are kept short."""
    return {"check": refused.check, "detail": refused.detail[:MAX_DETAIL]}
