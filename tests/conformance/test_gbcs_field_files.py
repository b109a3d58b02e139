"""Messages that real tools and devices write: read, kept, shown for what they are.

Also: whatever octets are given, `describe` says what they are or refuses them; nothing else.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acb.rules.device_alert import decoded, read_device_alert
from gbcs.errors import ParseError
from gbcs.message import decode
from gbcs.payloads.alerts import GenericAlert, ZigBeeAlert, decode_generic_alert, invoke_id_of
from gbcs.payloads.details import decode_details, encode_details
from gbcs.payloads.device_ber import DEFAULT_WRITTEN
from gbcs.text.describe import build, describe
from keys.stores.folder import KeyFolder

ACB = "90b3d51f30010000"
COMMON_NAME = bytes.fromhex("0603550403")
ALERTS = {
    "GCA-DLMS_NA_8F30_ALERT": ("valid", "absent"),
    "GCA-ZigBee_NA_8F30_ALERT": ("valid", "absent"),
    "GNCA-DLMS_NA_810E_ALERT": ("absent", "valid"),
    "GNCA-ZigBee_NA_810E_ALERT": ("absent", "valid"),
}


def read(path: Path) -> bytes:
    return bytes.fromhex(path.read_text().strip())


@pytest.mark.parametrize("name", ALERTS)
def test_the_published_generic_alerts_are_read_and_hold(shared_dir: Path, name: str):
    octets = read(shared_dir / "field" / f"{name}_GBCS.HEX")
    keys = KeyFolder(shared_dir / "rtds" / "keystore")
    shown = json.loads(json.dumps(describe(octets, keys, ACB)))
    assert (shown["signature"], shown["mac"]) == ALERTS[name]
    assert shown["payload_read"]
    assert shown["reencoded_identical"]
    assert shown["payload"]["alertCode"] in ("0x8f30", "0x810e")
    assert build(shown) == octets

    message = decode(octets)
    evidence = read_device_alert(message)
    assert evidence.fault is None
    alert = decode_generic_alert(message.payload)
    assert alert.moment.isoformat() == "2015-01-01T00:00:00+00:00"
    if "DLMS" in name:
        assert isinstance(alert, GenericAlert)
        assert alert.invoke_id == invoke_id_of(message.header.counter)
    else:
        assert isinstance(alert, ZigBeeAlert)
    if name.startswith("GCA"):
        decoded(evidence)  # the broker's reader takes it


def test_a_generic_alert_as_devices_write_it(shared_dir: Path):
    octets = read(shared_dir / "field" / "02-generic-alert-as-published-devices-write.hex")
    shown = describe(octets)
    assert shown["payload"]["alert"] == "Trusted Source Authentication Failure"
    assert shown["payload"]["invokeId"] == "0x000005"
    decoded(read_device_alert(decode(octets)))


def test_a_default_that_a_device_wrote_out_is_kept_and_said(shared_dir: Path):
    octets = read(shared_dir / "field" / "01-cs02a-response-cell-usage-explicit.hex")
    shown = json.loads(json.dumps(describe(octets)))
    assert shown["payload_read"]
    assert shown["reencoded_identical"]
    assert shown["payload"]["not_der"] == [DEFAULT_WRITTEN]
    assert build(shown) == octets
    payload = decode(octets).payload
    details = decode_details(payload)
    assert encode_details(details) == payload

    held = shown["payload"]["remotePartyDetails"][0]["trustAnchorCells"][0]
    held["subjectUniqueID"] = "0253494d00000003"  # changed, it is written anew: in DER
    again = describe(build(shown))
    assert "not_der" not in again["payload"]


def test_a_counter_beyond_what_every_json_reader_knows_is_text(shared_dir: Path):
    octets = read(shared_dir / "field" / "07-originator-counter-2p53plus1.hex")
    shown = describe(octets)
    assert shown["originator_counter"] == str(2**53 + 1)

    def through_floating_point(value: object) -> object:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    carried = {key: through_floating_point(value) for key, value in shown.items()}
    assert build({k: v for k, v in carried.items() if not isinstance(v, float)}) == octets
    assert build({**shown, "originator_counter": 2**53 + 1}) == octets


@cache
def field_and_vectors(shared: Path) -> list[bytes]:
    paths = [*(shared / "rtds").glob("*.HEX"), *(shared / "field").glob("*.[hH][eE][xX]")]
    return [read(path) for path in sorted(paths)]


EDITS = st.lists(
    st.tuples(st.sampled_from("dixx"), st.integers(0, 4000), st.integers(1, 255)),
    min_size=1,
    max_size=4,
)


def spoilt(octets: bytes, edits: list[tuple[str, int, int]]) -> bytes:
    """A few octets taken out, put in or changed."""
    data = bytearray(octets)
    for kind, place, value in edits:
        at = place % len(data)
        if kind == "d":
            del data[at]
        elif kind == "i":
            data.insert(at, value)
        else:
            data[at] ^= value
    return bytes(data)


def says_or_refuses(octets: bytes) -> None:
    try:
        shown = describe(octets)
    except ParseError:
        return
    assert build(json.loads(json.dumps(shown))) == octets


@given(st.integers(0, 100), EDITS)
@settings(max_examples=1500)
def test_every_vector_with_any_octet_changed_is_described_or_refused(
    shared_dir: Path, which: int, edits: list[tuple[str, int, int]]
):
    vectors = field_and_vectors(shared_dir)
    says_or_refuses(spoilt(vectors[which % len(vectors)], edits))


def test_an_odd_name_inside_a_certificate_is_no_crash(shared_dir: Path):
    """A tag changed in a certificate's subject: the library raises TypeError for it, not before."""
    path = shared_dir / "rtds" / "CS02bSupplierBySupplierHandover_6.21_SUCCESS_COMMAND_GBCS.HEX"
    octets = read(path)
    parts = octets.split(COMMON_NAME)
    assert len(parts) > 1
    for place in range(1, len(parts)):
        before, after = COMMON_NAME.join(parts[:place]), COMMON_NAME.join(parts[place:])
        says_or_refuses(before + COMMON_NAME + b"\x03" + after[1:])


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_octets_are_described_or_refused(noise: bytes):
    says_or_refuses(noise)
    says_or_refuses(b"\xdf\x09\x01" + noise)
