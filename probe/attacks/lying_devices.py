"""Devices that lie in their answers: to the broker, and to the CoS Party that signed the command.

The device holds its own keys, and on the WAN it says what it likes (the bench answers in its
place, so that the true device hears nothing). What it can do that way to itself is its own affair;
what must not happen is that anybody's record changes by what it cannot have done, or by what is
another device's, another command's, or nobody's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from gbcs.codes import AlertCode, Cra, KeyUsage, MessageCode, RemotePartyRole, StatusCode
from gbcs.errors import GbcsError
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import CellId, CellOutcome, CredentialsOutcome, SeqNumberChange
from gbcs.payloads.details import ReadCredentials, RoleDetails, encode_read
from gbcs.protect import add_mac
from probe.attacks.making import attack_row
from probe.forge.device_messages import FAILURE, SUCCESS, Reply, details_of, secret_of
from probe.forge.gbcs import Forge
from probe.forge.link import LinkForge, command_body, deliver, send
from probe.forge.xml import Document, honest, in_days
from probe.model import BETWEEN, BROKER_CHECKS, METER_CHECKS, Attack, Rung
from probe.result import Observed, Refusal
from probe.world import COS, World
from tamper.exchange import Exchange

DEVICE = "every key of one device"
SIGNED = frozenset({"signed"})
"""The CoS Party is honest and has signed before the device says anything."""
CHANGE = int(MessageCode.SUPPLIER_BY_TRANS_COS)
READ = int(MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS)
BROKER_CELL = CellId(RemotePartyRole.ACCESS_CONTROL_BROKER, KeyUsage.KEY_AGREEMENT)
OCTETS = "application/octet-stream"


def cell(change: Callable[[CellOutcome], CellOutcome]) -> Callable[[CredentialsOutcome], Any]:
    """The first cell's outcome changed."""
    return lambda o: replace(o, outcomes=(change(o.outcomes[0]), *o.outcomes[1:]))


def others_mac(world: World, message: Message) -> Message:
    """A MAC of the device and the broker beside the signature."""
    return add_mac(message, secret_of(world, message.header.originator))


def bit(_: World, message: Message) -> Message:
    """One bit of the signature changed."""
    signature = message.signature or b""
    return replace(message, signature=signature[:-1] + bytes((signature[-1] ^ 1,)))


def unsigned(_: World, message: Message) -> Message:
    """No signature."""
    return replace(message, signature=b"")


FAILED = cell(lambda c: replace(c, status=StatusCode.BAD_CERTIFICATE))
OTHER_KEY = cell(lambda c: replace(c, replacing_key_id=bytes(8)))
Change = Callable[[World, str], Reply]


def fixed(said: Reply) -> Change:
    """The same whoever is asked."""
    return lambda _w, _p: said


OTHER_INSIDE = fixed(
    Reply(outcome=lambda o: replace(o, authorising_counter=o.authorising_counter + 1))
)


def of_other(world: World, party: str) -> str:
    """The other CoS Party's meter."""
    return world.meter(next(p for p in COS.values() if p != party))


def other_party(party: str) -> str:
    """The other CoS Party."""
    return next(p for p in COS.values() if p != party)


ANSWERS: tuple[tuple[str, str, Change, str], ...] = (
    ("garbage", "a payload that is none", fixed(Reply(payload=b"\x05\x00")), "decode"),
    ("other-device", "as another device, which signs it",
     lambda w, p: Reply(signer=of_other(w, p), header={"originator": of_other(w, p)}),
     "originator"),
    ("to-other", "to the other CoS Party",
     lambda w, p: Reply(header={"recipient": w.eui(other_party(p))}), "recipient"),
    ("replayed", "to another command", fixed(Reply(counter_by=1)),
     "counter"),
    ("signed-by-other", "with another device's signature",
     lambda w, p: Reply(signer=of_other(w, p)), "signature"),
    ("signature-bit", "with one bit of the signature changed", fixed(Reply(after=bit)),
     "signature"),
    ("unsigned", "without a signature", fixed(Reply(after=unsigned)), "signature"),
    ("no-outcome", "that it only accepted, at once", fixed(Reply(bare=True)), "outcome"),
    ("failed-holds-new", "that a cell failed and holds the new certificate all the same",
     fixed(Reply(outcome=FAILED)), "outcome"),
    ("holds-other", "that a cell succeeded and holds another certificate",
     fixed(Reply(outcome=OTHER_KEY)), "outcome"),
    ("fewer-cells", "about one cell fewer",
     fixed(Reply(outcome=lambda o: replace(o, outcomes=o.outcomes[:-1]))), "outcome"),
    ("cell-order", "about the cells in another order",
     fixed(Reply(outcome=lambda o: replace(o, outcomes=o.outcomes[::-1]))), "outcome"),
    ("floor-other", "of a floor that nobody set",
     fixed(Reply(outcome=lambda o: replace(
         o, changes=(SeqNumberChange(RemotePartyRole.NETWORK_OPERATOR, 1),)))), "outcome"),
)  # fmt: skip
"""What a device says to a command, and which check (of broker and CoS Party alike) says no."""

