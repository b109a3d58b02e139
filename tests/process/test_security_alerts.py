"""What a meter refuses reaches its supplier, signed by the meter and by the broker."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from stack_bench import Bench

from duis.model import DeviceAlert, Response
from gbcs.codes import AlertCode
from gbcs.message import decode
from gbcs.payloads.alerts import decode_generic_alert
from gbcs.protect import verify_signature
from keys.certificate import Certificate
from stack.cells import cells_of
from stack.receiver import Receiver

pytestmark = pytest.mark.xdist_group("stack")

LIMIT = 30  # seconds for a document to be delivered; none takes a tenth of it
OCTETS = {"Content-Type": "application/octet-stream"}


def tell(bench: Bench, meter: str, message: bytes) -> int:
    """Octets to a meter over the WAN: the status of the answer."""
    url = f"{bench.connection.stack.services['meter_sim'].interface}/devices/{meter}/messages"
    answer = bench.connection.send("meter_sim", "POST", url, content=message, headers=OCTETS)
    assert answer.content == b""
    return answer.status_code


def commands(bench: Bench, meter: str, request_id: str) -> list[bytes]:
    """The octets that the broker sent to a meter for a request."""
    entries = bench.connection.lab("acb", "GET", f"/lab/trace/{request_id}")["entries"]
    return [
        base64.b64decode(entry["message"])
        for entry in entries
        if entry["kind"] == "sent" and entry["receiver"] == meter and entry["message"]
    ]


def alerts(bench: Bench, receiver: Receiver, name: str, meter: str, count: int) -> list[Response]:
    """The meter's alerts that a supplier's own service was sent, each verified."""
    supplier = bench.supplier(name)

    def heard() -> list[Response]:
        read = [supplier.read(d.document) for d in receiver.deliveries if d.supplier == name]
        return [
            one
            for one in read
            if isinstance(one.body, DeviceAlert)
            and one.response_id is not None
            and one.response_id.originator == meter
        ]

    with receiver.changed:
        receiver.changed.wait_for(lambda: len(heard()) >= count, LIMIT)
        found = heard()
    assert len(found) == count
    return found


def certificate(bench: Bench, meter: str) -> Certificate:
    """The meter's own signing certificate, by the ceremony's record."""
    device: dict[str, Any] = next(d for d in bench.devices if d["eui"] == meter)
    return Certificate.from_der(base64.b64decode(device["certificates"]["digital-signing"]))


def test_a_command_with_an_old_mac_is_reported_to_the_new_supplier(
    bench: Bench, receiver: Receiver
) -> None:
    meter = bench.meter("tcos_party")
    outcome = bench.switch(meter, "B")
    assert outcome.ok, outcome
    (command,) = commands(bench, meter, outcome.request_id)
    before = cells_of(bench.connection, meter)
    changed = bytearray(command)
    changed[-20] ^= 1  # in the signature: the MAC, made before, no longer holds

    assert {tell(bench, meter, bytes(changed)) for _ in range(3)} == {204}

    (told,) = alerts(bench, receiver, "B", meter, 1)
    assert isinstance(told.body, DeviceAlert)
    assert told.body.alert_code == AlertCode.TRUSTED_SOURCE_AUTHENTICATION_FAILURE
    message = decode(told.body.gbcs_payload)
    assert message.header.recipient == bench.supplier("B").eui
    verify_signature(message, certificate(bench, meter).public_key)
    payload = decode_generic_alert(message.payload)
    assert payload.alert_code == told.body.alert_code
    assert cells_of(bench.connection, meter) == before
    log = bench.connection.lab("meter_sim", "GET", f"/lab/devices/{meter}/security-log")
    assert [line["code"] for line in log["entries"]][-3:] == ["0x8F3D"] * 3
    story = bench.connection.lab("meter_sim", "GET", f"/lab/trace/{message.reference}")
    assert "meter.mac refused" in story["entries"][0]["summary"]


@pytest.mark.check
def test_garbage_is_unusual_only_in_numbers(bench: Bench, receiver: Receiver) -> None:
    meter = bench.meter("ecos_party")
    for number in range(12):
        assert tell(bench, meter, b"garbage %d" % number) == 204
    (told,) = alerts(bench, receiver, "A", meter, 1)
    assert isinstance(told.body, DeviceAlert)
    assert told.body.alert_code == AlertCode.UNUSUAL_COMMANDS
    (tally,) = bench.connection.lab("meter_sim", "GET", f"/lab/devices/{meter}/alerts")["codes"]
    assert tally["unsaid"] == 7
