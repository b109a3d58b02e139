"""Homes change supplier through the six systems, really started."""

from __future__ import annotations

import pytest
from stack_bench import Bench

from gbcs.codes import Cra, StatusCode
from gbcs.message import decode
from gbcs.payloads.credentials import decode_response
from stack.receiver import Receiver
from stack.switching import switch

pytestmark = pytest.mark.xdist_group("stack")

SUPPLIER = {
    "supplier/digitalSignature/management",
    "supplier/keyAgreement/management",
    "supplier/keyAgreement/prePaymentTopUp",
}


@pytest.mark.parametrize(("cos_party", "prefix"), [("tcos_party", "tcos"), ("ecos_party", "ecos")])
def test_the_incoming_supplier_takes_over(bench: Bench, cos_party: str, prefix: str) -> None:
    meter = bench.meter(cos_party)
    supplier = bench.supplier("B")
    before = bench.cells(meter)

    outcome = bench.switch(meter, "B")

    assert (outcome.state, outcome.response_code) == ("completed", "I0")
    after = bench.cells(meter)
    assert {name for name in after if after[name] != before[name]} == SUPPLIER
    assert {after[name].subject for name in SUPPLIER} == {supplier.eui}
    held = {name: cell.key_identifier for name, cell in after.items() if name in SUPPLIER}
    assert held == {
        name: supplier.keys.certificate(key).key_identifier.hex()
        for name, key in zip(
            sorted(SUPPLIER),
            ("digital-signing", "key-agreement", "prepayment-key-agreement"),
            strict=True,
        )
    }
    # The broker's record and the CoS Party's own say the same as the meter.
    record = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["cells"]
    assert {record[name]["subject"] for name in SUPPLIER} == {supplier.eui}
    # Every system that had to check did, and nobody said no.
    story = bench.story(outcome)
    made = {v["check"].split(".")[0] for e in story.events for v in e.verdicts}
    assert {"acb", prefix, "meter"} <= made
    assert not story.refusals


@pytest.mark.parametrize("cos_party", ["tcos_party", "ecos_party"])
def test_the_response_is_the_meters_own(bench: Bench, cos_party: str) -> None:
    meter = bench.meter(cos_party)
    outcome = bench.switch(meter, "B")
    message = decode(bench.response_payload(outcome))
    assert (message.header.cra, message.header.originator) == (Cra.RESPONSE, meter)
    parties = bench.connection.stack.facts["parties"]
    assert message.header.recipient == parties[cos_party]
    told = decode_response(message.payload).outcome
    assert told is not None
    assert [cell.status for cell in told.outcomes] == [StatusCode.SUCCESS] * 3


def test_both_suppliers_hear_of_it(bench: Bench, receiver: Receiver) -> None:
    outcome = switch(bench.connection, bench.data, bench.meter("tcos_party"), "B")
    receiver.wait_until("B", lambda document: document == outcome.response, 20)
    to_a = receiver.wait_until("A", lambda document: b"DeviceChangeOfSupplier" in document, 20)
    assert outcome.request_id.encode() not in to_a, "the old supplier is not told who asked"


def test_a_meter_point_can_come_back(bench: Bench) -> None:
    """B hands over to A again once A is the registered supplier; counters only ever grow."""
    meter = bench.meter("ecos_party")
    assert bench.switch(meter, "B").ok
    first = bench.device(meter)["counters"]
    now = bench.connection.lab("registration", "GET", "/lab/clock")["now"]
    bench.connection.lab(
        "registration",
        "POST",
        "/lab/registrations",
        {
            "mpxn": bench.mpxn(meter),
            "participant": bench.supplier("A").participant,
            "effective_from": now,
        },
    )
    try:
        assert bench.switch(meter, "A").ok
        assert bench.device(meter)["counters"] != first
        cells = bench.cells(meter)
        assert {cells[name].subject for name in SUPPLIER} == {bench.supplier("A").eui}
    finally:
        bench.connection.lab(
            "registration",
            "POST",
            "/lab/registrations",
            {
                "mpxn": bench.mpxn(meter),
                "participant": bench.supplier("B").participant,
                "effective_from": bench.connection.lab("registration", "GET", "/lab/clock")["now"],
            },
        )
