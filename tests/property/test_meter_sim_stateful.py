"""A device beside a model of it that is much simpler, under any sequence of commands, good and bad.

The model knows who holds which cell, the highest counter of each role, and what is pending. It
knows nothing of octets, certificates or signatures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.credentials import CANCEL_EXECUTION, CellId, Replacement, SeqNumberChange
from gbcs.date_time import to_generalized_time
from meter_sim.device_types import (
    SUPPLIER_DS,
    SUPPLIER_KA,
    SUPPLIER_TOP_UP,
    TRANS_COS_DS,
    DeviceType,
)
from meter_sim.future import due_roles, execute
from meter_sim.model import DeviceState, Means
from services.chassis.checks import Refused
from tests.unit.meter_sim.estate import (
    ECOS,
    NOW,
    SUPPLIER_A,
    SUPPLIER_B,
    TCOS,
    Command,
    Estate,
    Identity,
    hear,
    make_book,
)

ESTATE = Estate()
SUPPLIERS = (SUPPLIER_A, SUPPLIER_B, "0253494d30000000")
COS_PARTIES = (TCOS, ECOS)
CELLS = (SUPPLIER_DS, SUPPLIER_KA, SUPPLIER_TOP_UP)
WAYS_TO_SPOIL = ("signature", "mac", "originator", "counter", "recipient", "mode", "cell", "old")


@dataclass
class Model:
    """What a device should be, in the fewest words."""

    holder: dict[CellId, tuple[str, int]]
    counter: dict[Role, int] = field(default_factory=dict)
    pending: dict[Role, tuple[datetime, list[tuple[CellId, str, int]], int | None]] = field(
        default_factory=dict
    )

    def last(self, role: Role) -> int:
        return self.counter.get(role, 0)

    def put(self, changes: list[tuple[CellId, str, int]], floor: int | None, role: Role) -> None:
        before = dict(self.holder)
        for cell, eui, generation in changes:
            self.holder[cell] = (eui, generation)
        for whose, signing in (
            (Role.SUPPLIER, SUPPLIER_DS),
            (Role.TRANSITIONAL_COS, TRANS_COS_DS),
        ):
            if self.holder[signing] == before[signing]:
                if floor is not None and whose is role and signing in {c for c, _, _ in changes}:
                    self.counter[whose] = max(floor, self.last(whose))
                continue
            self.pending.pop(whose, None)
            if floor is not None and whose is role:
                self.counter[whose] = floor


def identity(cell: CellId, eui: str, generation: int) -> Identity:
    return ESTATE.holder(cell, eui, generation)


class Meter(RuleBasedStateMachine):
    """Commands against one electricity meter."""

    state: DeviceState
    model: Model
    now: datetime
    accepted: list[tuple[bytes, Command]]

    @initialize()
    def install(self) -> None:
        self.state = ESTATE.device(DeviceType.ESME)
        held = dict.fromkeys(CELLS, (SUPPLIER_A, 0))
        self.model = Model({**held, TRANS_COS_DS: (TCOS, 0)})
        self.now, self.accepted = NOW, []

    @property
    def means(self) -> Means:
        return Means(ESTATE.fleet.keys_of(self.state.eui), self.now, make_book())

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
        data = command.data
        self.state = hear(self.state, data, self.means).state
        self.accepted.append((data, command))
        self.model.counter[command.authority.role] = command.counter

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

    @precondition(lambda self: bool(self.accepted))
    @rule(data=st.data())
    def anything_heard_before(self, data: st.DataObject) -> None:
        old, command = data.draw(st.sampled_from(self.accepted))
        cell = command.authority
        same_key = identity(cell, *self.model.holder[cell]) == command.signer
        if same_key and command.counter > self.model.last(cell.role):
            # Only where a supplier came back with its old key and a floor below its old Commands:
            # the floor is the incoming party's own protection, and it chose to have none.
            assert cell == SUPPLIER_DS
            return
        self.refused(old)

    @rule(way=st.sampled_from(WAYS_TO_SPOIL), to=st.sampled_from(SUPPLIERS))
    def spoiled(self, way: str, to: str) -> None:
        good = self.command(Mode.SUPPLIER_BY_TRANS_COS, 1, [(cell, to, 2) for cell in CELLS])
        match way:
            case "signature":
                data = good.but(signer=ESTATE.identity(to, "02")).data
            case "mac":
                sent = good.data  # once: each reading signs anew
                data = sent[:-1] + bytes([sent[-1] ^ 1])
            case "originator":
                data = good.but(originator=to).data
            case "counter":
                data = good.but(counter=self.model.last(Role.TRANSITIONAL_COS)).data
            case "recipient":
                data = good.but(header={"recipient": "0253494dd0000009"}).data
            case "mode":
                data = good.with_fields(mode=Mode.TRANS_COS_BY_TRANS_COS).data
            case "cell":
                bad = Replacement(identity(TRANS_COS_DS, to, 0).certificate.der, TRANS_COS_DS)
                data = good.but(replacements=(bad,)).data
            case _:
                others = [eui for eui in COS_PARTIES if eui != good.originator]
                other = identity(TRANS_COS_DS, others[0], 0)
                data = good.but(originator=others[0], signer=other).data
        self.refused(data)

    @invariant()
    def the_device_is_what_the_model_says(self) -> None:
        if not hasattr(self, "state"):
            return
        for cell, (eui, generation) in self.model.holder.items():
            assert self.state.cells[cell] == identity(cell, eui, generation).certificate
        for role in (Role.SUPPLIER, Role.TRANSITIONAL_COS):
            assert self.state.counters.credentials.get(role, 0) == self.model.last(role)
        assert set(self.state.pending) == set(self.model.pending)

    @invariant()
    def nothing_else_ever_changes(self) -> None:
        if not hasattr(self, "state"):
            return
        fresh = ESTATE.device(DeviceType.ESME)
        for cell, certificate in fresh.cells.items():
            if cell not in self.model.holder:
                assert self.state.cells[cell] == certificate
        assert self.state.cells.keys() == fresh.cells.keys()


Meter.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestMeter = Meter.TestCase
