"""One of every kind of message that this project says, taken from the parts that say them.

Commands to a device are an honest party's as the tests' estate writes them; what a device says is
said by the device's own rules. What the CoS Parties and the broker say is said by their workflows.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx

from duis.model import (
    CANCEL_DATE,
    CredentialType,
    Header,
    IssueSecurityCredentials,
    PreCommand,
    RemotePartyRole,
    RequestHandoverOfDCCControlledDevice,
    ResponseMessage,
    RetrieveDeviceSecurityCredentialsDevice,
    RetrieveDeviceSecurityCredentialsKRP,
    ServiceRequest,
    SignedPreCommand,
    UpdateSecurityCredentialsDevice,
    UpdateSecurityCredentialsKRP,
)
from duis.request_id import RequestId
from gbcs.block_transfer import acknowledge, split, transfer_of
from gbcs.codes import AlertCode, KeyUsage
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import Message, decode, encode
from gbcs.payloads.credentials import CANCEL_EXECUTION, Replacement, SeqNumberChange
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    decode_issue_response,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import sign
from keys.issuing.issue import certify_request
from meter_sim.device.alerts import raise_alert
from meter_sim.device.contingency import wrap
from meter_sim.device.device_types import NETWORK_DS, ROOT, SUPPLIER_DS, TRANS_COS_DS, DeviceType
from meter_sim.device.future import execute
from meter_sim.device.model import DeviceState, OwnKey, OwnKeyFault
from meter_sim.device.modes import MODES, rule
from tests.unit.acb import estate as broker_estate
from tests.unit.acb.meters import Meters, install_meters
from tests.unit.acb.world import World, make_world, provision
from tests.unit.cos_party import estate as cos_estate
from tests.unit.meter_sim.estate import (
    DEVICE,
    NETWORK,
    NOW,
    SUPPLIER_B,
    TCOS,
    Command,
    Estate,
    Identity,
    about_own_keys,
    ask_details,
    device_certificate,
    hear,
    key,
    make_authority,
)

Said = tuple[str, bytes]
LATER = "20261122120000Z"
SIGNING = KeyUsage.DIGITAL_SIGNATURE


def of_devices(estate: Estate) -> list[Said]:
    """All that is below of what devices hear and say."""
    return [
        *of_every_mode(estate),
        *of_failure_and_of_later(estate),
        *of_credential_details(estate),
        *of_own_keys(estate),
        *of_security_alerts(estate),
        *with_long_lengths(estate),
    ]


def of_every_mode(estate: Estate) -> Iterator[Said]:
    """Each mode on each type of device that has it: the Command, and the Response."""
    for mode in MODES:
        if mode is Mode.ANY_BY_CONTINGENCY:
            continue
        for kind in DeviceType:
            if kind in rule(mode, kind).devices:
                data = _honest(estate, mode, kind).data
                yield f"{mode.label} on {kind.value}, command", data
                reaction = hear(estate.device(kind), data, estate.means())
                yield f"{mode.label} on {kind.value}, response", reaction.response
    yield from _by_contingency(estate)


def _honest(estate: Estate, mode: Mode, kind: DeviceType) -> Command:
    command = estate.command(mode, device_type=kind)
    if rule(mode, kind).cells != {ROOT}:
        return command
    new, link = make_authority("SIM-ZC", "00", None), make_authority("SIM-ZC", "00", estate.root)
    command = command.but(replacements=(Replacement(new.certificate.der, ROOT),))
    return command.with_fields(path_certificates=(link.certificate.der,))


def _by_contingency(estate: Estate) -> Iterator[Said]:
    apex, symmetric = key("contingency"), bytes(range(16))
    state = estate.device(wrapped_contingency=wrap(apex.public_key(), symmetric))
    root = make_authority("SIM-ZD", "00", None)
    command = estate.command(
        Mode.ANY_BY_CONTINGENCY,
        originator="0253494d000017ff",
        signer=Identity(apex, root.certificate),
        replacements=(Replacement(root.certificate.der, ROOT),),
    ).with_fields(
        plaintext_symmetric_key=symmetric,
        other_changes=(SeqNumberChange(Role.SUPPLIER, 9, None),),
    )
    yield f"{Mode.ANY_BY_CONTINGENCY.label}, command", command.data
    yield "anyByContingency, response", hear(state, command.data, estate.means()).response


def of_failure_and_of_later(estate: Estate) -> Iterator[Said]:
    """A cell that fails; a Command for later, its Alerts both ways; a cancellation."""
    stranger = estate.identity(SUPPLIER_B, "02", generation=1, issuer=estate.other_issuing)
    failing = (Replacement(stranger.certificate.der, SUPPLIER_DS),)
    refused = estate.command(replacements=failing).data
    yield "a cell fails, command", refused
    yield "a cell fails, response", hear(estate.device(), refused, estate.means()).response
    for mode in (Mode.SUPPLIER_BY_TRANS_COS, Mode.LOAD_CONTROLLER_BY_SUPPLIER):
        later = estate.command(mode).with_fields(execution_date_time=LATER)
        spoiled = later.but(replacements=(*failing, *later.replacing()[1:]))
        if mode is Mode.LOAD_CONTROLLER_BY_SUPPLIER:
            cell = later.replacing()[0].cell
            spoiled = later.but(replacements=(Replacement(stranger.certificate.der, cell),))
        for name, command in (("succeeds", later), ("fails", spoiled)):
            accepted = hear(estate.device(), command.data, estate.means())
            yield f"{mode.label} for later, {name}, command", command.data
            yield f"{mode.label} for later, {name}, response", accepted.response
            at = estate.means(at=NOW + timedelta(days=1))
            done = execute(accepted.state, command.authority.role, at)
            yield f"{mode.label} for later, {name}, alert", done.response
        cancel = later.but(counter=6002).with_fields(execution_date_time=CANCEL_EXECUTION)
        yield f"{mode.label} cancelled, command", cancel.data
        state = hear(estate.device(), later.data, estate.means()).state
        yield f"{mode.label} cancelled, response", hear(state, cancel.data, estate.means()).response


def of_credential_details(estate: Estate) -> Iterator[Said]:
    """CS02a and CS02f, by MAC and by signature, with a role that is not there."""
    signed = ask_details(
        estate,
        (Role.TRANSITIONAL_COS,),
        by=estate.holder(TRANS_COS_DS),
        cell=TRANS_COS_DS,
        originator=TCOS,
    )
    network = ask_details(
        estate,
        (Role.NETWORK_OPERATOR,),
        by=estate.holder(NETWORK_DS),
        cell=NETWORK_DS,
        originator=NETWORK,
    )
    every = tuple(role for role in Role if role is not Role.OTHER)
    for name, asked in (
        ("CS02a by MAC", ask_details(estate, every[:8])),
        ("CS02a by MAC, one role that is not there", ask_details(estate, (Role.WAN_PROVIDER,))),
        ("CS02a by signature", signed),
        ("CS02a by the network operator", network),
        ("CS02f", ask_details(estate, (Role.LOAD_CONTROLLER,), code=0x011B)),
    ):
        yield f"{name}, command", encode(asked)
        yield f"{name}, response", hear(estate.device(), encode(asked), estate.means()).response


def of_own_keys(estate: Estate) -> Iterator[Said]:
    """CS02c, CS02d and CS02e: what succeeds and what does not."""
    waiting = estate.device(own={SIGNING: OwnKey(0, 1)})
    for usage, name in ((SIGNING, "digital_signature"), (KeyUsage.KEY_AGREEMENT, "key_agreement")):
        ask = encode_key_usage_request(KeyUsageRequest(usage))
        held = device_certificate(estate, DEVICE, name)
        new = device_certificate(estate, DEVICE, name, generation=1)
        giving = encode_certificate_update(CertificateUpdate(new.der))
        awaits = replace(waiting, own={usage: OwnKey(0, 1)})
        holds = replace(waiting, own={usage: OwnKey(0, None, held)})
        yield from _asked(estate, f"CS02c {name}", (0x000A, ask), estate.device())
        yield from _asked(estate, f"CS02d {name}", (0x000B, giving), awaits)
        yield from _asked(estate, f"CS02d {name}, refused", (0x000B, giving), estate.device())
        yield from _asked(estate, f"CS02e {name}", (0x000C, ask), holds)
        yield from _asked(estate, f"CS02e {name}, none held", (0x000C, ask), estate.device())
    ask = encode_key_usage_request(KeyUsageRequest(SIGNING))
    faults = frozenset(OwnKeyFault)
    yield from _asked(estate, "CS02c at fault", (0x000A, ask), estate.device(), faults)


def _asked(
    estate: Estate,
    name: str,
    asked: tuple[int, bytes],
    state: DeviceState,
    faults: frozenset[OwnKeyFault] = frozenset(),
) -> Iterator[Said]:
    data = about_own_keys(estate, *asked)
    yield f"{name}, command", data
    means = replace(estate.means(), faults=faults)
    yield f"{name}, response", hear(state, data, means).response


def with_long_lengths(estate: Estate) -> Iterator[Said]:
    """A device that writes lengths in more octets than they need, as published answers do."""
    means = replace(estate.means(), long_lengths=True)
    data = estate.command().data
    plain, long = (hear(estate.device(), data, how).response for how in (estate.means(), means))
    assert len(long) > len(plain)
    yield "long lengths, response", long
    later = estate.command().with_fields(execution_date_time=LATER)
    state = hear(estate.device(), later.data, means).state
    at = replace(means, at=NOW + timedelta(days=1))
    yield "long lengths, alert", execute(state, later.authority.role, at).response


def of_security_alerts(estate: Estate) -> Iterator[Said]:
    """Every code that a device may raise of itself, to the supplier and to the WAN provider.

    What became of a dated command is told in a message of its own (0x00CB), never in this form.
    """
    dated = {AlertCode.FUTURE_DATED_SUCCESS, AlertCode.FUTURE_DATED_FAILURE}
    for kind in (DeviceType.ESME, DeviceType.CHF):
        for code in sorted(set(AlertCode) - dated):
            raised = raise_alert(estate.device(kind), int(code), estate.means())
            assert raised is not None
            yield f"security alert {code:04X} of {kind.value}", raised.alert


def in_blocks(octets: bytes, size: int) -> list[bytes]:
    """A message's blocks, and the acknowledgement of them all."""
    frames = list(split(octets, size))
    return [*frames, acknowledge(transfer_of(decode(octets)), len(frames))]


