"""A device beside a model of it that is much simpler, under any sequence of commands, good and bad.

The model knows who holds which cell, the highest counters of each role, what is pending, and which
of the device's own key pairs are in use, awaited and certified. It knows nothing of octets,
certificates or signatures.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from effort import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gbcs.codes import CertificateReadFailure, CertificateUpdateResult, Cra, KeyUsage
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.date_time import to_generalized_time
from gbcs.message import GroupingHeader, Message, OtherInformation, decode, encode
from gbcs.payloads.credentials import CANCEL_EXECUTION, CellId, Replacement, SeqNumberChange
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    decode_certificate_read_response,
    decode_certificate_update_response,
    decode_issue_response,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import add_mac, sign, verify_signature
from keys.certificate import Certificate
from keys.roles import Usage
from keys.stores.private import agree
from meter_sim.device.device_types import (
    SUPPLIER_DS,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    TRANS_COS_DS,
    DeviceType,
)
from meter_sim.device.future import due_roles, execute
from meter_sim.device.model import CounterKind, DeviceContext, DeviceState
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    DEVICE,
    ECOS,
    NOW,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Command,
    Estate,
    Identity,
    device_certificate,
    hear,
    make_book,
)

ESTATE = Estate()
SUPPLIERS = (SUPPLIER_A, SUPPLIER_B, "0253494d30000000")
COS_PARTIES = (TCOS, ECOS)
CELLS = (SUPPLIER_DS, SUPPLIER_KA, SUPPLIER_TOP_UP)
WAYS_TO_SPOIL = ("signature", "mac", "originator", "counter", "recipient", "mode", "cell", "old")
SIGNING, AGREEMENT = KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_AGREEMENT
OWN_KEYS = {SIGNING: Usage.DIGITAL_SIGNATURE, AGREEMENT: Usage.KEY_AGREEMENT}
ISSUE, UPDATE, PROVIDE = 0x000A, 0x000B, 0x000C
BOTH = tuple(CounterKind)


@cache
def certificate_of(usage: KeyUsage, generation: int, device: str = DEVICE) -> Certificate:
    """What certifies one of a device's own key pairs."""
    name = "digital_signature" if usage is SIGNING else "key_agreement"
    return device_certificate(ESTATE, device, name, generation=generation)


@cache
def secret_with(generation: int) -> bytes:
    """Z of the Broker and the device, with the device's key pair of that generation."""
    return agree(ESTATE.acb_ka.key, certificate_of(AGREEMENT, generation))


@dataclass
class OwnPair:
    """Key pairs by number: which is in use, which awaits its certificate, which has one."""

    used: int = 0
    awaited: int | None = None
    certified: int | None = None

    @property
    def next(self) -> int:
        return max(self.used, self.awaited or 0) + 1


@dataclass(frozen=True)
class Heard:
    """A Command that was obeyed, and what made it good."""

    data: bytes
    cell: CellId
    signer: Identity
    kind: CounterKind
    counter: int
    agreement: int


@dataclass
class Model:
    """What a device should be, in the fewest words."""

    holder: dict[CellId, tuple[str, int]]
    counter: dict[tuple[CounterKind, Role], int] = field(default_factory=dict)
    pending: dict[Role, tuple[datetime, list[tuple[CellId, str, int]], int | None]] = field(
        default_factory=dict
    )
    own: dict[KeyUsage, OwnPair] = field(
        default_factory=lambda: {usage: OwnPair() for usage in OWN_KEYS}
    )

    def last(self, role: Role, kind: CounterKind = CounterKind.CREDENTIALS) -> int:
        return self.counter.get((kind, role), 0)

    def put(self, changes: list[tuple[CellId, str, int]], floor: int | None, role: Role) -> None:
        before = dict(self.holder)
        for cell, eui, generation in changes:
            self.holder[cell] = (eui, generation)
        for whose, signing in (
            (Role.SUPPLIER, SUPPLIER_DS),
            (Role.TRANSITIONAL_COS, TRANS_COS_DS),
        ):
            same = self.holder[signing] == before[signing]
            if not same:
                self.pending.pop(whose, None)
            if floor is None or whose is not role or signing not in {c for c, _, _ in changes}:
                continue
            value = max(floor, *(self.last(whose, kind) for kind in BOTH)) if same else floor
            self.counter.update({(kind, whose): value for kind in BOTH})


def identity(cell: CellId, eui: str, generation: int) -> Identity:
    return ESTATE.holder(cell, eui, generation)


