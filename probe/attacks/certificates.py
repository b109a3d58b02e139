"""Attacks on what goes into a cell: certificates and payloads that even both parties may not send.

The attacker holds the keys of the broker and of the CoS Party, so that every command is authentic:
what stops these is what the meter asks of the certificates and fields themselves. An authentic
command that is refused for what it asks for was heard, so its counter is used up; no cell changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole
from gbcs.payloads.credentials import Replacement, SeqNumberChange, encode_update
from keys.certificate import Certificate
from keys.issuing.issue import Flaw
from probe.attacks.gbcs_parties import TOGETHER, meter_of
from probe.attacks.making import COUNTER_USED, meter_attack
from probe.attacks.process import certificate
from probe.forge.gbcs import NETWORK, SUPPLIER, SUPPLIER_KA, SUPPLIER_TOP_UP, Forge, issuing
from probe.model import METER_CHECKS, Attack, Rung
from probe.world import World

BASE = Forge("ecos")
Make = Callable[[World], bytes]
Cell = Callable[[World], Replacement]


def one(cell: Cell) -> Make:
    """A command that puts one certificate into one cell."""
    return lambda world: BASE.but(replacements=(cell(world),)).octets(world)


def flawed(flaw: Flaw) -> Cell:
    """A supplier's certificate with one flaw."""
    return lambda world: Replacement(
        certificate(world, flaw, eui=world.supplier("B").eui).der, SUPPLIER
    )


def held(party: str, key: str, cell: object = SUPPLIER) -> Cell:
    """Somebody's good certificate in a cell."""
    return lambda world: Replacement(world.keys(party).certificate(key).der, cell)  # type: ignore[arg-type]


def devices_own(world: World) -> Replacement:
    """The device's own certificate in a supplier's cell."""
    der = world.device_certificate(world.meter("ecos_party"), "digital-signing").der
    return Replacement(der, SUPPLIER)


def authority(world: World) -> Replacement:
    """An authority's certificate in a supplier's cell."""
    return Replacement(issuing(world).der, SUPPLIER)


def off_curve(world: World) -> Replacement:
    """A certificate whose public key is no point of the curve."""
    der = world.keys("B").certificate("digital-signing")
    point = der.public_key.public_numbers().x.to_bytes(32, "big")
    at = der.der.index(point)
    return Replacement(der.der[: at + 40] + b"\x01\x02\x03\x04" + der.der[at + 44 :], SUPPLIER)


def bit_changed(world: World) -> Replacement:
    """A good certificate with one bit of its signature changed."""
    der = world.keys("B").certificate("digital-signing").der
    return Replacement(der[:-1] + bytes((der[-1] ^ 1,)), SUPPLIER)


def with_path(*names: str) -> Make:
    """Good certificates with other path certificates."""

    def make(world: World) -> bytes:
        folder = world.data / "ecos_party" / "trust"
        path = tuple(Certificate.from_pem((folder / f"{n}.pem").read_bytes()).der for n in names)
        return BASE.with_fields(path_certificates=path).octets(world)

    return make


CERTIFICATES: tuple[tuple[str, str, Make, str], ...] = (
    ("expired", "an expired certificate", one(flawed(Flaw.EXPIRED)), "validity"),
    ("not-yet-valid", "a certificate that is not valid yet", one(flawed(Flaw.NOT_YET_VALID)),
     "validity"),
    ("wrong-role", "a network operator's OU in a supplier's cell", one(flawed(Flaw.WRONG_ROLE)),
     "role"),
    ("wrong-usage", "a key agreement certificate in a signing cell",
     one(flawed(Flaw.WRONG_USAGE)), "key_usage"),
    ("unknown-issuer", "a certificate of an unknown authority", one(flawed(Flaw.UNKNOWN_ISSUER)),
     "path"),
    ("forged-issuer", "a certificate that names an authority which did not sign it",
     one(flawed(Flaw.FORGED_ISSUER)), "path"),
    ("other-policy", "a certificate under another policy", one(flawed(Flaw.OTHER_POLICY)),
     "path"),
    ("compressed-point", "a certificate whose key is a compressed point",
     one(flawed(Flaw.COMPRESSED_POINT)), "profile"),
    ("explicit-curve", "a certificate whose curve is given by parameters",
     one(flawed(Flaw.EXPLICIT_CURVE)), "profile"),
    ("generalized-time", "a certificate dated in a form for 2050 and later",
     one(flawed(Flaw.GENERALIZED_TIME)), "profile"),
    ("named-bits", "a certificate whose key usage is not written in DER",
     one(flawed(Flaw.NAMED_BITS)), "profile"),
    ("of-network", "the network operator's certificate",
     one(held("network-operator", "digital-signing")), "role"),
    ("of-broker", "the broker's certificate", one(held("acb", "digital-signing")), "role"),
    ("of-cos", "the CoS Party's own certificate", one(held("ecos_party", "digital-signing")),
     "role"),
    ("of-recovery", "the recovery certificate", one(held("recovery", "digital-signing")), "role"),
    ("of-xml", "a supplier's XML signing certificate", one(held("B", "xml-signing")), "role"),
    ("of-link", "a link certificate", one(held("acb", "link")), "profile"),
    ("of-device", "the device's own certificate", one(devices_own), "profile"),
    ("of-authority", "the issuing authority's certificate", one(authority), "profile"),
    ("swapped-signing", "an agreement certificate in the signing cell",
     one(held("B", "key-agreement")), "key_usage"),
    ("swapped-agreement", "a signing certificate in the agreement cell",
     one(held("B", "digital-signing", SUPPLIER_KA)), "key_usage"),
    ("swapped-top-up", "a signing certificate in the top-up cell",
     one(held("B", "digital-signing", SUPPLIER_TOP_UP)), "key_usage"),
    ("off-curve", "a public key that is no point of the curve", one(off_curve), "profile"),
    ("bit", "one bit of a certificate's signature changed", one(bit_changed), "path"),
    ("path-none", "no path certificate", with_path(), "path"),
    ("path-other", "the device authorities as the path", with_path("device-issuing"), "path"),
    ("path-root-only", "the root alone as the path", with_path("organisation-root"), "path"),
)  # fmt: skip


