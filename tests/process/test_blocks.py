"""A change of supplier in blocks, over a network that loses, repeats and reorders them."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from pathlib import Path

import pytest
from stack_bench import Bench
from stack_homes import new_home

from cli.keys_commands import hold_ceremony
from duis.request_id import RequestId
from gbcs.block_transfer import decode_block, is_block
from gbcs.codes import AlertCode
from gbcs.message import decode
from gbcs.payloads.credentials import decode_alert
from gbcs.text.blocks import put_together
from services.chassis.time.clock import SystemClock
from stack.clocks import real_clocks, set_clocks
from stack.connection import Connection
from stack.export import export, messages_of
from stack.processes import start, stop
from stack.provision import provision
from stack.receiver import Receiver

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

LIMIT = 30  # seconds for what is delivered; none takes a tenth of it
SIZE = 200
SUPPLIER_CELLS = (
    "supplier/digitalSignature/management",
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
)
BAD_NETWORK = {
    "lose_messages": 3,
    "lose_answers": 3,
    "duplicate_messages": 3,
    "duplicate_answers": 2,
    "reorder_messages": 2,
    "reorder_answers": 2,
    "among": 24,
}


def switch_blocks_on(bench: Bench, meter: str) -> None:
    told = bench.connection.lab("acb", "PUT", f"/lab/devices/{meter}/blocks", {"size": SIZE})
    assert told["in_force"] == SIZE


def carried(bench: Bench, meter: str) -> list[bytes]:
    """Every message and block between the broker and a meter, as the broker saw them."""
    found = messages_of(bench.connection)
    return [b64decode(one["message"]) for one in found if meter in (one["sender"], one["receiver"])]


def answered(bench: Bench, meter: str) -> list[str]:
    """What the meter acted on."""
    entries = bench.connection.lab("meter_sim", "GET", f"/lab/devices/{meter}/trace")["entries"]
    return [
        entry["reference"]
        for entry in entries
        if entry["kind"] == "answered" and decode(b64decode(entry["heard"])).message_code == 0x0107
    ]


@pytest.mark.parametrize(
    ("cos_party", "seed"),
    [
        ("ecos_party", 1),
        pytest.param("tcos_party", 2, marks=pytest.mark.check),
        pytest.param("ecos_party", 3, marks=pytest.mark.check),
        pytest.param("tcos_party", 4, marks=pytest.mark.check),
    ],
)
def test_a_home_changes_supplier_in_blocks_on_a_bad_network(
    bench: Bench, cos_party: str, seed: int
) -> None:
    meter = new_home(bench, cos_party).meter
    switch_blocks_on(bench, meter)
    bench.connection.lab(
        "meter_sim", "PUT", f"/lab/devices/{meter}/wan", BAD_NETWORK | {"seed": seed}
    )

    outcome = bench.switch(meter, "B")

    assert outcome.state == "completed", outcome
    b = bench.supplier("B").eui
    after = bench.cells(meter)
    assert {after[name].subject for name in SUPPLIER_CELLS} == {b}
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    for name in SUPPLIER_CELLS:
        assert record[name]["key_identifier"] == after[name].key_identifier
    assert len(answered(bench, meter)) == 1, "obeyed once"
    left = bench.connection.lab("meter_sim", "GET", f"/lab/devices/{meter}/wan")["left"]
    assert sum(left.values()) < sum(n for knob, n in BAD_NETWORK.items() if knob != "among")


@pytest.mark.check
def test_what_the_broker_recorded_makes_the_message(bench: Bench, tmp_path: Path) -> None:
    meter = new_home(bench, "tcos_party").meter
    switch_blocks_on(bench, meter)
    assert bench.switch(meter, "B").ok
    frames = [one for one in carried(bench, meter) if is_block(one)]
    to_meter = [f for f in frames if decode_block(f).transfer.recipient == meter]
    command = put_together(to_meter).message
    assert command is not None
    assert decode(command).header.recipient == meter
    assert len(command) > SIZE
    assert export(bench.connection, tmp_path).messages >= len(frames)
    assert any(bytes.fromhex(f.read_text()) == frames[0] for f in tmp_path.glob("*block-1-of-*"))


def answers(receiver: Receiver, request_id: RequestId) -> int:
    """How many documents about a request have come for its supplier."""
    name = request_id.text.encode()
    return sum(d.supplier == "B" and name in d.document for d in receiver.deliveries)


@pytest.mark.check
def test_a_dated_change_ends_with_an_alert_in_blocks(bench: Bench, receiver: Receiver) -> None:
    meter = new_home(bench, "ecos_party").meter
    switch_blocks_on(bench, meter)
    bench.connection.lab("meter_sim", "PUT", f"/lab/devices/{meter}/blocks", {"size": SIZE})
    now = SystemClock().now().replace(microsecond=0)
    day = now + timedelta(days=10)
    set_clocks(bench.connection, now)
    try:
        request_id, document = bench.supplier("B").change_of_supplier(
            meter, bench.mpxn(meter), execution=day
        )
        assert bench.submit(document, request_id).state == "scheduled"
        set_clocks(bench.connection, day + timedelta(seconds=1))
        with receiver.changed:  # that it was accepted, and what became of it
            assert receiver.changed.wait_for(lambda: answers(receiver, request_id) > 1, LIMIT)
        assert bench.connection.request_state(request_id)["state"] == "completed"
    finally:
        real_clocks(bench.connection)
    frames = [one for one in carried(bench, meter) if is_block(one)]
    alerts = [f for f in frames if decode_block(f).transfer.message_code == 0x00CB]
    alert = put_together(alerts).message
    assert len(alerts) > 1
    assert alert is not None
    assert decode_alert(decode(alert).payload).alert_code == AlertCode.FUTURE_DATED_SUCCESS
    assert {bench.cells(meter)[n].subject for n in SUPPLIER_CELLS} == {bench.supplier("B").eui}


@pytest.mark.check
def test_a_stack_that_sends_every_meter_blocks(tmp_path: Path) -> None:
    data = tmp_path / "data"
    hold_ceremony(data)
    stack = start(data, lambda _line: None, first_port=None, block_size=300)
    try:
        with Connection(stack) as connection:
            provision(connection, data)
            bench = Bench(data, connection)
            meter = bench.meter("ecos_party")
            told = connection.lab("acb", "GET", f"/lab/devices/{meter}/blocks")
            assert told == {"eui": meter, "size": None, "in_force": 300}
            assert bench.switch(meter, "B").ok
            assert sum(is_block(one) for one in carried(bench, meter)) > 3
    finally:
        stop(stack)
