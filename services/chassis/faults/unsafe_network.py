"""What carries out the faults that are armed: the only code here that harms a message.

It is asked only while a fault is armed (`services.chassis.faults.board`), stands between a party
and the wire in both directions, and knows messages as octets: HTTP method, path, headers, body. It
judges nothing; whether harm is noticed, and by which check, is for the parties to show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from services.chassis.data.canonical import canonical
from services.chassis.faults.board import Armed, Faults
from services.chassis.faults.exchange import ExchangeFacts, Pairs
from services.chassis.faults.messages import Answer, Asked
from services.chassis.faults.orders import Claim, Kind, Part

PROBLEM: Final = b"application/problem+json"


Ask = Callable[[Asked], Awaitable[Answer]]


class Lost(Exception):  # noqa: N818 - what happened to the message
    """A message was lost on purpose: whoever waits for an answer sees the connection close."""


class UnsafeNetwork:
    """Stands between a party and the wire while faults are armed."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def carry(
        self, exchange: ExchangeFacts, asked: Asked, ask: Ask, patience: float | None = None
    ) -> Answer:
        """One exchange: the request there and the answer back, with what befalls them.

        Args:
            exchange: what faults are addressed by.
            asked: the request.
            ask: brings a request to its end and its answer back. May be called twice.
            patience: how long whoever asks would wait for a message that is held, seconds.

        Raises:
            Lost: nothing comes back.
            TimeoutError: whoever asks has stopped waiting; the message is lost.
        """
        fault = await self._faults.struck(Part.REQUEST, exchange)
        if fault is not None:
            answered = _instead(fault)
            if answered is not None:
                return answered
            asked = await self._harmed(fault, asked, patience)
        answer = await ask(asked)
        if fault is not None and fault.order.kind is Kind.DUPLICATE:
            with suppress(Exception):  # nobody waits for the second answer, whatever it is
                await ask(asked)
        self._faults.passed(Part.REQUEST, exchange)
        true = answer
        fault = await self._faults.struck(Part.ANSWER, exchange)
        if fault is not None:
            answer = await self._answered(fault, exchange, asked, answer, patience)
        self._faults.keep(exchange, true)
        self._faults.passed(Part.ANSWER, exchange)
        return answer

    async def _harmed(self, fault: Armed, asked: Asked, patience: float | None) -> Asked:
        """What is left of a request."""
        kind = fault.order.kind
        if kind in (Kind.DELAY, Kind.REORDER):
            await self._faults.hold(fault, patience)
        elif kind in (Kind.BIT_FLIP, Kind.TRUNCATE):
            body = fault.order.spoiled(asked.body, fault.fired)
            if body != asked.body:
                return replace(asked, body=body, headers=sized(asked.headers, body))
        elif kind is Kind.OLD_KEY and self._faults.resigner is not None:
            own = fault.order.claims is not Claim.OLD
            return self._faults.resigner.request(asked, claims_own=own)
        return asked

    async def _answered(
        self,
        fault: Armed,
        exchange: ExchangeFacts,
        asked: Asked,
        answer: Answer,
        patience: float | None,
    ) -> Answer:
        """What is left of an answer."""
        kind = fault.order.kind
        if kind is Kind.STALE_ANSWER:
            return fault.previous[exchange.route]
        if kind in (Kind.DELAY, Kind.REORDER):
            await self._faults.hold(fault, patience)
            return answer
        if kind is Kind.OLD_KEY and self._faults.resigner is not None:
            own = fault.order.claims is not Claim.OLD
            return self._faults.resigner.answer(asked, answer, claims_own=own)
        instead = _instead(fault)
        if instead is not None:
            return instead
        body = fault.order.spoiled(answer.body, fault.fired)
        if body == answer.body:  # nothing to spoil: an answer without a body stays one
            return answer
        return replace(answer, body=body, headers=sized(answer.headers, body))


def _instead(fault: Armed) -> Answer | None:
    """What comes back in place of the other side's answer; None if that one is to be asked.

    Raises:
        Lost: nothing does.
    """
    if fault.order.kind is Kind.DROP:
        raise Lost(fault.id)
    if fault.order.kind is not Kind.STATUS:
        return None
    status = HTTPStatus(fault.order.status or HTTPStatus.SERVICE_UNAVAILABLE)
    problem = {"type": "about:blank", "title": status.phrase, "status": int(status)}
    body = canonical(problem).encode()
    return Answer(int(status), sized(((b"content-type", PROBLEM),), body), body)


def sized(headers: Pairs, body: bytes) -> Pairs:
    """Headers that say how long the body is now, so that it arrives as a whole message."""
    kept = [(name, value) for name, value in headers if name.lower() != b"content-length"]
    return (*kept, (b"content-length", str(len(body)).encode()))
