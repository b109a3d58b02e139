"""Alerts that devices never meant: security alerts, and the outcome of a supplier's dated command.

A security alert (message code 0x1000) is passed on to whoever is responsible for the device; the
alert of a dated command changes the broker's record. Both come unasked, from anybody on the WAN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from gbcs.codes import AlertCode, Cra, MessageCode
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.alerts import GenericAlert, encode_generic_alert
from gbcs.protect import sign
from probe.attacks.lying_devices import DEVICE, bit, others_mac, post_message
from probe.attacks.making import attack
from probe.forge.device_messages import FAILURE, SUCCESS, Said
from probe.forge.gbcs import device_keys
from probe.forge.services import Command, Request, meter, other_meter, sent
from probe.forge.xml import in_days
from probe.model import BROKER_CHECKS, Attack, Rung
from probe.result import Seen, Stop
from probe.world import World
from services.chassis.time.clock import SystemClock

NOBODY = "0253494ddddddddd"
CRITICAL = int(MessageCode.GENERIC_CRITICAL_ALERT)
FAILED_SOURCE = int(AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE)


@dataclass(frozen=True)
class Alert:
    """A security alert in the making; what is not changed is honest.

    Attributes:
        code: the alert code.
        signer: whose key signs; the device's own, unless named.
        header: grouping header fields other than the honest ones.
        payload: other octets for a payload.
        after: a change of the finished message.
    """

    code: int = FAILED_SOURCE
    signer: Callable[[World], str] = meter
    header: dict[str, Any] = field(default_factory=dict)
    payload: bytes | None = None
    after: Callable[[World, Message], Message] = lambda _, message: message

    def octets(self, world: World, counter: int = 0) -> bytes:
        """The alert as it is posted."""
        header = GroupingHeader(
            Cra.ALERT, counter or world.next_counter(), meter(world), world.supplier("A").eui,
            OtherInformation(CRITICAL),
        )  # fmt: skip
        given = {k: v(world) if callable(v) else v for k, v in self.header.items()}
        payload = self.payload
        if payload is None:
            moment: datetime = SystemClock().now().replace(microsecond=0)
            payload = encode_generic_alert(GenericAlert.at(self.code, moment, header.counter))
        signer = device_keys(world).signer(self.signer(world))
        message = sign(Message(replace(header, **given), payload, signature=b""), signer.sign)
        return encode(self.after(world, message))


SECURITY: tuple[tuple[str, str, Alert, str], ...] = (
    ("garbage", "an alert whose payload is none", Alert(payload=b"\x05\x00"), "decode"),
    ("invoke-id", "an alert whose invoke-id is of another counter",
     Alert(payload=encode_generic_alert(
         GenericAlert.at(FAILED_SOURCE, datetime(2026, 1, 1, tzinfo=UTC), 0))), "decode"),
    ("response", "an alert under the flag of a response", Alert(header={"cra": Cra.RESPONSE}),
     "decode"),
    ("nobody", "an alert of a device that nobody has",
     Alert(header={"originator": NOBODY}, signer=lambda _: NOBODY), "device"),
    ("signed-by-other", "an alert with another device's signature", Alert(signer=other_meter),
     "signature"),
    ("signature-bit", "an alert with one bit of its signature changed", Alert(after=bit),
     "signature"),
    ("with-mac", "an alert with a MAC where none belongs", Alert(after=others_mac),
     "signature"),
    ("code", "an alert that is no security alert", Alert(code=SUCCESS), "code"),
    ("to-other", "an alert to a supplier that is not the device's",
     Alert(header={"recipient": lambda w: w.supplier("B").eui}), "recipient"),
)  # fmt: skip

DATED: tuple[tuple[str, str, Said, str], ...] = (
    ("with-mac", "with a MAC where none belongs", Said(alert=SUCCESS, after=others_mac),
     "header"),
    ("signed-by-other", "with another device's signature", Said(alert=SUCCESS), "signature"),
    ("signature-bit", "with one bit of its signature changed", Said(alert=SUCCESS, after=bit),
     "signature"),
    ("code", "that says it failed, about a success", Said(alert=FAILURE), "outcome"),
    ("date", "about another date", Said(alert=SUCCESS, executed_at="20300101000000Z"),
     "outcome"),
    ("cells", "without its cells",
     Said(alert=SUCCESS, outcome=lambda o: replace(o, outcomes=())), "outcome"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, alert, check in SECURITY:
        yield alarm(name, title, posting(alert), f"device_alert.{check}")
    yield alarm("replayed", "an alert that is older than its last", older,
                "device_alert.counter")  # fmt: skip
    yield alarm("flood", "more alerts than one device has to say in an hour", flood,
                "device_alert.rate")  # fmt: skip
    for name, title, said, check in DATED:
        yield alarm(f"dated.{name}", f"an alert about a dated command of its supplier's, {title}",
                    about_dated(said, by_other=name == "signed-by-other"),
                    f"credentials_alert.{check}")  # fmt: skip
    yield alarm("dated.older", "an alert about a dated command, older than its last", older_dated,
                "credentials_alert.counter")  # fmt: skip


def flood(world: World) -> Seen:
    """Authentic alerts, 150 in a row. What is too many is taken, and goes nowhere."""
    world.afterwards(lambda: world.lab("acb", "POST", "/lab/reset"))
    said = [Alert().octets(world) for _ in range(150)]
    for octets in said:
        seen = post_message(world, octets)
        if seen.stopped_by is not None:
            return seen
    told = world.lab("acb", "GET", f"/lab/trace/{decode(said[-1]).reference}")["entries"]
    dropped = [entry for entry in told if entry["kind"] == "dropped"]
    if dropped:
        check, _, why = str(dropped[-1]["summary"]).partition(": ")
        return Seen(Stop("acb", check), why)
    return Seen(None, "all of it was passed on")


def alarm(name: str, title: str, act: Callable[[World], Seen], check: str) -> Attack:
    """An alert posted where devices report."""
    return attack(f"alert.{name}", f"Where devices report: {title}", Rung.ONE_PARTY, BROKER_CHECKS,
                  DEVICE, act, Stop("acb", f"acb.{check}"), "device", "lying")  # fmt: skip


def posting(alert: Alert) -> Callable[[World], Seen]:
    """Post it."""
    return lambda world: post_message(world, alert.octets(world))


def older(world: World) -> Seen:
    """A second alert of one code, with a counter below the first's."""
    counter = world.next_counter()
    first = post_message(world, Alert().octets(world, counter))
    if first.stopped_by is not None:
        raise ValueError(f"the honest alert was refused: {first}")
    world.mark()
    return post_message(world, Alert().octets(world, counter - 1))