class Meter(RuleBasedStateMachine):
    """Commands against one electricity meter."""

    state: DeviceState
    model: Model
    now: datetime
    accepted: list[Heard]

    @initialize()
    def install(self) -> None:
        self.state = ESTATE.device(DeviceType.ESME)
        held = dict.fromkeys(CELLS, (SUPPLIER_A, 0))
        self.model = Model({**held, TRANS_COS_DS: (TCOS, 0)})
        self.now, self.accepted = NOW, []

    @property
    def means(self) -> DeviceContext:
        used = (self.state.own_key(usage).generation for usage in (SIGNING, AGREEMENT))
        return DeviceContext(ESTATE.fleet.keys_of(self.state.eui, *used), self.now, make_book())

    def octets(self, command: Command) -> bytes:
        """With the MAC for the device's key that is in use."""
        plain = replace(command.message, mac=None)
        return encode(add_mac(plain, secret_with(self.model.own[AGREEMENT].used)))

    def command(self, mode: Mode, ahead: int, changes: list[tuple[CellId, str, int]]) -> Command:
        cell = SUPPLIER_DS if mode is Mode.SUPPLIER_BY_SUPPLIER else TRANS_COS_DS
        eui, generation = self.model.holder[cell]
        replacements = tuple(
            Replacement(identity(c, to, number).certificate.der, c) for c, to, number in changes
        )
        return ESTATE.command(
            mode,
            counter=self.model.last(cell.role) + ahead,
            originator=eui,
            signer=identity(cell, eui, generation),
            replacements=replacements,
        )

    def obeyed(self, command: Command) -> None:
        kind, cell = CounterKind.CREDENTIALS, command.authority
        signer = command.signer
        assert signer is not None
        self.heard(self.octets(command), cell, signer, kind, command.counter)

    def heard(
        self, data: bytes, cell: CellId, signer: Identity, kind: CounterKind, counter: int
    ) -> Message:
        """Have the device obey; what it says is signed by the key that was in use."""
        reaction = hear(self.state, data, self.means)
        said = decode(reaction.response)
        used = self.model.own[SIGNING].used
        verify_signature(said, ESTATE.fleet.public_key(DEVICE, Usage.DIGITAL_SIGNATURE, used))
        self.state = reaction.state
        agreement = self.model.own[AGREEMENT].used
        self.accepted.append(Heard(data, cell, signer, kind, counter, agreement))
        self.model.counter[kind, cell.role] = counter
        return said

    def about_own_keys(
        self, code: int, payload: bytes, ahead: int, generation: int | None = None
    ) -> tuple[bytes, Identity, int]:
        """A CS02c, CS02d or CS02e of the supplier that the device holds; its signer and counter."""
        eui, number = self.model.holder[SUPPLIER_DS]
        signer = identity(SUPPLIER_DS, eui, number)
        counter = self.model.last(Role.SUPPLIER, CounterKind.COMMANDS) + ahead
        header = GroupingHeader(Cra.COMMAND, counter, eui, DEVICE, OtherInformation(code))
        message = sign(Message(header, payload, signature=None), signer.sign)
        used = self.model.own[AGREEMENT].used if generation is None else generation
        return encode(add_mac(message, secret_with(used))), signer, counter

    def asked(self, code: int, payload: bytes, ahead: int) -> bytes:
        """What the device answers to such a Command: the payload."""
        data, signer, counter = self.about_own_keys(code, payload, ahead)
        return self.heard(data, SUPPLIER_DS, signer, CounterKind.COMMANDS, counter).payload

    def refused(self, data: bytes) -> None:
        before = self.state
        with pytest.raises(Refused):
            hear(before, data, self.means)
        assert self.state is before

    @rule(
        to=st.sampled_from(SUPPLIERS),
        cells=st.sets(st.sampled_from(CELLS), min_size=1),
        ahead=st.integers(1, 1000),
        floor=st.none() | st.integers(0, 5000),
        generation=st.integers(0, 2),
    )
    def change_of_supplier(
        self, to: str, cells: set[CellId], ahead: int, floor: int | None, generation: int
    ) -> None:
        changes = [(cell, to, generation) for cell in CELLS if cell in cells]
        command = self.command(Mode.SUPPLIER_BY_TRANS_COS, ahead, changes)
        if floor is not None:
            command = command.with_fields(other_changes=(SeqNumberChange(Role.SUPPLIER, floor),))
        self.obeyed(command)
        self.model.put(changes, floor if SUPPLIER_DS in cells else None, Role.SUPPLIER)

    @rule(ahead=st.integers(1, 10), generation=st.integers(0, 3), floor=st.none() | st.just(0))
    def renewal(self, ahead: int, generation: int, floor: int | None) -> None:
        eui, _ = self.model.holder[SUPPLIER_DS]
        changes = [(SUPPLIER_DS, eui, generation)]
        command = self.command(Mode.SUPPLIER_BY_SUPPLIER, ahead, changes)
        self.obeyed(command.with_fields(new_floor=floor))
        self.model.put(changes, floor, Role.SUPPLIER)

    @rule(to=st.sampled_from(COS_PARTIES), ahead=st.integers(1, 10))
    def migration(self, to: str, ahead: int) -> None:
        changes = [(TRANS_COS_DS, to, 0)]
        self.obeyed(self.command(Mode.TRANS_COS_BY_TRANS_COS, ahead, changes))
        self.model.put(changes, None, Role.TRANSITIONAL_COS)

    @rule(to=st.sampled_from(SUPPLIERS), days=st.integers(1, 20), ahead=st.integers(1, 10))
    def change_for_later(self, to: str, days: int, ahead: int) -> None:
        changes = [(cell, to, 1) for cell in CELLS]
        due = self.now + timedelta(days=days)
        command = self.command(Mode.SUPPLIER_BY_TRANS_COS, ahead, changes)
        self.obeyed(command.with_fields(execution_date_time=to_generalized_time(due)))
        self.model.pending[Role.TRANSITIONAL_COS] = (due, changes, None)

    @rule(ahead=st.integers(1, 10))
    def cancel(self, ahead: int) -> None:
        changes = [(SUPPLIER_DS, SUPPLIER_A, 0)]
        command = self.command(Mode.SUPPLIER_BY_TRANS_COS, ahead, changes)
        self.obeyed(command.with_fields(execution_date_time=CANCEL_EXECUTION))
        self.model.pending.pop(Role.TRANSITIONAL_COS, None)

    @rule(days=st.integers(0, 10))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)
        alerts = self.state.alert_counter
        while roles := due_roles(self.state, self.now):
            self.state = execute(self.state, roles[0], self.means).state
            alerts += 1
            due, changes, floor = self.model.pending.pop(roles[0])
            assert due <= self.now
            self.model.put(changes, floor, Role.SUPPLIER)
        assert self.state.alert_counter == alerts

    @rule(usage=st.sampled_from(sorted(OWN_KEYS)), ahead=st.integers(1, 1000))
    def a_new_key_pair(self, usage: KeyUsage, ahead: int) -> None:
        own = self.model.own[usage]
        own.awaited = own.next
        said = self.asked(ISSUE, encode_key_usage_request(KeyUsageRequest(usage)), ahead)
        answer = decode_issue_response(said).answer
        assert isinstance(answer, bytes)
        made = x509.load_der_x509_csr(answer).public_key()
        assert made == ESTATE.fleet.public_key(DEVICE, OWN_KEYS[usage], own.awaited)

    @rule(
        usage=st.sampled_from(sorted(OWN_KEYS)),
        of=st.sampled_from(("awaited", "awaited", "used", "next", "another device")),
        ahead=st.integers(1, 10),
    )
    def a_certificate_for_its_key(self, usage: KeyUsage, of: str, ahead: int) -> None:
        own = self.model.own[usage]
        match of:
            case "another device":
                given = certificate_of(usage, own.awaited or 0, "0253494dd0000009")
            case "used":
                given = certificate_of(usage, own.used)
            case "next":
                given = certificate_of(usage, own.next)
            case _:
                given = certificate_of(usage, own.next if own.awaited is None else own.awaited)
        payload = encode_certificate_update(CertificateUpdate(given.der))
        result = decode_certificate_update_response(self.asked(UPDATE, payload, ahead)).result
        if of == "another device":
            assert result is CertificateUpdateResult.WRONG_DEVICE_IDENTITY
        elif own.awaited is None:
            assert result is CertificateUpdateResult.NO_CORRESPONDING_KEY_PAIR_GENERATED
        elif of != "awaited":
            assert result is CertificateUpdateResult.WRONG_PUBLIC_KEY
        else:
            assert result is CertificateUpdateResult.SUCCESS
            self.model.own[usage] = OwnPair(own.awaited, None, own.awaited)

    @rule(usage=st.sampled_from(sorted(OWN_KEYS)), ahead=st.integers(1, 10))
    def its_certificate_is_read(self, usage: KeyUsage, ahead: int) -> None:
        said = self.asked(PROVIDE, encode_key_usage_request(KeyUsageRequest(usage)), ahead)
        answer = decode_certificate_read_response(said).answer
        held = self.model.own[usage].certified
        if held is None:
            assert isinstance(answer, CertificateReadFailure)
        else:
            assert answer == certificate_of(usage, held).der

    @precondition(lambda self: self.model.own[AGREEMENT].used > 0)
    @rule(data=st.data(), usage=st.sampled_from(sorted(OWN_KEYS)))
    def the_older_keys_mac(self, data: st.DataObject, usage: KeyUsage) -> None:
        older = data.draw(st.integers(0, self.model.own[AGREEMENT].used - 1))
        payload = encode_key_usage_request(KeyUsageRequest(usage))
        self.refused(self.about_own_keys(ISSUE, payload, 1, older)[0])

    @precondition(lambda self: bool(self.accepted))
    @rule(data=st.data())
    def anything_heard_before(self, data: st.DataObject) -> None:
        old = data.draw(st.sampled_from(self.accepted))
        cell = old.cell
        same_keys = (
            identity(cell, *self.model.holder[cell]) == old.signer
            and self.model.own[AGREEMENT].used == old.agreement
        )
        if same_keys and old.counter > self.model.last(cell.role, old.kind):
            # Only where a supplier came back with its old key and a floor below its old Commands:
            # the floor is the incoming party's own protection, and it chose to have none.
            assert cell == SUPPLIER_DS
            return
        self.refused(old.data)

    @rule(way=st.sampled_from(WAYS_TO_SPOIL), to=st.sampled_from(SUPPLIERS))
    def spoiled(self, way: str, to: str) -> None:
        good = self.command(Mode.SUPPLIER_BY_TRANS_COS, 1, [(cell, to, 2) for cell in CELLS])
        match way:
            case "signature":
                data = self.octets(good.but(signer=ESTATE.identity(to, "02")))
            case "mac":
                sent = self.octets(good)  # once: each reading signs anew
                data = sent[:-1] + bytes([sent[-1] ^ 1])
            case "originator":
                data = self.octets(good.but(originator=to))
            case "counter":
                data = self.octets(good.but(counter=self.model.last(Role.TRANSITIONAL_COS)))
            case "recipient":
                data = self.octets(good.but(header={"recipient": "0253494dd0000009"}))
            case "mode":
                data = self.octets(good.with_fields(mode=Mode.TRANS_COS_BY_TRANS_COS))
            case "cell":
                bad = Replacement(identity(TRANS_COS_DS, to, 0).certificate.der, TRANS_COS_DS)
                data = self.octets(good.but(replacements=(bad,)))
            case _:
                others = [eui for eui in COS_PARTIES if eui != good.originator]
                other = identity(TRANS_COS_DS, others[0], 0)
                data = self.octets(good.but(originator=others[0], signer=other))
        self.refused(data)

    @invariant()
    def the_device_is_what_the_model_says(self) -> None:
        if not hasattr(self, "state"):
            return
        for cell, (eui, generation) in self.model.holder.items():
            assert self.state.cells[cell] == identity(cell, eui, generation).certificate
        for role in (Role.SUPPLIER, Role.TRANSITIONAL_COS):
            counters = self.state.counters
            assert counters.credentials.get(role, 0) == self.model.last(role)
            assert counters.commands.get(role, 0) == self.model.last(role, CounterKind.COMMANDS)
        assert set(self.state.pending) == set(self.model.pending)
        for usage, own in self.model.own.items():
            held = self.state.own_key(usage)
            assert (held.generation, held.generated) == (own.used, own.awaited)
            certificate = None if own.certified is None else certificate_of(usage, own.certified)
            assert held.certificate == certificate

    @invariant()
    def nothing_else_ever_changes(self) -> None:
        if not hasattr(self, "state"):
            return
        fresh = ESTATE.device(DeviceType.ESME)
        for cell, certificate in fresh.cells.items():
            if cell not in self.model.holder:
                assert self.state.cells[cell] == certificate
        assert self.state.cells.keys() == fresh.cells.keys()


Meter.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)
TestMeter = Meter.TestCase
