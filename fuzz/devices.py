"""Mutated messages at a device: none may be obeyed, and none may make anything fall over.

Most go through the pure rules, which is where a device decides; a share goes over HTTP to a real
process, where a device is waiting for the honest original and obeys it in the end. One in three is
mended after it was changed: lengths and MAC fit, as if whoever holds the Broker's key had done it,
so that the signature has to hold.

Apart from these, parties sign what is mutated themselves. What they may say they may have obeyed,
so there only a device that falls over is a finding.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import httpx

from cli.keys_commands import hold_ceremony
from fuzz.finding import PATIENCE, Tally
from fuzz.noise import Noise, mutated
from gbcs.codes import CredentialsReplacementMode as Mode
from gbcs.codes import KeyUsage
from gbcs.codes import RemotePartyRole as Role
from gbcs.message import Message, decode, encode
from gbcs.payloads.device_certificates import (
    CertificateUpdate,
    KeyUsageRequest,
    encode_certificate_update,
    encode_key_usage_request,
)
from gbcs.protect import add_mac
from meter_sim.device.device_types import TRANS_COS_DS
from meter_sim.device.model import DeviceContext, DeviceState, OwnKey
from services.chassis.checks import Refused
from stack.connection import Connection
from stack.processes import start, stop
from stack.provision import devices_of, provision
from stack.supplier import Supplier
from stack.switching import submit
from tests.unit.meter_sim.estate import (
    DEVICE,
    TCOS,
    Estate,
    about_own_keys,
    ask_details,
    device_certificate,
    hear,
)

OCTETS = {"Content-Type": "application/octet-stream"}
LOST = 1000
MENDED = 3  # one in so many
OBEYED = "(none: it may be said)"


def honest_messages(estate: Estate) -> list[bytes]:
    """Messages that a device obeys or answers, of every kind of protection."""
    by_recovery = estate.command(Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY)
    by_cos = ask_details(
        estate,
        (Role.SUPPLIER,),
        by=estate.holder(TRANS_COS_DS),
        cell=TRANS_COS_DS,
        originator=TCOS,
    )
    return [
        estate.command().data,
        estate.command().with_fields(execution_date_time="20270101000000Z").data,
        estate.command(Mode.ACCESS_CONTROL_BROKER_BY_ACB).data,
        estate.command(Mode.SUPPLIER_BY_SUPPLIER).data,
        by_recovery.with_fields(new_floor=1).data,
        encode(ask_details(estate, (Role.SUPPLIER,))),
        encode(by_cos),
    ]


def in_process(count: int, seed: int) -> Tally:
    """`count` mutations through the pure rules of a meter."""
    tally, noise, estate = Tally("device, pure rules"), Noise(seed, "device"), Estate()
    device, means, honest = estate.device(), estate.means(), honest_messages(estate)
    signed = [message for message in map(decode, honest) if message.signature]
    for message in honest:
        if not hear(device, message, means).response:
            raise AssertionError("a message that shall be mutated is not answered as it is")
    for _ in range(count):
        if noise.below(MENDED):
            data = mutated(noise.one_of(honest), noise)
        else:
            data = mended(noise.one_of(signed), estate.broker_secret(DEVICE), noise)
        if _heard(device, data, means, tally):
            tally.found("obeyed", data)
    return tally


def signed_by_their_own(count: int, seed: int) -> Tally:
    """`count` mutated payloads under good signatures and MACs: nothing may make a meter fall."""
    tally, noise, estate = Tally("device, signed nonsense"), Noise(seed, "signed"), Estate()
    device, means = estate.device(own={KeyUsage.DIGITAL_SIGNATURE: OwnKey(0, 1)}), estate.means()
    commands = [
        estate.command(),
        estate.command().with_fields(execution_date_time="20270101000000Z"),
        estate.command(Mode.SUPPLIER_BY_SUPPLIER),
        estate.command(Mode.TRANS_COS_BY_TRANS_COS),
        estate.command(Mode.ACCESS_CONTROL_BROKER_BY_ACB),
        estate.command(Mode.ANY_EXCEPT_ABNORMAL_ROOT_BY_RECOVERY).with_fields(new_floor=1),
    ]
    payloads = [(command, command.unsigned.payload) for command in commands]
    asked, own_keys = ask_details(estate, (Role.SUPPLIER,)), _about_own_keys(estate)
    for _ in range(count):
        match noise.below(8):
            case 0:
                code, payload = noise.one_of(own_keys)
                data = about_own_keys(estate, code, mutated(payload, noise))
            case 1:
                message = replace(asked, payload=mutated(asked.payload, noise), mac=None)
                data = encode(add_mac(message, estate.broker_secret(DEVICE)))
            case _:
                command, payload = noise.one_of(payloads)
                data = command.but(payload=mutated(payload, noise)).data
        if _heard(device, data, means, tally):
            tally.refused(OBEYED)
    return tally


def _about_own_keys(estate: Estate) -> list[tuple[int, bytes]]:
    """Message codes and payloads of CS02c, CS02d and CS02e, as a supplier would send them."""
    asking = encode_key_usage_request(KeyUsageRequest(KeyUsage.DIGITAL_SIGNATURE))
    next_one = device_certificate(estate, DEVICE, "digital_signature", generation=1)
    giving = encode_certificate_update(CertificateUpdate(next_one.der))
    return [(0x000A, asking), (0x000B, giving), (0x000C, asking)]


def _heard(device: DeviceState, data: bytes, means: DeviceContext, tally: Tally) -> bool:
    """Whether the device obeys; refusals are counted, and whatever else happens is a finding."""
    try:
        hear(device, data, means)
    except Refused as refused:
        tally.refused(refused.check)
    except Exception as error:  # noqa: BLE001 - whatever else it is, it is a finding
        tally.found(f"{type(error).__name__} {error}", data)
    else:
        return True
    return False


def mended(honest: Message, z: bytes, noise: Noise) -> bytes:
    """A signed message with something of it changed, and lengths and MAC made to fit again."""
    header, payload, signature = honest.header, honest.payload, honest.signature or b""
    while (header, payload, signature) == (honest.header, honest.payload, honest.signature):
        match noise.below(5):
            case 0:
                spoilt = bytearray(signature)
                spoilt[noise.below(len(spoilt))] ^= 1 << noise.below(8)
                signature = bytes(spoilt)
            case 1:
                header = replace(header, counter=header.counter + 1 + noise.below(1 << 20))
            case 2:
                header = replace(header, date_time=noise.octets(12))
            case _:
                payload = mutated(payload, noise)
    message = replace(honest, header=header, payload=payload, signature=signature, mac=None)
    return encode(message if honest.mac is None else add_mac(message, z))


def over_http(count: int, seed: int) -> Tally:
    """`count` mutations of a real command, posted to a real process that still awaits it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        hold_ceremony(data)
        stack = start(data, lambda _line: None, first_port=None)
        try:
            with Connection(stack) as connection:
                provision(connection, data)
                return _at_the_wan(connection, data, count, seed)
        finally:
            stop(stack)


