"""What a change of supplier's messages cost to make and to check, against the bare cryptography.

Every act is timed beside its primitives: the ECDSA, ECDH and AES-GMAC operations it cannot do
without, bare, on octets as long as its own, one after the other in the same round. CPU time, so
that a busy machine slows both alike. What is read is another message each time, more of them than
any memory of values keeps, so that no act is answered from one.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.timing import Cost
from gbcs.codes import Cra, CredentialsReplacementMode, KeyUsage, RemotePartyRole, StatusCode
from gbcs.date_time import to_date_time
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.octets import Octets, length_octets
from gbcs.payloads.credentials import (
    CellId,
    CellOutcome,
    CredentialsOutcome,
    CredentialsResponse,
    Replacement,
    SeqNumberChange,
    UpdateCredentials,
    decode_response,
    decode_update,
    encode_response,
    encode_update,
)
from gbcs.payloads.outcomes import KEPT
from gbcs.protect import add_mac, sign, verify_mac, verify_signature
from keys.certificate import Certificate
from keys.crl import read_crl_pem
from keys.path import validate_path
from keys.stores.private import HeldSigner
from keys.stores.software import SoftwareKeyStore, read_secret
from stack.supplier import Supplier

ECDSA = ec.ECDSA(hashes.SHA256())
MODE = CredentialsReplacementMode.SUPPLIER_BY_TRANS_COS
MESSAGES = KEPT + 64
"""How many messages of a kind there are: read in turn, none of them is still kept when it comes."""
ROUNDS, REPETITIONS = 40, 15

Do = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to time, and the bare operations that it cannot do without, in their order."""

    name: str
    title: str
    do: Do
    primitives: tuple[Do, ...]


@dataclass(frozen=True, slots=True)
class Timed:
    """One act: microseconds of CPU, and how many times that of its primitives, each repetition."""

    act: Act
    microseconds: tuple[float, ...]
    ratios: tuple[float, ...]


def open_store(data: Path, system: str) -> SoftwareKeyStore:
    """A system's key store."""
    return SoftwareKeyStore.open(data / system / "keys", read_secret(data / system / "passphrase"))


class Desk:
    """The keys of a ceremony, and a change of supplier's messages made with them."""

    def __init__(self, data: Path) -> None:
        device = json.loads((data / "devices.json").read_text())[0]
        supplier = Supplier.open(data, "B")
        cos, acb = open_store(data, "tcos_party"), open_store(data, "acb")
        self.signer = cos.signer("digital-signing")
        self.broker = acb.key_agreement("key-agreement")
        self.meter = Certificate.from_der(base64.b64decode(device["certificates"]["key-agreement"]))
        self.meter_key = ec.generate_private_key(ec.SECP256R1())
        self.root = Certificate.from_pem(
            (data / "acb" / "trust" / "organisation-root.pem").read_bytes()
        )
        self.leaf = supplier.keys.certificate("digital-signing")
        self.between = supplier.issuing_authority
        lists = data / "smki_repository" / "repository" / "crl"
        self.crl = read_crl_pem((lists / "organisation.crl").read_bytes())
        self.z = self.broker.shared_secret(self.meter)
        self.party, self.eui = self.signer.certificate.subject_eui or "", device["eui"]
        self.authorising = CellId(RemotePartyRole.TRANSITIONAL_COS, KeyUsage.DIGITAL_SIGNATURE)
        self.replacements = tuple(
            Replacement(supplier.keys.certificate(name).der, CellId(RemotePartyRole.SUPPLIER, use))
            for name, use in (
                ("digital-signing", KeyUsage.DIGITAL_SIGNATURE),
                ("key-agreement", KeyUsage.KEY_AGREEMENT),
            )
        )
        self.changes = (SeqNumberChange(RemotePartyRole.SUPPLIER, 0, None),)
        self._counter = 0

    def built(self) -> Message:
        """The next command, unsigned."""
        self._counter += 1
        header = GroupingHeader(
            Cra.COMMAND, self._counter, self.party, self.eui, OtherInformation(0x0107)
        )
        update = UpdateCredentials(
            mode=MODE,
            authorising_counter=self._counter,
            authorising_cell=self.authorising,
            replacements=self.replacements,
            path_certificates=(self.between.der,),
            other_changes=self.changes,
        )
        return Message(header, encode_update(update), None)

    def signed(self) -> Message:
        """The next command, signed."""
        return sign(self.built(), self.signer.sign)

    def command(self) -> bytes:
        """The next command, protected, as it is sent."""
        return encode(add_mac(self.signed(), self.z))

    def response(self, *, long_lengths: bool) -> bytes:
        """A device's answer to the next command, signed and with a MAC."""
        self._counter += 1
        outcomes = tuple(
            CellOutcome(item.cell, StatusCode.SUCCESS, bytes(8), b"\x40" * 8, bytes(8), b"\x41" * 8)
            for item in self.replacements
        )
        payload = encode_response(
            CredentialsResponse(CredentialsOutcome(self._counter, MODE, self.changes, outcomes))
        )
        header = GroupingHeader(
            Cra.RESPONSE,
            self._counter,
            self.eui,
            self.party,
            OtherInformation(0x0107),
            to_date_time(self.leaf.not_before),
        )
        whole = Message(header, _lengthened(payload) if long_lengths else payload, None)
        return encode(add_mac(sign(whole, HeldSigner(self.meter_key).sign), self.z))


