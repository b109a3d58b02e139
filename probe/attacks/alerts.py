"""Alerts that devices never meant: security alerts, and the outcome of a supplier's dated command.

A security alert (message code 0x1000) is passed on to whoever is responsible for the device; the
alert of a dated command changes the broker's record. Both come unasked, from anybody on the WAN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gbcs.codes import AlertCode, Cra, MessageCode
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.alerts import GenericAlert, encode_generic_alert
from gbcs.protect import sign
from probe.attacks.lying_devices import DEVICE, bit, others_mac, post_message
from probe.attacks.making import attack, attack_row
from probe.forge.device_messages import FAILURE, SUCCESS, Reply
from probe.forge.gbcs import device_keys
from probe.forge.services import Command, Request, meter, other_meter, sent
from probe.forge.xml import in_days
from probe.model import BROKER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
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

DATED: tuple[tuple[str, str, Reply, str], ...] = (
    ("with-mac", "with a MAC where none belongs", Reply(alert=SUCCESS, after=others_mac),
     "header"),
    ("signed-by-other", "with another device's signature", Reply(alert=SUCCESS), "signature"),
    ("signature-bit", "with one bit of its signature changed", Reply(alert=SUCCESS, after=bit),
     "signature"),
    ("code", "that says it failed, about a success", Reply(alert=FAILURE), "outcome"),
    ("date", "about another date", Reply(alert=SUCCESS, executed_at="20300101000000Z"),
     "outcome"),
    ("cells", "without its cells",
     Reply(alert=SUCCESS, outcome=lambda o: replace(o, outcomes=())), "outcome"),
)  # fmt: skip


alarm = partial(
    attack, rung=Rung.ONE_PARTY, requirement=BROKER_CHECKS, holds=DEVICE, tags=("device", "lying"),
    prepares=True,
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Security alerts, and alerts about a dated command, posted where devices report."""
    dated_ones = [
        (f"dated.{name}", f"an alert about a dated command of its supplier's, {title}",
         about_dated(said, by_other=name == "signed-by-other"), f"credentials_alert.{check}")
        for name, title, said, check in DATED
    ]  # fmt: skip
    for name, title, act, check in (
        *((name, title, posting(alert), f"device_alert.{check}")
          for name, title, alert, check in SECURITY),
        *dated_ones,
    ):  # fmt: skip
        yield attack_row(
            f"alert.{name}", f"Where devices report: {title}", Rung.ONE_PARTY, BROKER_CHECKS,
            DEVICE, act, Refusal("acb", f"acb.{check}"), "device", "lying",
            prepares=name.startswith("dated."),
        )  # fmt: skip


@alarm("alert.flood", check="acb.device_alert.rate")
def flood(world: World) -> Observed:
    """Where devices report: more alerts than one device has to say in an hour.

    Authentic ones, 150 in a row. What is too many is taken, and goes nowhere.
    """
    world.undo_when_restored(lambda: world.lab("acb", "POST", "/lab/reset"))
    said = [Alert().octets(world) for _ in range(150)]
    for octets in said:
        seen = post_message(world, octets)
        if seen.refused_by is not None:
            return seen
    told = world.lab("acb", "GET", f"/lab/trace/{decode(said[-1]).reference}")["entries"]
    dropped = [entry for entry in told if entry["kind"] == "dropped"]
    if dropped:
        check, _, why = str(dropped[-1]["summary"]).partition(": ")
        return Observed(Refusal("acb", check), why)
    return Observed(None, "all of it was passed on")


def posting(alert: Alert) -> Callable[[World], Observed]:
    """Post it."""
    return lambda world: post_message(world, alert.octets(world))


@alarm("alert.replayed", check="acb.device_alert.counter")
def older(world: World) -> Observed:
    """Where devices report: an alert that is older than its last."""
    counter = world.next_counter()
    first = post_message(world, Alert().octets(world, counter))
    if first.refused_by is not None:
        raise ValueError(f"the honest alert was refused: {first}")
    world.compare_from_here()
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
    if seen.refused_by is not None:
        raise ValueError(f"the dated command was refused: {seen}")
    return kept[-1]


def about_dated(said: Reply, *, by_other: bool = False) -> Callable[[World], Observed]:
    """Post an alert about a command that waits for its date."""

    def act(world: World) -> Observed:
        command = dated(world)
        world.compare_from_here()
        words = said.but(signer=other_meter(world)) if by_other else said
        return post_message(world, encode(words.to(world, command)))

    return act


@alarm("alert.dated.older", check="acb.credentials_alert.counter")
def older_dated(world: World) -> Observed:
    """Where devices report: an alert about a dated command, older than its last."""
    first = Reply(alert=SUCCESS).to(world, dated(world))
    seen = post_message(world, encode(first))
    if seen.refused_by is not None:
        raise ValueError(f"the honest alert was refused: {seen}")
    command = dated(world)
    world.compare_from_here()
    older_one = Reply(alert=SUCCESS, header={"counter": first.header.counter - 1})
    return post_message(world, encode(older_one.to(world, command)))