ONLY_ACB: tuple[tuple[str, str, Change, str], ...] = (
    ("with-mac", "with a MAC where none belongs", fixed(Reply(after=others_mac)), "signature"),
    ("other-counter-inside", "of an outcome of another command",
     OTHER_INSIDE, "outcome"),
    ("as-alert", "under the flag of an alert", fixed(Reply(header={"cra": Cra.ALERT})),
     "message_code"),
    ("other-code", "under the message code of mode 6",
     fixed(Reply(header={"other": OtherInformation(0x0106)})), "decode"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, change, check in (*ANSWERS, *ONLY_ACB):
        yield to_broker(name, title, change, f"response.{check}")
    yield from silences()
    yield from unasked()
    for cos, party in COS.items():
        for name, title, change, check in ANSWERS:
            yield to_cos_party(cos, party, name, title, change, check)
        yield to_cos_party(
            cos, party, "other-counter-inside", "of an outcome of another command",
            OTHER_INSIDE, "counter",
        )  # fmt: skip
        yield to_cos_party(
            cos, party, "as-alert", "under the flag of an alert",
            lambda w, _: Reply(header={"cra": Cra.ALERT, "counter": w.next_counter()}),
            "message_code",
        )  # fmt: skip
        yield from alerts(cos, party)
        yield from read_backs(cos, party)


class FakeDevice:
    """The bench in the place of a device: what it says to each kind of command."""

    def __init__(
        self, world: World, to_command: Callable[[Message], bytes],
        to_question: Callable[[Message], bytes] = lambda _: b"",
    ) -> None:  # fmt: skip
        self._world = world
        self._to_command = to_command
        self._to_question = to_question
        self.heard = 0

    def request(self, exchange: Exchange) -> None:
        """One message over the WAN; answered in the device's place, if only by silence."""
        try:
            command = decode(exchange.request.body)
        except GbcsError:
            return
        self.heard += 1
        asked = command.message_code == MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS
        said = self._to_question(command) if asked else self._to_command(command)
        if said:
            exchange.answer(200, said, (("content-type", OCTETS),))
        else:
            exchange.answer(204, b"")


def heard(party: str, liar: Callable[[World], FakeDevice], document: Document = honest) -> (
    Callable[[World], Observed]
):  # fmt: skip
    """An honest change of supplier, at a device that lies about it."""

    def act(world: World) -> Observed:
        device = liar(world)
        with world.between.script("acb", "meter_sim", request=device.request):
            asked = document(world, party)
            seen = world.to_broker(asked, ask_meter=False)
        if not device.heard:
            raise ValueError(f"the device heard nothing: {seen}")
        if seen.refused_by != Refusal("acb", "acb.response.received"):
            return seen
        return not_read_back(world, asked) or seen

    return act


def not_read_back(world: World, document: bytes) -> Observed | None:
    """By which check the broker gave up reading a silent device back, if it did."""
    request_id = document.split(b"RequestID>")[1].split(b"<")[0].decode()
    for entry in world.lab("acb", "GET", f"/lab/trace/{request_id}")["entries"]:
        if str(entry["name"]).startswith("acb.read_back."):
            return Observed(Refusal("acb", entry["name"]), entry.get("summary") or "")
    return None


def to_broker(name: str, title: str, change: Change, check: str) -> Attack:
    """A device that answers the command so."""
    party = "ecos_party"
    return said_to_broker(
        f"device.acb.{name}", f"A device answers the broker {title}",
        lambda w: FakeDevice(w, lambda c: encode(change(w, party).to(w, c))), check,
    )  # fmt: skip


def said_to_broker(
    name: str,
    title: str,
    liar: Callable[[World], FakeDevice],
    check: str,
    document: Document = honest,
) -> Attack:
    """An attack of a device at the broker."""
    return replace(
        attack_row(name, title, Rung.ONE_PARTY, BROKER_CHECKS, DEVICE,
               heard("ecos_party", liar, document), Refusal("acb", f"acb.{check}"), "device",
               "lying", BETWEEN),
        may_change=SIGNED,
    )  # fmt: skip


def silences() -> Iterator[Attack]:
    """A device that is silent, and then lies when it is asked what its cells hold."""

    def silent(_: Message) -> bytes:
        return b""

    def then(**changes: Any) -> Callable[[World], FakeDevice]:
        return lambda w: FakeDevice(w, silent, lambda q: details_of(w, q, **changes))

    def by_other(world: World) -> FakeDevice:
        secret = secret_of(world, of_other(world, "ecos_party"))
        return FakeDevice(world, silent, lambda q: details_of(world, q, secret=secret))

    network = (RoleDetails(RemotePartyRole.NETWORK_OPERATOR, StatusCode.TRUST_ANCHOR_NOT_FOUND),)
    yield said_to_broker(
        "device.acb.silent-dated", "A device is silent to a command with a date",
        lambda w: FakeDevice(w, silent), "response.received",
        lambda w, p: honest(w, p, execution_date_time=in_days(w, 3)),
    )  # fmt: skip
    for name, title, liar, check in (
        ("silent", "is silent, whatever it is asked", lambda w: FakeDevice(w, silent), "received"),
        ("garbage", "is silent, then says what cannot be read",
         then(after=lambda o: o[:-20]), "decode"),
        ("other-question", "is silent, then answers another question",
         then(counter_by=1), "header"),
        ("other-device", "is silent, then another device answers for it", by_other, "mac"),
        ("other-role", "is silent, then tells of another role", then(roles=network), "roles"),
    ):  # fmt: skip
        yield said_to_broker(
            f"device.acb.read-back.{name}", f"A device {title}", liar, f"read_back.{check}"
        )
    yield said_to_broker(
        "device.acb.read-back.unchanged",
        "A device is silent, then says truly that nothing changed", then(), "response.received",
    )  # fmt: skip


def post_message(world: World, octets: bytes, kind: str = OCTETS) -> Observed:
    """Post where devices report."""
    url = f"{world.connection.stack.services['acb'].interface}/device-messages"
    answer = world.send("acb", "POST", url, content=octets, headers={"Content-Type": kind})
    if answer.is_success:
        return Observed(None, "taken")
    problem = answer.json()
    return Observed(Refusal("acb", problem["check"]), problem.get("detail") or "")


def unasked() -> Iterator[Attack]:
    """What anybody can post where devices report."""

    def post(octets: Callable[[World], bytes], kind: str = OCTETS) -> Callable[[World], Observed]:
        return lambda world: post_message(world, octets(world), kind)

    def alert(world: World) -> bytes:
        command = command_heard(world, "ecos_party")
        return encode(Reply(alert=SUCCESS).to(world, command))

    def response(world: World) -> bytes:
        return encode(Reply().to(world, command_heard(world, "ecos_party")))

    for name, title, act, check in (
        ("text", "words where octets belong", post(response, "text/plain"),
         "message.content_type"),
        ("garbage", "octets that are no message", post(lambda _: b"\0" * 40), "response.decode"),
        ("alert", "an alert about a command that the broker never sent", post(alert),
         "response.command"),
        ("response", "a response to a command that the broker never sent", post(response),
         "response.command"),
    ):  # fmt: skip
        rung, holds = (Rung.WIRE, "a place on the WAN") if name in {"text", "garbage"} else (
            Rung.ONE_PARTY, DEVICE)  # fmt: skip
        yield attack_row(f"device.acb.unasked.{name}", f"Where devices report: {title}", rung,
                     BROKER_CHECKS, holds, act, Refusal("acb", f"acb.{check}"), "device",
                     "lying", BETWEEN)  # fmt: skip


def command_heard(world: World, party: str) -> Message:
    """A command that the CoS Party signed for nobody: the broker never saw it."""
    cos = next(name for name, whose in COS.items() if whose == party)
    return Forge(cos, counter=world.next_counter(), mac=False).message(world)


def signed_command(world: World, party: str, document: bytes) -> tuple[str, Message]:
    """A command that the party signs for an honest request, and its transaction."""
    body = command_body(world, party, document)
    status, told = deliver(world, party, LinkForge(to=party, body=body).request(world))
    if status != 200:
        raise ValueError(f"{party} did not sign: {told[:200]!r}")
    answer = json.loads(told)
    return answer["transaction"], decode(base64.b64decode(answer["signed_command"]))


def bring(
    world: World, party: str, transaction: str, message: bytes, purpose: str = "device-response"
) -> Observed:
    """Hand a CoS Party what a device said, with the broker's link key."""
    told = {"version": 1, "transaction": transaction,
            "message": base64.b64encode(message).decode()}  # fmt: skip
    forge = LinkForge(to=party, purpose=purpose, path=f"/link/{purpose}",
                      body=json.dumps(told, separators=(",", ":")).encode())  # fmt: skip
    return send(world, party, forge.request(world))


def read_backs(cos: str, party: str) -> Iterator[Attack]:
    """What a broker may bring as the answer of a silent device; nobody can verify its MAC."""
    network = (RoleDetails(RemotePartyRole.NETWORK_OPERATOR, StatusCode.TRUST_ANCHOR_NOT_FOUND),)

    def brought(*, transaction: str | None = None, **changes: Any) -> Callable[[World], Observed]:
        def act(world: World) -> Observed:
            own, _ = signed_command(world, party, honest(world, party))
            world.compare_from_here()
            asked = Message(
                GroupingHeader(Cra.COMMAND, world.next_counter(), world.eui("acb"),
                               world.meter(party), OtherInformation(READ)),
                encode_read(ReadCredentials(BROKER_CELL, (RemotePartyRole.SUPPLIER,))), b"",
            )  # fmt: skip
            return bring(world, party, transaction or own, details_of(world, asked, **changes))

        return act

    def by_other(world: World) -> Observed:
        return brought(header={"originator": of_other(world, party)})(world)

    for name, title, act, check in (
        ("nothing", "to a command it never signed", brought(transaction="none"), "known_command"),
        ("garbage", "that cannot be read", brought(payload=b"\x05\x00"), "decode"),
        ("other-device", "of another device", by_other, "originator"),
        ("question", "that is a question", brought(header={"cra": Cra.COMMAND}), "answer"),
        ("other-role", "about other cells", brought(roles=network), "role"),
    ):  # fmt: skip
        made = at_cos_party(cos, party, f"read-back.{name}", f"A read-back {title}", act, check)
        yield replace(made, expected=Refusal(party, f"{cos}.read_back.{check}"))


def to_cos_party(
    cos: str, party: str, name: str, title: str, change: Change, check: str
) -> Attack:  # fmt: skip
    """A device's answer to a command that the party signed."""

    def act(world: World) -> Observed:
        transaction, command = signed_command(world, party, honest(world, party))
        world.compare_from_here()
        message = encode(change(world, party).to(world, command))
        return bring(world, party, transaction, message)

    return at_cos_party(cos, party, name, f"A device answers {title}", act, check)


def at_cos_party(
    cos: str, party: str, name: str, title: str, act: Callable[[World], Observed], check: str
) -> Attack:
    """An attack of a device at a CoS Party."""
    made = attack_row(
        f"device.{cos}.{name}", f"To {party}: {title}", Rung.ONE_PARTY, METER_CHECKS,
        f"{DEVICE}; the broker's link key", act, Refusal(party, f"{cos}.response.{check}"),
        "device", "lying", BETWEEN,
    )  # fmt: skip
    return replace(made, watches=frozenset({party}))


def alerts(cos: str, party: str) -> Iterator[Attack]:
    """Alerts about a command that waits for its date."""

    def dated(said: Callable[[Message], Reply], before: Reply | None = None) -> (
        Callable[[World], Observed]
    ):  # fmt: skip
        def act(world: World) -> Observed:
            document = honest(world, party, execution_date_time=in_days(world, 3))
            transaction, command = signed_command(world, party, document)
            first = before.to(world, command) if before is not None else None
            if first is not None:
                bring(world, party, transaction, encode(first), "device-alert")
            world.compare_from_here()
            lie = said(command)
            if first is not None:
                lie = lie.but(header={"counter": first.header.counter - 1})
            return bring(world, party, transaction, encode(lie.to(world, command)), "device-alert")

        return act

    good = Reply(alert=SUCCESS)
    for name, title, act, check in (
        ("alert-code", "an alert of failure about a command that succeeded",
         dated(lambda _: good.but(alert=FAILURE)), "outcome"),
        ("alert-unknown-code", "an alert with another code",
         dated(lambda _: good.but(alert=int(AlertCode.CREDENTIALS_UPDATED))), "outcome"),
        ("alert-date", "an alert about another date",
         dated(lambda _: good.but(executed_at="20300101000000Z")), "outcome"),
        ("alert-older", "an alert older than its last", dated(lambda _: good, before=good),
         "counter"),
        ("alert-signed-by-other", "an alert with another device's signature",
         lambda w: dated(lambda _: good.but(signer=of_other(w, party)))(w), "signature"),
        ("outcome-at-once", "an outcome at once, of a command with a date",
         lambda w: dated_response(w, party), "outcome"),
    ):  # fmt: skip
        yield at_cos_party(cos, party, name, f"A device sends {title}", act, check)


def dated_response(world: World, party: str) -> Observed:
    """The outcome of a command that is not due yet."""
    document = honest(world, party, execution_date_time=in_days(world, 3))
    transaction, command = signed_command(world, party, document)
    world.compare_from_here()
    return bring(world, party, transaction, encode(Reply().to(world, command)))