def payload(change: Callable[[bytes], bytes]) -> Make:
    """A signed and protected command whose payload is not what DER allows."""
    return lambda world: BASE.but(payload=change(encode_update(BASE.update(world)))).octets(world)


def longer(data: bytes) -> bytes:
    """The outer length in one octet more than needed."""
    return data[:1] + b"\x83\x00" + data[2:]


def indefinite(data: bytes) -> bytes:
    """The indefinite form, which DER does not have."""
    return data[:1] + b"\x80" + data[4:] + b"\0\0"


PAYLOADS: tuple[tuple[str, str, Make, str], ...] = (
    ("empty", "an empty payload", payload(lambda _: b""), "payload"),
    ("trailing", "one octet after the payload's value", payload(lambda p: p + b"\0"), "payload"),
    ("truncated", "a payload without its last octet", payload(lambda p: p[:-1]), "payload"),
    ("long-length", "a length in more octets than needed", payload(longer), "payload"),
    ("indefinite", "an indefinite length", payload(indefinite), "payload"),
    ("null", "a NULL", payload(lambda _: b"\x05\x00"), "payload"),
    ("huge-length", "a length of 2^32 - 1", payload(lambda _: b"\x30\x84\xff\xff\xff\xff"),
     "payload"),
    ("mode-other", "mode 2 under the code of mode 7",
     BASE.with_fields(mode=Mode.SUPPLIER_BY_SUPPLIER).octets, "mode"),
    ("mode-6-in-7", "mode 6 under the code of mode 7",
     BASE.with_fields(mode=Mode.TRANS_COS_BY_TRANS_COS).octets, "mode"),
    ("counter-other", "another authorising counter than the originator's",
     BASE.with_fields(authorising_counter=999).octets, "authorising_counter"),
    ("counter-2-64", "a counter of 2^64 - 1, beyond the standard's",
     BASE.but(counter=2**64 - 1).octets, "payload"),
    ("cell-other", "another authorising cell", BASE.with_fields(authorising_cell=NETWORK).octets,
     "authorising_cell"),
    ("cell-supplier", "the supplier's cell as the authorising one",
     BASE.with_fields(authorising_cell=SUPPLIER).octets, "authorising_cell"),
    ("cell-none", "no authorising cell", BASE.with_fields(authorising_cell=None).octets,
     "authorising_cell"),
    ("own-floor", "a floor of the CoS Party itself", BASE.with_fields(new_floor=1).octets,
     "floors"),
    ("floor-2-64", "a floor of 2^64 - 1",
     BASE.with_fields(other_changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 2**64 - 1),)
                      ).octets, "payload"),
    ("no-cells", "no replacement at all", BASE.but(replacements=()).octets, "payload"),
    ("cell-twice", "one cell twice", lambda world: BASE.but(replacements=(
        *2 * (Replacement(world.keys("B").certificate("digital-signing").der, SUPPLIER),),
    )).octets(world), "payload"),
    ("key-for-7", "a symmetric key that only mode 9 has",
     BASE.with_fields(plaintext_symmetric_key=bytes(32)).octets, "payload"),
)  # fmt: skip


def attacks() -> Iterator[Attack]:
    """Every attack of this module."""
    to = meter_of("ecos")
    for name, title, make, check in CERTIFICATES:
        yield meter_attack(
            f"gbcs.certificate.{name}", f"Not even both may put in {title}", Rung.TWO_PARTIES,
            TOGETHER, make, f"certificate.{check}", to=to, requirement=METER_CHECKS,
            may_change=COUNTER_USED, tags=("certificates",),
        )  # fmt: skip
    for name, title, make, check in PAYLOADS:
        yield meter_attack(
            f"gbcs.payload.{name}", f"Not even both may send {title}", Rung.TWO_PARTIES,
            TOGETHER, make, check, to=to, requirement=METER_CHECKS, may_change=COUNTER_USED,
        )  # fmt: skip
    yield meter_attack(
        "gbcs.counter.largest",
        "Both together use the largest counter there is: accepted, and the CoS Party is shut out",
        Rung.TWO_PARTIES, TOGETHER, BASE.but(counter=2**63 - 1).octets, None, to=to,
        tags=("shown",),
    )  # fmt: skip
    yield meter_attack(
        "gbcs.payload.date-past",
        "Both together date a command in the year 2000: the meter takes it as due at once",
        Rung.TWO_PARTIES, TOGETHER,
        BASE.with_fields(execution_date_time="20000101000000Z").octets, None, to=to,
        tags=("shown",),
    )  # fmt: skip
    for name, counter in (("equal", 1000), ("less", 999), ("zero", 0)):
        yield meter_attack(
            f"gbcs.counter.{name}", f"Both together use the counter {counter} after 1000",
            Rung.TWO_PARTIES, TOGETHER, BASE.but(counter=counter).octets, "counter", to=to,
            prepare=lambda world: void(world.to_meter(to(world), BASE.octets(world))),
        )  # fmt: skip


def void(_: object) -> None:
    """Take an answer and leave it."""
