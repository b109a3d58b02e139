"""Attacks on a device by octets alone: a recorded command, spoiled, cut, moved or repeated.

The attacker holds no key. Every one is a command that the CoS Party signed and the broker gave its
MAC, caught before the device heard it (or after, for replays), and then changed on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gbcs.codes import Cra
from gbcs.message import Message, decode, encode
from probe.attacks.making import ANY, RECORDED, meter_attack
from probe.forge.gbcs import Forge
from probe.forge.services import meter
from probe.model import Attack, Rung
from probe.world import COS, World

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Order of the group of P-256."""

Octets = Callable[[bytes], bytes]
ECOS = Forge()


def meter_of(party: str) -> Callable[[World], str]:
    """The meter that trusts this CoS Party."""
    return lambda world: world.meter(party)


def readdressed(cos: str, party: str) -> Callable[[World], bytes]:
    """A command for one meter with the identifier of another in it."""
    return lambda world: header(recipient=world.meter(party))(Forge(cos).octets(world))


def claimed_by(whose: str) -> Callable[[World], bytes]:
    """A command with another originator in it."""
    return lambda world: header(originator=world.eui(whose))(ECOS.octets(world))


def of(change: Octets, forge: Forge = ECOS) -> Callable[[World], bytes]:
    """A recorded command whose octets are changed."""
    return lambda world: change(forge.octets(world))


def re_encoded(change: Callable[[Message], Message]) -> Octets:
    """Change values of a message and write it again; signature and MAC stay the old ones."""
    return lambda octets: encode(change(decode(octets)))


def header(**values: object) -> Octets:
    """Change the grouping header."""
    return re_encoded(lambda m: replace(m, header=replace(m.header, **values)))  # type: ignore[arg-type]


def code(number: int) -> Octets:
    """Change the message code."""
    return re_encoded(
        lambda m: replace(
            m, header=replace(m.header, other=replace(m.header.other, message_code=number))
        )
    )


def half(which: str, value: int) -> Octets:
    """Put another number into r or s of the signature."""

    def change(message: Message) -> Message:
        signature = message.signature or b""
        r, s = signature[:32], signature[32:]
        new = value.to_bytes(32, "big")
        return replace(message, signature=new + s if which == "r" else r + new)

    return re_encoded(change)


def mirrored(message: Message) -> Message:
    """The other signature that holds wherever this one does: s becomes n - s."""
    signature = message.signature or b""
    s = int.from_bytes(signature[32:], "big")
    return replace(message, signature=signature[:32] + (ORDER - s).to_bytes(32, "big"))


def at(offset: int, octet: int) -> Octets:
    """Put another octet in one place."""
    return lambda octets: octets[:offset] + bytes((octet,)) + octets[offset + 1 :]


def inner(offset: int, octet: int) -> Octets:
    """Put another octet in one place of the inner frame, counted from its DF."""

    def change(octets: bytes) -> bytes:
        return at(octets.index(b"\xdf\x09") + offset, octet)(octets)

    return change


def added(offset: int, by: int) -> Octets:
    """Add to one octet of the inner frame, counted from its DF."""

    def change(octets: bytes) -> bytes:
        place = octets.index(b"\xdf\x09") + offset
        return at(place, (octets[place] + by) % 256)(octets)

    return change


def recounted(change: Octets) -> Octets:
    """Change what follows the outer length, and make that length true again (long form, 2)."""

    def act(octets: bytes) -> bytes:
        body = change(octets[10:])
        return octets[:7] + b"\x82" + len(body).to_bytes(2, "big") + body

    return act