async def of_cos_parties(folder: Path) -> list[Said]:
    """What both CoS Parties sign: at once, for later, cancelled."""
    estate, said = cos_estate.Estate(), list[Said]()
    for prefix in ("tcos", "ecos"):
        (folder / prefix).mkdir()
        party = await cos_estate.open_party(folder / prefix, estate, prefix)
        later = party.clock.now() + timedelta(days=10)
        for number, (name, asked) in enumerate(
            (
                ("at once", {}),
                ("for later", {"execution_date_time": later}),
                ("cancelled", {"execution_date_time": CANCEL_DATE}),
            )
        ):
            content = estate.ask(counter=number, **asked).signed
            signed = (await party.command(content))["signed_command"]
            said.append((f"{prefix} signs, {name}, command", base64.b64decode(signed)))
        await party.base.close()
    return said


class Listening:
    """A broker and real meters, and everything that passes between them."""

    def __init__(self, world: World, meters: Meters) -> None:
        self.world, self.meters = world, meters
        self.said: list[Said] = []
        self._counter = 0
        deliver = meters.wan.handle_async_request

        async def overhear(request: httpx.Request) -> httpx.Response:
            heard = request.content
            self.said.append((f"broker sends {_code(heard)}, command", heard))
            answer = await deliver(request)
            if answered := await answer.aread():
                self.said.append((f"device answers {_code(answered)}, response", answered))
            return answer

        meters.wan.handle_async_request = overhear  # type: ignore[method-assign]

    def request(self, service: str, variant: int, body: object) -> ServiceRequest:
        self._counter += 1
        name = RequestId(broker_estate.SUPPLIER_A, broker_estate.DEVICE, self._counter)
        reference = ".".join(service.split(".")[:2])
        return ServiceRequest(Header(name, variant, reference, service), body)  # type: ignore[arg-type]

    async def run(self, request: ServiceRequest) -> None:
        told = await self.world.run(request)
        assert (told["state"], told["response_code"]) == ("completed", "I0"), told

    async def by_pre_command(self, service: str, body: object) -> bytes:
        """Variant 4, the supplier's signature, variant 5; what the device answers."""
        asked = self.request(service, 4, body)
        answer = await self.world.submit(self.world.estate.signed(asked))
        response = self.world.read(answer.content).body
        assert isinstance(response, ResponseMessage)
        assert isinstance(response.content, PreCommand)
        written = response.content.gbcs_payload
        self.said.append((f"broker writes {_code(written)}, pre-command", written))
        signer = self.world.estate.suppliers[broker_estate.SUPPLIER_A].signer("digital-signing")
        signed = encode(sign(decode(written), signer.sign))
        await self.run(self.request(service, 5, SignedPreCommand(signed)))
        return self.said[-1][1]


