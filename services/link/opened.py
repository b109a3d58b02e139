"""`Opened`: a request that was verified. Only a complete, approved run of the checks makes one.

A handler that takes an `Opened` cannot be reached by bytes nobody checked, whichever way the
routes are put together.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from services.chassis.checks import Approved, Verdict
from services.chassis.data.connection import StoreConnection
from services.chassis.web.problems import Problem
from services.link.checks import REQUEST_SECTION
from services.link.envelope import Envelope
from services.link.wire import profile

M = TypeVar("M", bound=BaseModel)

Remember = Callable[[StoreConnection, bytes], Awaitable[None]]


class Opened:
    """A verified request.

    Attributes:
        sender: The system whose key signed it.
        purpose: What it is for, one of the purposes that system has here.
        message_id: The sender's identifier of the message.
        body: The exact octets that were signed.
        received_at: When it arrived, transport time.
        evidence: Number of the audit entry with the exact signed bytes.
        verdicts: What each check of the link said, for the party's trace.
    """

    __slots__ = (
        "_remember",
        "_remembered",
        "body",
        "evidence",
        "message_id",
        "purpose",
        "received_at",
        "sender",
        "verdicts",
    )

    sender: str
    purpose: str
    message_id: str
    body: bytes
    received_at: datetime
    evidence: int
    verdicts: tuple[Verdict, ...]
    _remember: Remember
    _remembered: list[bytes]

    def __init__(
        self,
        approved: Approved[Envelope],
        *,
        evidence: int,
        remember: Remember,
    ) -> None:
        # whatever a caller says that it is
        if not isinstance(approved, Approved) or approved.section != REQUEST_SECTION:  # type: ignore[redundant-expr]
            raise TypeError("an Opened comes only from an approved run of the link's checks")
        values = {
            "sender": approved.evidence.key.system,
            "purpose": approved.evidence.header(profile.PURPOSE),
            "message_id": approved.evidence.header(profile.MESSAGE_ID),
            "body": approved.evidence.message.body,
            "received_at": approved.evidence.now,
            "evidence": evidence,
            "verdicts": approved.verdicts,
            "_remember": remember,
            "_remembered": [],
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse any change."""
        raise AttributeError("an Opened cannot be changed")

    def __init_subclass__(cls) -> None:
        """Refuse any other kind of it."""
        raise TypeError("an Opened cannot be subclassed")

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or stored."""
        raise TypeError("an Opened cannot be copied or stored")

    def __repr__(self) -> str:
        """Who sent what, without the body."""
        return f"Opened({self.sender}, {self.purpose}, {self.message_id})"

    def read(self, model: type[M]) -> M:
        """The body as a value of a strict model.

        Raises:
            Problem: 422, naming the first member that does not fit, never its value.
        """
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            at = ".".join(str(part) for part in first["loc"]) or "body"
            raise Problem(
                422,
                "The body does not fit what this purpose carries",
                f"{at}: {first['msg']}",
                check="link.request.body",
            ) from None

    async def remember(self, conn: StoreConnection, answer: Mapping[str, Any] | BaseModel) -> None:
        """Keep the answer in the transaction of its effect, so that a crash cannot part them.

        A request repeated after that gets this answer and no handler runs. Without it the answer
        is kept after the handler returns, and a crash in between makes the handler run again.
        """
        body = encode_answer(answer)
        await self._remember(conn, body)
        self._remembered[:] = [body]

    @property
    def remembered(self) -> bytes | None:
        """The answer kept by `remember`, if it was called."""
        return self._remembered[0] if self._remembered else None


def encode_answer(answer: Mapping[str, Any] | BaseModel) -> bytes:
    """An answer as JSON octets, compact."""
    plain = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else dict(answer)
    return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