def dated(world: World) -> Message:
    """A command of supplier A that its device keeps for its date."""
    at = f"{in_days(world, 3):%Y%m%d%H%M%SZ}"
    kept: list[Message] = []

    def keep(_: World, message: Message) -> bytes:
        kept.append(message)
        return encode(message)

    octets = Command(fields={"execution_date_time": at}, finish=keep).octets
    seen = Request(("6.15.1", 5), sent(octets)).act(world)
    if seen.stopped_by is not None:
        raise ValueError(f"the dated command was refused: {seen}")
    return kept[-1]


def about_dated(said: Said, *, by_other: bool = False) -> Callable[[World], Seen]:
    """Post an alert about a command that waits for its date."""

    def act(world: World) -> Seen:
        command = dated(world)
        world.mark()
        words = said.but(signer=other_meter(world)) if by_other else said
        return post_message(world, encode(words.to(world, command)))

    return act


def older_dated(world: World) -> Seen:
    """Two dated commands one after the other, and the older alert counter for the second."""
    first = Said(alert=SUCCESS).to(world, dated(world))
    seen = post_message(world, encode(first))
    if seen.stopped_by is not None:
        raise ValueError(f"the honest alert was refused: {seen}")
    command = dated(world)
    world.mark()
    older_one = Said(alert=SUCCESS, header={"counter": first.header.counter - 1})
    return post_message(world, encode(older_one.to(world, command)))
