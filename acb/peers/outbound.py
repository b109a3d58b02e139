"""What the broker sends to others: to CoS Parties, to devices over the WAN, to users.

These classes carry and report; they decide nothing. Whatever they bring back goes through the
broker's checks before it has any effect.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from services.chassis.web.http import Http, NoAnswer, post
from services.link.sources import LinkCall

OCTETS = "application/octet-stream"
XML = "application/xml"

LONGEST_ANSWER: Final = 256 * 1024
"""Octets read of what a device or a user answers; as long as what either may send unasked."""

DEVICE_RESPONSE = "device-response"
DEVICE_ALERT = "device-alert"

_AGREED: Final = {"version", "transaction", "signed_command", "originator", "counter"}
"""Members of every answer to `cos-command`; `displaces` is there only if there is something."""


class Unreachable(Exception):  # noqa: N818 - says what happened to the other side
    """Nobody answered, or not in a way that settles anything. Worth trying again."""


class AnswerUnusable(Exception):  # noqa: N818 - a verdict on an answer
    """A verified answer whose body is not what this purpose is answered with."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What a CoS Party answered to a service request.

    Attributes:
        command: the octets of the signed command.
        displaces: requests whose waiting changes it lawfully takes the place of.
    """

    command: bytes
    displaces: tuple[str, ...] = ()


class CosPartyLink:
    """One CoS Party, over the signed link."""

    def __init__(self, link: LinkCall) -> None:
        self._link = link

    async def have_signed(self, transaction: str, service_request: bytes) -> Returned:
        """Have the CoS Party check the supplier's own document and sign the command it asks for.

        The transaction is also the message identifier: asked again, the CoS Party gives the
        answer it gave before, so a crash on either side never leads to a second command.

        Returns:
            The signed command: octets that nobody here has looked at. Originator and counter,
            which the answer names beside it, are for people; what counts is under the signature.
            Beside it, what the answer says of whose place the command takes.

        Raises:
            services.link.errors.LinkCallError: refused, or no settled answer.
            AnswerUnusable: the answer is authentic but not an answer to this.
        """
        answer = await self._link.call(
            "/link/cos-command",
            "cos-command",
            transaction,
            {
                "version": 1,
                "transaction": transaction,
                "service_request": _text(service_request),
            },
        )
        body = answer.body
        if set(body) - {"displaces"} != _AGREED:
            raise AnswerUnusable("the answer has other members than agreed")
        if body["version"] != 1 or body["transaction"] != transaction:
            raise AnswerUnusable("the answer is about another transaction")
        return Returned(_octets(body["signed_command"]), _names(body.get("displaces", [])))

    async def forward(self, purpose: str, transaction: str, message: bytes) -> dict[str, Any]:
        """Give the CoS Party what the device sent to it; returns the verified answer.

        Raises:
            services.link.errors.LinkCallError: refused, or no settled answer.
        """
        answer = await self._link.call(
            f"/link/{purpose}",
            purpose,
            f"{transaction}.{purpose}.{hashlib.sha256(message).hexdigest()[:16]}",
            {"version": 1, "transaction": transaction, "message": _text(message)},
        )
        return dict(answer.body)


class Wan:
    """The network that devices are reached by: octets in, octets or no answer out."""

    def __init__(self, http: Http, base_url: str, seconds: float = 10.0) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._seconds = seconds

    async def deliver(self, device: str, command: bytes) -> bytes | None:
        """Send a command; the device's response, or None if it does not answer.

        Raises:
            Unreachable: the network or the device could not be reached.
        """
        url = f"{self._base_url}/devices/{device}/messages"
        try:
            status, answer = await post(
                self._http, url, command, OCTETS, seconds=self._seconds, longest=LONGEST_ANSWER
            )
        except NoAnswer as error:
            raise Unreachable(f"the WAN: {type(error).__name__}") from error
        if status == 204:
            return None
        if status != 200:
            raise Unreachable(f"the WAN answered {status}")
        if answer is None:
            raise Unreachable(f"the WAN answered more than {LONGEST_ANSWER} octets, or in a coding")
        return answer


class Users:
    """The users' own services that receive responses and alerts."""

    def __init__(self, http: Http, seconds: float = 5.0) -> None:
        self._http = http
        self._seconds = seconds

    async def deliver(self, url: str, document: bytes) -> None:
        """Hand a signed document to a user.

        Raises:
            Unreachable: it was not taken.
        """
        try:
            status, _ = await post(
                self._http, url, document, XML, seconds=self._seconds, longest=LONGEST_ANSWER
            )
        except NoAnswer as error:
            raise Unreachable(f"the user: {type(error).__name__}") from error
        if not 200 <= status < 300:
            raise Unreachable(f"the user answered {status}")


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise AnswerUnusable("what the command displaces is not a list of request identifiers")
    return tuple(value)


def _octets(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except (binascii.Error, ValueError):
        raise AnswerUnusable("the command is not in base64") from None