def _lengthened(data: bytes) -> bytes:
    """DER with every length of 128 to 255 written in two octets, as published devices do."""
    octets, written = Octets(data), b""
    while octets.left:
        tag = octets.octet("tag")
        content = octets.take(octets.length("value"), "value")
        if tag & 0x20:
            content = _lengthened(content)
        size = len(content)
        length = b"\x82" + size.to_bytes(2, "big") if size > 0x7F else length_octets(size)
        written += bytes((tag,)) + length + content
    return written


def acts(data: Path) -> list[Act]:
    """What is timed."""
    desk = Desk(data)
    commands = [desk.command() for _ in range(MESSAGES)]
    plain = [desk.response(long_lengths=False) for _ in range(MESSAGES)]
    long = [desk.response(long_lengths=True) for _ in range(MESSAGES)]
    key = ec.generate_private_key(ec.SECP256R1())
    public, meter, z = key.public_key(), desk.meter_key.public_key(), desk.z
    own = desk.signer.certificate.public_key

    def primitives(octets: bytes) -> dict[str, Do]:
        signature, nonce = key.sign(octets, ECDSA), bytes(12)
        return {
            "sign": lambda: key.sign(octets, ECDSA),
            "verify": lambda: public.verify(signature, octets, ECDSA),
            "agree": lambda: key.exchange(ec.ECDH(), desk.meter.public_key),
            "mac": lambda: AESGCM(z[:16]).encrypt(nonce, b"", octets),
        }

    def reading(
        messages: Sequence[bytes],
        signed_by: ec.EllipticCurvePublicKey,
        payload: Callable[[bytes], object] | None,
    ) -> Do:
        turn: Iterator[bytes] = cycle(messages)

        def act() -> None:
            message = decode(next(turn))
            verify_signature(message, signed_by)
            verify_mac(message, z)
            if payload is not None:
                payload(message.payload)
            encode(message)

        return act

    def read_and_write(payload: bytes) -> bytes:
        return encode_response(decode_response(payload))

    def judge() -> object:
        return validate_path(
            desk.leaf, [desk.between], desk.root, at=desk.crl.this_update, crls=[desk.crl.der]
        )

    bare, short = primitives(commands[0]), primitives(plain[0])
    checked, answered = (bare["verify"], bare["mac"]), (short["verify"], short["mac"])
    return [
        Act("sign", "sign with a key of the store", lambda: desk.signer.sign(commands[0]),
            (bare["sign"],)),
        Act("command_read", "command: decode, signature, MAC, encode",
            reading(commands, own, None), checked),
        Act("command_read_with_payload", "command: the same, and its payload",
            reading(commands, own, decode_update), checked),
        Act("command_sign", "command: build, sign", desk.signed, (bare["sign"],)),
        Act("command_sign_mac", "command: build, sign, MAC (Z held)", desk.command,
            (bare["sign"], bare["mac"])),
        Act("command_sign_agree_mac", "command: build, sign, agree Z, MAC",
            lambda: (bare["agree"](), desk.command()),
            (bare["sign"], bare["agree"], bare["mac"])),
        Act("response_read", "response: decode, signature, MAC, payload, both encoded",
            reading(plain, meter, read_and_write), answered),
        Act("response_read_long_lengths", "response: the same, lengths not minimal",
            reading(long, meter, read_and_write), answered),
        Act("path_again", "a path judged again: time, revocation", judge,
            (bare["verify"], bare["verify"], bare["verify"])),
    ]  # fmt: skip


def timed(data: Path, rounds: int = ROUNDS, repetitions: int = REPETITIONS) -> list[Timed]:
    """Time every act beside its primitives, by turns."""
    what = acts(data)
    for act in what:
        act.do()
    rows = [[_beside(act, rounds) for act in what] for _ in range(repetitions)]
    return [
        Timed(
            act,
            tuple(row[number][0] for row in rows),
            tuple(row[number][0] / row[number][1] for row in rows),
        )
        for number, act in enumerate(what)
    ]


def ratios(data: Path) -> dict[str, dict[str, float]]:
    """By the name of each act: how many times its primitives it costs, median and spread.

    The spread is the distance of the quartiles. Names and acts: `acts`.
    """
    return {
        item.act.name: {"median": median(item.ratios), "spread": _spread(item.ratios)}
        for item in timed(data)
    }


def measured(data: Path) -> list[Cost]:
    """The same as a table: first a bare signature and a bare verification, then every act."""
    key = ec.generate_private_key(ec.SECP256R1())
    octets = bytes(1500)
    signature, public = key.sign(octets, ECDSA), key.public_key()
    signing = _time((lambda: key.sign(octets, ECDSA),), 1000)
    verifying = _time((lambda: public.verify(signature, octets, ECDSA),), 1000)
    return [
        Cost("bare ECDSA P-256 sign", signing, 1.0),
        Cost("bare ECDSA P-256 verify", verifying, 1.0),
        *(
            Cost(item.act.title, median(item.microseconds), median(item.ratios))
            for item in timed(data)
        ),
    ]


def _beside(act: Act, rounds: int) -> tuple[float, float]:
    """Microseconds of the act and of its primitives, each in two halves, by turns."""
    half = rounds // 2
    bare = _time(act.primitives, half)
    done = _time((act.do,), half)
    return (done + _time((act.do,), half)) / 2, (bare + _time(act.primitives, half)) / 2


def _time(what: Sequence[Do], rounds: int) -> float:
    began = time.process_time()
    for _ in range(rounds):
        for do in what:
            do()
    return (time.process_time() - began) / rounds * 1e6


def _spread(values: Sequence[float]) -> float:
    lower, _, upper = quantiles(values, n=4)
    return upper - lower
