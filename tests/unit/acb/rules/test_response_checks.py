"""What a device says: a response or alert that is not true of the command is refused by name."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from acb.checks import RESPONSE_CHECKS
from acb.model import CosParty, DeviceRecord, IssuedCommand, ResponseEvidence
from acb.rules.response import read_device_message
from gbcs.codes import Cra, CredentialsReplacementMode, RemotePartyRole, StatusCode
from gbcs.message import OtherInformation, encode
from gbcs.payloads.credentials import CredentialsOutcome, SeqNumberChange, UpdateCredentials
from gbcs.protect import add_mac, sign
from keys.certificate import Certificate
from services.chassis.checks import CheckBook, Refused
from tests.unit.acb.estate import (
    CELLS,
    DEVICE,
    ECOS,
    OTHER_DEVICE,
    TCOS,
    Estate,
    alert_message,
    outcome_for,
    response_message,
    signed_octets,
    update_for,
)

COUNTER = 5
LAST_ALERT = 2000
DATE = "20300102000000Z"


@dataclass
class Device:
    """What a device under test works with: the command it was sent, and its own key."""

    estate: Estate
    update: UpdateCredentials

    @property
    def before(self) -> dict[str, Certificate]:
        cells = self.estate.devices[DEVICE]["cells"]
        return {name: Certificate.from_der(base64.b64decode(der)) for name, der in cells.items()}

    @property
    def dated(self) -> Device:
        return Device(self.estate, replace(self.update, execution_date_time=DATE))

    def outcome(self, failed: dict[str, StatusCode] | None = None) -> CredentialsOutcome:
        return outcome_for(self.update, self.before, failed)

    def sign(self, data: bytes) -> bytes:
        return self.estate.device_keys.signer(DEVICE).sign(data)

    def respond(self, outcome: CredentialsOutcome | None = None, **header: Any) -> bytes:
        header.setdefault("counter", COUNTER)
        told = self.outcome() if outcome is None and not self.is_dated else outcome
        return signed_octets(response_message(told, **header), self.sign)

    def alert(self, outcome: CredentialsOutcome | None = None, **header: Any) -> bytes:
        header.setdefault("counter", LAST_ALERT + 1)
        header.setdefault("at", DATE)
        told = self.outcome() if outcome is None else outcome
        return signed_octets(alert_message(told, **header), self.sign)

    @property
    def is_dated(self) -> bool:
        return self.update.execution_date_time is not None

    def changed(self, **changes: Any) -> bytes:
        return self.respond(replace(self.outcome(), **changes))


@pytest.fixture
def device(estate: Estate) -> Device:
    return Device(estate, update_for(estate.body(), COUNTER))


def judge(checks: CheckBook, device: Device, raw: bytes) -> str | None:
    """The identifier of the check that refused; None if the whole list said yes."""
    own = device.estate.devices[DEVICE]["certificates"]
    record = DeviceRecord(
        eui=DEVICE,
        device_type="ESME",
        status="Commissioned",
        mpxns=("1234567890123",),
        certificates={
            name: Certificate.from_der(base64.b64decode(der)) for name, der in own.items()
        },
        cells=device.before,
    )
    evidence: ResponseEvidence = replace(
        read_device_message(raw),
        device=record,
        command=IssuedCommand(
            "request", DEVICE, CosParty("tcos_party", TCOS), COUNTER, device.update
        ),
        last_alert_counter=LAST_ALERT,
    )
    run = checks.start("test", "response")
    try:
        for check in RESPONSE_CHECKS:
            run.apply(check, evidence)
    except Refused as refused:
        return refused.check
    run.approve()
    return None


def floors_left_out(device: Device, failed: str) -> bytes:
    told = device.outcome({failed: StatusCode.BAD_CERTIFICATE})
    return device.respond(replace(told, changes=()))


def top_up_floor_left_out(device: Device) -> bytes:
    told = device.outcome({CELLS[2]: StatusCode.BAD_CERTIFICATE})
    change = replace(told.changes[0], specialist=None)
    return device.respond(replace(told, changes=(change,)))


def same_key(device: Device, *, floor: int) -> bytes:
    """The device held that very key before and keeps its counters where they are higher."""
    outcomes = tuple(
        replace(
            item, existing_subject=item.replacing_subject, existing_key_id=item.replacing_key_id
        )
        for item in device.outcome().outcomes
    )
    (change,) = device.outcome().changes
    return device.changed(outcomes=outcomes, changes=(replace(change, floor=floor),))


TRUE = [
    ("signing cell failed, no floor", lambda d: (d, floors_left_out(d, CELLS[0]))),
    ("top-up cell failed, no top-up floor", lambda d: (d, top_up_floor_left_out(d))),
    ("the same key keeps its higher counter", lambda d: (d, same_key(d, floor=5000))),
    ("everything succeeded", lambda d: (d, d.respond())),
    (
        "one cell failed",
        lambda d: (d, d.respond(d.outcome({CELLS[1]: StatusCode.NO_TRUST_ANCHOR}))),
    ),
    (
        "everything failed",
        lambda d: (
            d,
            d.respond(d.outcome(dict.fromkeys(CELLS, StatusCode.BAD_CERTIFICATE))),
        ),
    ),
    ("accepted for later", lambda d: (d.dated, d.dated.respond())),
    ("executed later", lambda d: (d.dated, d.dated.alert())),
    (
        "executed later in part",
        lambda d: (
            d.dated,
            d.dated.alert(d.dated.outcome({CELLS[0]: StatusCode.OTHER}), alert_code=0x8F67),
        ),
    ),
]


@pytest.mark.parametrize(("name", "make"), TRUE, ids=[name for name, _ in TRUE])
def test_what_is_true_of_the_command_is_accepted(
    checks: CheckBook, device: Device, name: str, make: Callable[[Device], tuple[Device, bytes]]
) -> None:
    told, raw = make(device)

    assert judge(checks, told, raw) is None


@dataclass(frozen=True)
class Case:
    """One untruth: what the device says, of which command, and which check refuses it."""

    name: str
    check: str
    make: Callable[[Device], bytes]
    dated: bool = False


def by_another(device: Device) -> bytes:
    signer = device.estate.device_keys.signer(OTHER_DEVICE)
    return signed_octets(response_message(device.outcome(), counter=COUNTER), signer.sign)


def with_mac(device: Device) -> bytes:
    message = sign(response_message(device.outcome(), counter=COUNTER), device.sign)
    return encode(add_mac(message, bytes(32)))


def swapped(device: Device) -> bytes:
    first, second, third = device.outcome().outcomes
    return device.changed(outcomes=(second, first, third))


def lying_about(device: Device, **changes: Any) -> bytes:
    first, *rest = device.outcome().outcomes
    return device.changed(outcomes=(replace(first, **changes), *rest))


CASES = [
    Case("floor left out", "outcome", lambda d: floors_left_out(d, CELLS[1])),
    Case("the same key, a lower counter", "outcome", lambda d: same_key(d, floor=1)),
    Case(
        "another key, a higher counter",
        "outcome",
        lambda d: d.changed(changes=(replace(d.outcome().changes[0], floor=5000),)),
    ),
    Case(
        "top-up floor left out",
        "outcome",
        lambda d: d.changed(changes=(replace(d.outcome().changes[0], specialist=None),)),
    ),
    Case("another device", "originator", lambda d: d.respond(originator=OTHER_DEVICE)),
    Case("to another party", "recipient", lambda d: d.respond(recipient=ECOS)),
    Case("another counter", "counter", lambda d: d.respond(counter=COUNTER + 1)),
    Case(
        "alert counter again",
        "counter",
        lambda d: d.dated.alert(counter=LAST_ALERT),
        dated=True,
    ),
    Case("a command", "message_code", lambda d: d.respond(cra=Cra.COMMAND)),
    Case(
        "an alert's flag missing", "message_code", lambda d: d.dated.alert(cra=Cra.RESPONSE), True
    ),
    Case("another device's key", "signature", by_another),
    Case("a MAC", "signature", with_mac),
    Case(
        "no signature",
        "signature",
        lambda d: encode(replace(response_message(d.outcome(), counter=COUNTER), signature=b"")),
    ),
    Case(
        "another mode",
        "outcome",
        lambda d: d.changed(mode=CredentialsReplacementMode.SUPPLIER_BY_SUPPLIER),
    ),
    Case("of another command", "outcome", lambda d: d.changed(authorising_counter=4)),
    Case("one cell less", "outcome", lambda d: d.changed(outcomes=d.outcome().outcomes[:2])),
    Case("another order", "outcome", swapped),
    Case("another certificate", "outcome", lambda d: lying_about(d, replacing_key_id=bytes(8))),
    Case("another subject", "outcome", lambda d: lying_about(d, replacing_subject=bytes(8))),
    Case(
        "failed and yet replaced",
        "outcome",
        lambda d: lying_about(d, status=StatusCode.BAD_CERTIFICATE),
    ),
    Case(
        "another floor",
        "outcome",
        lambda d: d.changed(changes=(SeqNumberChange(RemotePartyRole.SUPPLIER, 1),)),
    ),
    Case(
        "another role's floor",
        "outcome",
        lambda d: d.changed(
            changes=(*d.outcome().changes, SeqNumberChange(RemotePartyRole.RECOVERY, 1))
        ),
    ),
    Case(
        "accepted only",
        "outcome",
        lambda d: signed_octets(response_message(None, counter=COUNTER), d.sign),
    ),
    Case("done before its date", "outcome", lambda d: d.dated.respond(d.outcome()), True),
    Case(
        "alert of success in spite of failure",
        "outcome",
        lambda d: d.dated.alert(d.dated.outcome({CELLS[0]: StatusCode.OTHER})),
        True,
    ),
    Case(
        "alert of failure in spite of success",
        "outcome",
        lambda d: d.dated.alert(alert_code=0x8F67),
        True,
    ),
    Case("alert of another date", "outcome", lambda d: d.dated.alert(at="20300103000000Z"), True),
    Case("alert of a command that had no date", "outcome", lambda d: d.alert()),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_untruth_is_refused_by_its_check(checks: CheckBook, device: Device, case: Case) -> None:
    told = device.dated if case.dated else device

    assert judge(checks, told, case.make(device)) == f"acb.response.{case.check}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_with_that_check_off_the_untruth_is_believed(
    checks: CheckBook, device: Device, case: Case
) -> None:
    told = device.dated if case.dated else device
    checks.turn_off(f"acb.response.{case.check}")

    assert judge(checks, told, case.make(device)) is None


@pytest.mark.parametrize(
    ("raw", "check"),
    [
        (b"", "acb.response.received"),
        (b"\xdf", "acb.response.decode"),
        (b"\x00" * 100, "acb.response.decode"),
    ],
)
def test_silence_and_noise(checks: CheckBook, device: Device, raw: bytes, check: str) -> None:
    assert judge(checks, device, raw) == check


def test_a_message_of_another_use_case_is_not_read_as_this_one(
    checks: CheckBook, device: Device
) -> None:
    message = replace(
        response_message(device.outcome(), counter=COUNTER),
    )
    header = replace(message.header, other=OtherInformation(0x0102))
    raw = signed_octets(replace(message, header=header), device.sign)

    assert judge(checks, device, raw) == "acb.response.decode"


def test_a_message_about_no_command_of_ours_is_refused(checks: CheckBook, device: Device) -> None:
    evidence = read_device_message(device.respond())
    run = checks.start("test", "response")
    run.apply("acb.response.received", evidence)
    run.apply("acb.response.decode", evidence)

    with pytest.raises(Refused) as refused:
        run.apply("acb.response.command", evidence)

    assert refused.value.check == "acb.response.command"


def test_every_check_of_the_list_has_a_case() -> None:
    covered = {f"acb.response.{case.check}" for case in CASES}
    covered |= {f"acb.response.{name}" for name in ("received", "decode", "command")}

    assert covered == {check.id for check in RESPONSE_CHECKS}
