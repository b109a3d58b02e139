"""When a device's answer is lost: it is asked what its cells hold, and that settles the request."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace

import httpx
import pytest

from acb.rules.read_back import READ_BACK_CHECKS, question, read_details
from gbcs.codes import Cra, MessageCode, RemotePartyRole, StatusCode
from gbcs.message import Message, OtherInformation, decode, encode
from gbcs.payloads.details import CredentialDetails, RoleDetails, decode_details, encode_details
from gbcs.protect import add_mac, verify_mac
from services.chassis.checks import CheckBook, Refused
from tests.unit.acb.estate import ACB, CELLS, DEVICE, OTHER_DEVICE, SUPPLIER_A, SUPPLIER_B, Estate
from tests.unit.acb.world import StandInMeter, World

DETAILS = MessageCode.PROVIDE_SECURITY_CREDENTIAL_DETAILS


def losing(world: World, *, acts: bool, keeps: str | None = None) -> list[bytes]:
    """A WAN that loses the first answer; a device that did or did not act on the command.

    `keeps`: a cell that the device did not replace after all.
    """
    meter, heard = world.meter, []
    honest = meter.hear

    async def hear(eui: str, octets: bytes) -> bytes | None:
        heard.append(octets)
        if decode(octets).message_code == DETAILS:
            return await honest(eui, octets)
        if len(heard) == 1:
            before = dict(meter.cells[eui])
            if acts:
                await honest(eui, octets)
            if keeps is not None:
                meter.cells[eui][keeps] = before[keeps]
            raise httpx.ReadTimeout("lost")
        return None

    meter.hear = hear  # type: ignore[method-assign]
    return heard


async def through(world: World) -> dict[str, object]:
    await world.accept(world.estate.request())
    await world.parts.base.outbox.idle(deferred=True)
    return await world.told(world.estate.request())


async def test_a_change_whose_answer_was_lost_is_found_out(world: World) -> None:
    heard = losing(world, acts=True)

    told = await through(world)

    assert (told["state"], told["response_code"]) == ("completed", "I0")
    assert [decode(octets).message_code for octets in heard] == [0x0107, 0x0107, 0x0008]
    assert heard[0] == heard[1]
    record = await world.record()
    assert all(record["cells"][name]["subject"] == SUPPLIER_B for name in CELLS)
    assert [alert.body.alert_code for alert in await world.documents(SUPPLIER_A)] == ["N27"]
    # Who signed the command is given what the device said, as the device said it.
    (forwarded,) = [
        decode(base64.b64decode(body["message"]))
        for peer in world.peers.values()
        for purpose, _, body in peer.heard
        if purpose == "device-response"
    ]
    assert forwarded.message_code == DETAILS
    assert forwarded.header.originator == DEVICE


async def test_a_command_the_device_refused_is_found_out_too(world: World) -> None:
    losing(world, acts=False)
    before = await world.record()

    told = await through(world)

    assert (told["state"], told["response_code"]) == ("failed", "E11")
    assert told["refused"]["check"] == "acb.response.received"  # type: ignore[index]
    assert await world.record() == before
    assert await world.documents(SUPPLIER_A) == []


async def test_cells_that_did_change_are_recorded_even_if_not_all_did(world: World) -> None:
    losing(world, acts=True, keeps=CELLS[1])
    before = await world.record()

    told = await through(world)

    assert told["state"] == "failed"
    after = await world.record()
    assert after["cells"][CELLS[0]]["subject"] == SUPPLIER_B
    assert after["cells"][CELLS[1]] == before["cells"][CELLS[1]]


async def test_a_forged_reading_settles_nothing_on_record(world: World) -> None:
    losing(world, acts=False)
    meter, hear = world.meter, world.meter.hear

    async def forged(eui: str, octets: bytes) -> bytes | None:
        answer = await hear(eui, octets)
        if answer is None or decode(octets).message_code != DETAILS:
            return answer
        return encode(add_mac(decode(answer), bytes(32)))

    meter.hear = forged  # type: ignore[method-assign]
    before = await world.record()

    told = await through(world)

    assert told["refused"]["check"] == "acb.response.received"  # type: ignore[index]
    refused = [e["name"] for e in await world.trace(world.estate.request()) if e["verdicts"]]
    assert refused[-1] == "acb.read_back.mac"
    assert await world.record() == before


async def test_each_question_has_a_counter_of_its_own(world: World) -> None:
    heard = losing(world, acts=True)
    hear, lost = world.meter.hear, 0

    async def lossy(eui: str, octets: bytes) -> bytes | None:
        nonlocal lost
        answer = await hear(eui, octets)
        if decode(octets).message_code == DETAILS and lost < 2:
            lost += 1
            raise httpx.ReadTimeout("lost")
        return answer

    world.meter.hear = lossy  # type: ignore[method-assign]

    told = await through(world)

    assert told["state"] == "completed"
    asked = [decode(octets) for octets in heard if decode(octets).message_code == DETAILS]
    assert [item.header.counter for item in asked] == [1, 2, 3]
    assert {item.header.originator for item in asked} == {ACB}


@dataclass
class Asked:
    """A question to a device, and the device."""

    meter: StandInMeter
    command: Message
    secret: bytes

    @property
    def honest(self) -> bytes:
        return self.meter.tell(DEVICE, self.command)

    @property
    def details(self) -> CredentialDetails:
        return decode_details(decode(self.honest).payload)

    def say(self, details: CredentialDetails | None = None, **header: object) -> bytes:
        return self.meter.told(DEVICE, self.command, details or self.details, **header)


@pytest.fixture
def asked(estate: Estate) -> Asked:
    meter = StandInMeter.of(estate)
    secret = meter.secret(DEVICE)
    return Asked(meter, question(ACB, DEVICE, 7, secret), secret)


def judge(checks: CheckBook, asked: Asked, raw: bytes) -> str | None:
    run = checks.start("test", "read_back")
    evidence = read_details(raw, asked.command, asked.secret)
    try:
        for check in READ_BACK_CHECKS:
            run.apply(check, evidence)
    except Refused as refused:
        return refused.check
    run.approve()
    return None


def test_the_question_is_protected_by_the_mac_alone(asked: Asked) -> None:
    message = decode(encode(asked.command))

    assert message.signature == b""
    verify_mac(message, asked.secret)


def test_an_honest_answer_is_accepted(checks: CheckBook, asked: Asked) -> None:
    assert judge(checks, asked, asked.honest) is None


def of_role(asked: Asked, role: RemotePartyRole, status: StatusCode) -> CredentialDetails:
    (told,) = asked.details.roles
    if status != StatusCode.SUCCESS:
        return CredentialDetails((RoleDetails(role, status),))
    return CredentialDetails((replace(told, role=role),))


CASES: list[tuple[str, Callable[[Asked], bytes]]] = [
    ("header", lambda a: a.say(cra=Cra.COMMAND)),
    ("header", lambda a: a.say(originator=OTHER_DEVICE)),
    ("header", lambda a: a.say(recipient=OTHER_DEVICE)),
    ("header", lambda a: a.say(counter=8)),
    ("header", lambda a: a.say(other=OtherInformation(0x011B))),
    ("mac", lambda a: encode(add_mac(decode(a.honest), bytes(32)))),
    ("mac", lambda a: encode(replace(decode(a.honest), mac=None))),
    ("roles", lambda a: a.say(of_role(a, RemotePartyRole.RECOVERY, StatusCode.SUCCESS))),
    ("roles", lambda a: a.say(of_role(a, RemotePartyRole.SUPPLIER, StatusCode.OTHER))),
    ("roles", lambda a: a.say(CredentialDetails(a.details.roles * 2))),
    ("roles", lambda a: a.say(CredentialDetails(()))),
]


@pytest.mark.parametrize(("check", "make"), CASES)
def test_anything_else_is_refused_by_its_check(
    checks: CheckBook, asked: Asked, check: str, make: Callable[[Asked], bytes]
) -> None:
    raw = make(asked)

    assert judge(checks, asked, raw) == f"acb.read_back.{check}"

    checks.turn_off(f"acb.read_back.{check}")
    assert judge(checks, asked, raw) is None


@pytest.mark.parametrize(
    ("raw", "check"), [(b"", "received"), (b"\xdd", "decode"), (b"\x00" * 64, "decode")]
)
def test_silence_and_noise(checks: CheckBook, asked: Asked, raw: bytes, check: str) -> None:
    assert judge(checks, asked, raw) == f"acb.read_back.{check}"


def test_the_shared_secret_is_never_shown(asked: Asked) -> None:
    evidence = read_details(asked.honest, asked.command, asked.secret)

    assert asked.secret.hex() not in repr(evidence)
    assert repr(asked.secret) not in repr(evidence)
    assert encode_details(asked.details) == decode(asked.honest).payload