def _code(octets: bytes) -> str:
    return f"{decode(octets).message_code:04X}"


async def of_broker_and_meters(folder: Path) -> list[Said]:
    """Every service that the broker gives, through its workflow, to real meters and back."""
    estate = broker_estate.Estate.make(folder / "data")
    world = await make_world(estate, folder)
    await provision(world)
    meters = await install_meters(world.around, folder)
    try:
        ear = Listening(world, meters)
        await _every_service(ear)
    finally:
        await world.stop()
        await meters.close()
        await world.close()
    return ear.said


async def _every_service(ear: Listening) -> None:
    estate = ear.world.estate
    for role in (RemotePartyRole.SUPPLIER, RemotePartyRole.LOAD_CONTROLLER):
        await ear.run(ear.request("6.24.1", 1, RetrieveDeviceSecurityCredentialsKRP((role,))))
    agreement = CredentialType.KEY_AGREEMENT
    answer = await ear.by_pre_command("6.17", IssueSecurityCredentials(agreement))
    asked = decode_issue_response(decode(answer).payload).answer
    assert isinstance(asked, bytes)
    given = certify_request(estate.data, asked, estate.now)
    await ear.by_pre_command("6.15.2", UpdateSecurityCredentialsDevice(given.der))
    await ear.by_pre_command("6.24.2", RetrieveDeviceSecurityCredentialsDevice(agreement))
    keys = estate.suppliers[broker_estate.SUPPLIER_A]
    own = {
        "digital_signing": keys.certificate("digital-signing").der,
        "key_agreement": keys.certificate("key-agreement").der,
        "path_certificates": (estate.issuing.der,),
        "remote_party_role": RemotePartyRole.SUPPLIER,
    }
    await ear.by_pre_command("6.15.1", UpdateSecurityCredentialsKRP(floor=20, **own))  # type: ignore[arg-type]
    await ear.run(estate.request())
    await _as_it_leaves_the_factory(ear)
    own["key_agreement_top_up"] = keys.certificate("prepayment-key-agreement").der
    handover = RequestHandoverOfDCCControlledDevice(
        floor=1000,
        prepayment_top_up_floor=2000,
        **own,  # type: ignore[arg-type]
    )
    await ear.run(ear.request("6.21", 1, handover))


async def _as_it_leaves_the_factory(ear: Listening) -> None:
    """The device anew, with the broker's certificates in the supplier's cells."""
    estate, meters = ear.world.estate, ear.meters
    device, keys = estate.devices[broker_estate.DEVICE], estate.keys("acb")
    names = ("digital-signing", "key-agreement", "key-agreement")
    held = {
        cell: base64.b64encode(keys.certificate(name).der).decode()
        for cell, name in zip(broker_estate.CELLS, names, strict=True)
    }
    made = {name: device[name] for name in ("eui", "device_type", "certificates")}
    made["cells"] = device["cells"] | held
    assert (await meters.lab.delete(f"/lab/devices/{broker_estate.DEVICE}")).is_success
    assert (await meters.lab.post("/lab/devices", json=made)).is_success
    told = await ear.world.lab.post("/lab/devices", json=made | {"mpxns": [device["mpxn"]]})
    assert told.is_success, told.text


def kind_of(octets: bytes) -> tuple[int, int, bool]:
    """Message code, Command, Response or Alert, and whether it is a Pre-Command."""
    message: Message = decode(octets)
    return message.message_code, int(message.header.cra), message.is_pre_command