# 7: MAC header before its length; 82 xx xx; then security header 11 00000000, then DF 09.
# In the inner frame: 1 transaction length, 2 CRA, 3-10 counter, 11 length, 12-19 originator,
# 20 length, 21-28 target, 29 date-time length, 30 other-information length, 31-32 code, 33 82.
FRAME: tuple[tuple[str, str, Octets, str], ...] = (
    ("empty", "no octets at all", lambda _: b"", "frame"),
    ("one-octet", "one octet", lambda o: o[:1], "frame"),
    ("half", "the first half", lambda o: o[: len(o) // 2], "frame"),
    ("zeros", "as many zeros", lambda o: bytes(len(o)), "inner"),
    ("twice", "the command twice in one message", lambda o: o + o, "frame"),
    ("trailing", "one octet after the MAC", lambda o: o + b"\0", "frame"),
    ("mac-cut-1", "the MAC one octet short", lambda o: o[:-1], "frame"),
    ("mac-cut-12", "no MAC, but the header that announces it", lambda o: o[:-12], "frame"),
    ("mac-8", "a MAC of 8 octets, counted truly", recounted(lambda b: b[:-4]), "inner"),
    ("mac-13", "one octet after the MAC, counted truly", recounted(lambda b: b + b"\0"), "inner"),
    ("outer-tag", "another outer tag (DB)", at(0, 0xDB), "inner"),
    ("outer-system-title", "a system title where none is", at(1, 1), "frame"),
    ("outer-length-less", "the outer length one less",
     lambda o: o[:8] + (int.from_bytes(o[8:10], "big") - 1).to_bytes(2, "big") + o[10:], "frame"),
    ("outer-length-zero", "the outer length zero", lambda o: o[:8] + b"\0\0" + o[10:], "frame"),
    ("outer-length-wide", "the outer length written in 3 octets",
     lambda o: o[:7] + b"\x83\0" + o[8:], "frame"),
    ("outer-length-huge", "the outer length 2^32 - 1",
     lambda o: o[:7] + b"\x84\xff\xff\xff\xff" + o[10:], "frame"),
    ("security-control", "security control says encrypted too (31)", at(10, 0x31), "frame"),
    ("invocation-counter", "an invocation counter of 1", at(14, 1), "frame"),
    ("inner-tag", "another inner tag (D9)", inner(0, 0xD9), "inner"),
    ("transaction-length", "a transaction identifier of 8 octets", inner(1, 8), "inner"),
    ("originator-length", "an originator of 7 octets", inner(11, 7), "inner"),
    ("target-length", "a target of 9 octets", inner(20, 9), "inner"),
    ("date-time-length", "a date-time of 1 octet", inner(29, 1), "inner"),
    ("date-time-12", "a date-time of 12 octets that is not there", inner(29, 12), "inner"),
    ("other-less", "other information of 1 octet", inner(30, 1), "inner"),
    ("other-more", "other information of 3 octets", inner(30, 3), "inner"),
    ("payload-less", "the payload length one less", added(35, -1), "inner"),
    ("payload-more", "the payload length one more", added(35, 1), "inner"),
    ("signature-63", "a signature of 63 octets", lambda o: at(len(o) - 77, 63)(o), "inner"),
    ("signature-0", "a signature length of 0 before 64 octets",
     lambda o: at(len(o) - 77, 0)(o), "inner"),
    ("cra-0", "a CRA flag of 0", inner(2, 0), "inner"),
    ("cra-4", "a CRA flag of 4", inner(2, 4), "inner"),
)  # fmt: skip

VALUES: tuple[tuple[str, str, Octets, str], ...] = (
    ("mac-stripped", "no MAC and no MAC header", re_encoded(lambda m: replace(m, mac=None)), "mac"),
    ("mac-zero", "a MAC of zeros", re_encoded(lambda m: replace(m, mac=bytes(12))), "mac"),
    ("mac-first-bit", "one bit of the MAC's first octet",
     lambda o: at(len(o) - 12, o[-12] ^ 0x80)(o), "mac"),
    ("mac-last-bit", "one bit of the MAC's last octet",
     lambda o: at(len(o) - 1, o[-1] ^ 1)(o), "mac"),
    ("as-response", "the command called a response", header(cra=Cra.RESPONSE), "cra"),
    ("as-alert", "the command called an alert", header(cra=Cra.ALERT), "cra"),
    ("counter-plus", "its counter one higher", header(counter=1001), "mac"),
    ("counter-zero", "its counter 0", header(counter=0), "mac"),
    ("counter-2-63", "its counter 2^63 - 1", header(counter=2**63 - 1), "mac"),
    ("counter-2-64", "its counter 2^64 - 1", header(counter=2**64 - 1), "mac"),
    ("date-time", "a date-time in the grouping header",
     header(date_time=bytes.fromhex("07ea0b15ff0c000000800000")), "cra"),
    ("payload-bit", "one bit of a certificate", lambda o: at(600, o[600] ^ 1)(o), "mac"),
    ("r-bit", "one bit of r", lambda o: at(len(o) - 60, o[-60] ^ 1)(o), "mac"),
    ("n-minus-s", "s replaced by n - s", re_encoded(mirrored), "mac"),
    ("r-zero", "r = 0", half("r", 0), "mac"),
    ("s-zero", "s = 0", half("s", 0), "mac"),
    ("r-order", "r = n", half("r", ORDER), "mac"),
    ("s-order", "s = n", half("s", ORDER), "mac"),
    ("signature-stripped", "the signature taken out",
     re_encoded(lambda m: replace(m, signature=b"")), "mac"),
    ("unsigned-unmacced", "signature and MAC taken out",
     re_encoded(lambda m: replace(m, signature=b"", mac=None)), "mac"),
    ("pre-command", "as a Pre-Command",
     re_encoded(lambda m: replace(m, signature=None, mac=None)), "mac"),
    ("code-unknown", "an unknown message code", code(0x1234), "message_code"),
    ("code-0101", "the code of rootByWanProvider, which no ESME knows", code(0x0101),
     "message_code"),
    ("code-0105", "the code of wanProviderByWanProvider, which no ESME knows", code(0x0105),
     "message_code"),
    ("code-000a", "the code of CS02c", code(0x000A), "originator"),
    ("code-0100", "the code of rootBySupplier", code(0x0100), "originator"),
    ("code-0102", "the code of supplierBySupplier", code(0x0102), "originator"),
    ("code-0103", "the code of networkOperatorByNetworkOperator", code(0x0103), "originator"),
    ("code-0104", "the code of accessControlBrokerByACB", code(0x0104), "originator"),
    ("code-0106", "the code of transCoSByTransCoS", code(0x0106), "mac"),
    ("code-0108", "the code of anyExceptAbnormalRootByRecovery", code(0x0108), "originator"),
    ("code-0109", "the code of anyByContingency", code(0x0109), "contingency_key"),
    ("supplementary", "supplementary fields after the message code",
     re_encoded(lambda m: replace(m, header=replace(m.header, other=replace(
         m.header.other, supplementary_remote_party_id=m.header.originator)))), "message_code"),
)  # fmt: skip


def played(world: World) -> None:
    """The honest command reaches its device before the attack."""
    world.to_meter(meter(world), ECOS.octets(world))


def answer_reflected(world: World) -> bytes:
    """What the device itself said, sent back to it."""
    return world.to_meter(meter(world), ECOS.octets(world))


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    for name, title, change, check in FRAME:
        rung = Rung.WIRE if name in {"empty", "one-octet", "zeros"} else Rung.RECORDING
        holds = ANY if rung is Rung.WIRE else RECORDED
        yield meter_attack(
            f"gbcs.frame.{name}", f"To the meter: {title}", rung, holds, of(change), check,
            to=meter,
        )  # fmt: skip
    for name, title, change, check in VALUES:
        yield meter_attack(
            f"gbcs.changed.{name}", f"A recorded command with {title}", Rung.RECORDING, RECORDED,
            of(change), check, to=meter,
        )  # fmt: skip
    yield from moved()


def moved() -> Iterator[Attack]:
    """Whole messages that come again, or come to another device."""
    for cos, other in (("ecos", "tcos"), ("tcos", "ecos")):
        there = COS[other]
        yield meter_attack(
            f"gbcs.moved.{cos}-to-{other}", "A recorded command at another device",
            Rung.RECORDING, RECORDED, of(lambda o: o, Forge(cos)), "recipient",
            to=meter_of(there),
        )  # fmt: skip
        yield meter_attack(
            f"gbcs.moved.{cos}-to-{other}-readdressed",
            "A recorded command at another device, with that device's identifier in it",
            Rung.RECORDING, RECORDED,
            readdressed(cos, there),
            "originator", to=meter_of(there),
        )  # fmt: skip
    for whose in ("acb", "tcos_party", "A", "recovery"):
        yield meter_attack(
            f"gbcs.changed.originator-{whose.lower().replace('_', '-')}",
            f"A recorded command that claims to be from {whose}", Rung.RECORDING, RECORDED,
            claimed_by(whose), "originator",
            to=meter,
        )  # fmt: skip
    yield meter_attack(
        "gbcs.replay.same", "The command that the device has executed, again", Rung.RECORDING,
        RECORDED, of(lambda o: o), "counter", to=meter, prepare=played, tags=("replay",),
    )  # fmt: skip
    yield meter_attack(
        "gbcs.replay.older", "An older command that never arrived, after a newer one",
        Rung.RECORDING, RECORDED, of(lambda o: o, ECOS.but(counter=999)), "counter",
        to=meter, prepare=played, tags=("replay",),
    )  # fmt: skip
    yield reflected()


def reflected() -> Attack:
    """A device's own signed answer, sent back to it."""
    kept: list[bytes] = []

    def prepare(world: World) -> None:
        kept[:] = [answer_reflected(world)]

    return meter_attack(
        "gbcs.replay.reflected", "The device's own signed answer, sent back to it",
        Rung.RECORDING, "what the device answered", lambda _: kept[0], "cra", to=meter,
        prepare=prepare, tags=("replay",),
    )  # fmt: skip
