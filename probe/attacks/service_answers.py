"""Devices that lie about the other services: what the broker makes of their answers.

The commands are honest: the supplier asks for what is its own. The bench answers in the device's
place, with the device's keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from duis.model import RemotePartyRole as Named
from duis.model import SignedPreCommand
from gbcs.codes import Cra, RemotePartyRole, StatusCode
from gbcs.message import GroupingHeader, Message, encode
from gbcs.payloads.details import RoleDetails
from gbcs.payloads.device_certificates import (
    CertificateReadResponse,
    encode_certificate_read_response,
)
from gbcs.protect import sign
from probe.attacks.lying_devices import DEVICE, FakeDevice
from probe.attacks.making import attack_row
from probe.forge.device_messages import Reply, details_of, secret_of
from probe.forge.gbcs import device_keys
from probe.forge.services import READ_OWN, Command, Request, details, other_meter, own, read_key
from probe.model import BETWEEN, BROKER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import World

Says = Callable[[World, Message], bytes]


def silent(_w: World, _m: Message) -> bytes:
    """Nothing."""
    return b""


def said(words: Reply) -> Says:
    """An answer to a CS02b command."""
    return lambda world, command: encode(words.to(world, command))


def told(**changes: Any) -> Says:
    """An answer to CS02a."""
    return lambda world, question: details_of(world, question, **changes)


def others_secret(world: World, question: Message) -> bytes:
    """Another device answers CS02a for it."""
    return details_of(world, question, secret=secret_of(world, other_meter(world)))


def own_key(payload: bytes | None = None, signer: Callable[[World], str] | None = None,
            counter_by: int = 0) -> Says:  # fmt: skip
    """An answer to CS02e: honest, but for what is changed."""

    def says(world: World, command: Message) -> bytes:
        asked = command.header
        head = GroupingHeader(
            Cra.RESPONSE, asked.counter + counter_by, asked.recipient, asked.originator,
            asked.other,
        )  # fmt: skip
        held = world.device_certificate(asked.recipient, "digital-signing")
        honest = encode_certificate_read_response(CertificateReadResponse(held.der))
        message = Message(head, honest if payload is None else payload, b"")
        key = device_keys(world).signer(asked.recipient if signer is None else signer(world))
        return encode(sign(message, key.sign))

    return says


NETWORK = (RoleDetails(RemotePartyRole.NETWORK_OPERATOR, StatusCode.TRUST_ANCHOR_NOT_FOUND),)
FEWER = Reply(outcome=lambda o: replace(o, outcomes=()))

READ_DETAILS = Request(("6.24.1", 1), details(Named.SUPPLIER))
READ_KEY = Request(("6.24.2", 5), lambda w: SignedPreCommand(own(READ_OWN, read_key)(w)))
UPDATE = Request(("6.15.1", 5), lambda w: SignedPreCommand(Command().octets(w)))

TABLE: tuple[tuple[str, str, Request, Says, str], ...] = (
    ("details.silent", "is silent when it is asked for credentials", READ_DETAILS, silent,
     "details_answer.received"),
    ("details.cut", "tells of its credentials, cut short", READ_DETAILS,
     told(after=lambda o: o[:-20]), "details_answer.decode"),
    ("details.other-question", "tells of its credentials in answer to another question",
     READ_DETAILS, told(counter_by=1), "details_answer.header"),
    ("details.other-device", "has another device tell of its credentials", READ_DETAILS,
     others_secret, "details_answer.mac"),
    ("details.other-role", "tells of another role", READ_DETAILS, told(roles=NETWORK),
     "details_answer.roles"),
    ("update.silent", "is silent to its supplier's command", UPDATE, silent, "answer.received"),
    ("update.garbage", "answers its supplier's command with a payload that is none", UPDATE,
     said(Reply(payload=b"\x05\x00")), "answer.decode"),
    ("update.replayed", "answers another command of its supplier's", UPDATE,
     said(Reply(counter_by=1)), "answer.header"),
    ("update.other-device", "has another device sign what it answers", UPDATE,
     lambda w, c: encode(Reply(signer=other_meter(w)).to(w, c)), "answer.signature"),
    ("update.other-cells", "answers its supplier's command without its cells", UPDATE,
     said(FEWER), "answer.outcome"),
    ("own.silent", "is silent when it is asked for its certificate", READ_KEY, silent,
     "device_answer.received"),
    ("own.garbage", "says what is no certificate", READ_KEY, own_key(payload=b"\x05\x00"),
     "device_answer.decode"),
    ("own.replayed", "answers another question for its certificate", READ_KEY,
     own_key(counter_by=1), "device_answer.header"),
    ("own.other-device", "has another device sign its certificate's answer", READ_KEY,
     own_key(signer=other_meter), "device_answer.signature"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, request, says, check in TABLE:
        yield attack_row(
            f"service-answer.{name}", f"A device {title}", Rung.ONE_PARTY, BROKER_CHECKS, DEVICE,
            answering(request, says), Refusal("acb", f"acb.{check}"), "service", "device", "lying",
            BETWEEN,
        )  # fmt: skip


def answering(request: Request, says: Says) -> Callable[[World], Observed]:
    """A request, and a device that answers so."""

    def act(world: World) -> Observed:
        def speak(command: Message) -> bytes:
            return says(world, command)

        liar = FakeDevice(world, speak, speak)
        with world.between.script("acb", "meter_sim", request=liar.request):
            seen = replace(request, ask_meter=False).act(world)
        if not liar.heard:
            raise ValueError(f"the device heard nothing: {seen}")
        return seen

    return act