def _at_the_wan(connection: Connection, data: Path, count: int, seed: int) -> Tally:
    tally, noise = Tally("device, over HTTP"), Noise(seed, "wan")
    meter = str(devices_of(data)[0]["eui"])
    url = f"{connection.stack.services['meter_sim'].interface}/devices/{meter}/messages"
    honest = _undelivered(connection, data, meter)
    before = connection.lab("meter_sim", "GET", f"/lab/devices/{meter}")
    for _ in range(count):
        message = mutated(honest, noise)
        try:
            answer = connection.http.post(url, content=message, headers=OCTETS, timeout=PATIENCE)
        except httpx.TransportError as error:
            tally.found(f"no answer: {type(error).__name__}", message)
            continue
        if answer.status_code == httpx.codes.NO_CONTENT or answer.is_client_error:
            tally.refused(str(answer.status_code))
        else:
            tally.found(f"answered {answer.status_code}", message)
    after = connection.lab("meter_sim", "GET", f"/lab/devices/{meter}")
    if any(before[kept] != after[kept] for kept in ("cells", "counters", "pending")):
        tally.findings.append("the device is not as it was")
    if connection.http.post(url, content=honest, headers=OCTETS).status_code != httpx.codes.OK:
        tally.findings.append("the honest original is not obeyed: the run proves nothing")
    return tally


def _undelivered(connection: Connection, data: Path, meter: str) -> bytes:
    """A command with signature and MAC that the WAN lost, so that the meter still awaits it."""
    lose, sizes = f"/lab/devices/{meter}/wan", {"lose_messages": LOST, "lose_answers": 0}
    connection.lab("meter_sim", "PUT", lose, sizes)
    mpxn = next(d["mpxn"] for d in devices_of(data) if d["eui"] == meter)
    request_id, document = Supplier.open(data, "B").change_of_supplier(meter, mpxn)
    submit(connection, document, str(request_id))
    connection.lab("meter_sim", "PUT", lose, {"lose_messages": 0, "lose_answers": 0})
    entries = connection.lab("acb", "GET", f"/lab/trace/{request_id}")["entries"]
    sent: Sequence[bytes] = [
        base64.b64decode(entry["message"])
        for entry in entries
        if entry["kind"] == "sent" and entry["receiver"] == meter and entry["message"]
    ]
    return sent[0]
