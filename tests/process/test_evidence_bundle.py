"""An exchange taken out of both ends' logs holds on its own, and no byte of it can be changed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from effort import examples
from evidence_forger import Bundle, forged, holder, link_row, paths, write_body
from hypothesis import given, settings
from hypothesis import strategies as st
from stack_bench import Bench
from stack_homes import new_home
from typer.testing import CliRunner

from cli.app import app
from keys.certificate import Certificate
from services.chassis.time.clock import SystemClock
from stack.clocks import real_clocks, set_clocks
from stack.connection import Connection
from stack.evidence.collect import body_of, collect, seal, text_of
from stack.evidence.documents import NOTHING, READ_BACK
from stack.evidence.verify import UnreadableBundle, judge, write_bundle
from stack.provision import provision

pytestmark = pytest.mark.xdist_group("stack")


def cos(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def exchange(data: Path, running: Connection) -> tuple[str, bytes]:
    """A change of supplier that went well, as a bundle."""
    bench = Bench(data, running)
    bench.reset()
    provision(running, data, afresh=True)
    outcome = bench.switch(bench.meter("ecos_party"), "B")
    assert outcome.ok
    running.settle(
        kind="forward-to-cos-party"
    )  # the device's answer is passed on after the request has ended
    return outcome.request_id, write_bundle(collect(running, data, outcome.request_id))


@pytest.fixture(scope="module")
def whole(exchange: tuple[str, bytes]) -> bytes:
    return exchange[1]


def test_what_was_exported_is_verified_by_anyone(
    bench: Bench, exchange: tuple[str, bytes], tmp_path: Path
) -> None:
    request_id, _ = exchange
    file = tmp_path / "bundle.json"
    made = cos("evidence", "export", "--request", request_id, "--out", file,
               "--data", bench.data, "--json", cwd=tmp_path)  # fmt: skip
    assert made.returncode == 0, made.stdout
    assert json.loads(made.stdout)["rows"]["acb"] >= 4
    trust = bench.data / "ecos_party" / "trust"
    judged = cos("evidence", "verify", file, "--trust", trust, "--json", cwd=tmp_path)
    assert judged.returncode == 0, judged.stdout
    report = json.loads(judged.stdout)
    assert (report["ok"], report["wrong"], report["request_id"]) == (True, [], request_id)
    proven = {(one["party"], one["part"]) for one in report["verified"]}
    assert report["own_roots"] is False
    told = {(one["party"], one["part"]) for one in report["told"]}
    assert {("acb", "hash links"), ("ecos_party", "hash links"), ("acb", "verdicts")} <= told
    assert {
        ("acb", "link certificate"),
        ("ecos_party", "link certificate"),
        ("supplier", "service request"),
        ("ecos_party", "command"),
        ("device", "device response"),
        ("authorities", "infrastructure_root"),
    } <= proven
    assert sum(part.endswith("signature") for _, part in proven) == 8, "four messages, two ends"
    assert sum(party == "both ends" for party, _ in proven) == 4
    for secret in ("PRIVATE", (bench.data / "acb" / "passphrase").read_text().strip()):
        assert secret not in file.read_text()


def test_a_signed_refusal_is_evidence_too(bench: Bench) -> None:
    meter = bench.meter("ecos_party")
    request_id, document = bench.supplier("C").change_of_supplier(meter, bench.mpxn(meter))
    outcome = bench.submit(document, request_id)
    assert outcome.refused is not None
    report = judge(write_bundle(collect(bench.connection, bench.data, outcome.request_id)))
    assert report.ok, report.wrong
    assert [one.detail for one in report.told if one.part == "command"] == [NOTHING]
    refusals = [one for one in report.verified if "refused by" in one.detail]
    assert {one.party for one in refusals} == {"acb", "ecos_party"}
    assert all("ecos.registration.incoming_supplier" in one.detail for one in refusals)


def flipped(octets: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(octets)
    changed[position % len(octets)] ^= 1 << bit
    return bytes(changed)


PLACES = st.tuples(st.integers(0, 1 << 16), st.integers(0, 7))
"""An octet, counted round the end, and a bit of it."""

MESSAGES = [
    (party, f"link.{what}", purpose)
    for purpose in ("cos-command", "device-response")
    for party, what in (
        ("acb", "request.sent"),
        ("acb", "response.received"),
        ("ecos_party", "request.received"),
        ("ecos_party", "response.sent"),
    )
]


def test_a_forger_who_changes_nothing_passes(whole: bytes) -> None:
    assert forged(whole, lambda _: None).ok


@pytest.mark.parametrize(("party", "kind", "purpose"), MESSAGES)
@settings(max_examples=examples(6), deadline=None)
@given(where=PLACES)
def test_a_changed_octet_of_a_body_is_found_and_named(
    whole: bytes, party: str, kind: str, purpose: str, where: tuple[int, int]
) -> None:
    named: list[str] = []

    def change(bundle: Bundle) -> None:
        row = link_row(bundle, party, kind, purpose)
        named.append(f"row {row['seq']} {kind} body")
        body = flipped(base64.b64decode(row["body"]), *where)
        write_body(row, body)

    report = forged(whole, change)
    assert (party, named[-1]) in {(one.party, one.part) for one in report.wrong}


@pytest.mark.parametrize(("party", "kind", "purpose"), MESSAGES)
@pytest.mark.parametrize("place", range(8))
def test_a_changed_header_is_found_and_its_row_named(
    whole: bytes, party: str, kind: str, purpose: str, place: int
) -> None:
    """Each of the six covered headers, the signature input and the signature."""
    named: list[str] = []

    def change(bundle: Bundle) -> None:
        row = link_row(bundle, party, kind, purpose)
        named.append(f"row {row['seq']} {kind} ")
        pair = row["record"]["headers"][place]
        pair[1] = flipped(pair[1].encode(), len(pair[1]) // 2, 0).decode()

    report = forged(whole, change)
    assert [one for one in report.wrong if one.party == party and one.part.startswith(named[-1])]


@pytest.mark.parametrize("member", ["method", "path", "signature_base"])
@pytest.mark.parametrize("party", ["acb", "ecos_party"])
def test_a_changed_record_is_found_and_its_row_named(whole: bytes, party: str, member: str) -> None:
    kind = "link.request.sent" if party == "acb" else "link.request.received"

    def change(bundle: Bundle) -> None:
        record = link_row(bundle, party, kind, "cos-command")["record"]
        record[member] = record[member][:-1] + chr(ord(record[member][-1]) ^ 1)

    report = forged(whole, change)
    assert [one for one in report.wrong if one.party == party and kind in one.part]


@pytest.mark.parametrize("number", range(3))
@settings(max_examples=examples(10), deadline=None)
@given(where=PLACES)
def test_a_changed_certificate_of_a_signer_is_found(
    whole: bytes, number: int, where: tuple[int, int]
) -> None:
    def change(bundle: Bundle) -> None:
        given = bundle["certificates"]
        given[number] = text_of(flipped(base64.b64decode(given[number]), *where))

    report = forged(whole, change)
    assert {one.party for one in report.wrong} & {"certificates", "bundle"}


@pytest.mark.parametrize("party", ["acb", "ecos_party"])
@pytest.mark.parametrize("position", [40, 200, -20])
def test_a_changed_link_certificate_is_found_and_named(
    whole: bytes, party: str, position: int
) -> None:
    def change(bundle: Bundle) -> None:
        der = base64.b64decode(bundle["link_certificates"][party])
        changed = flipped(der, position % len(der), 0)
        bundle["link_certificates"][party] = text_of(changed)

    report = forged(whole, change)
    assert (party, "link certificate") in {(one.party, one.part) for one in report.wrong}


def test_a_row_taken_out_is_missed(whole: bytes) -> None:
    bundle = json.loads(whole)
    del bundle["logs"]["ecos_party"]["rows"][1]
    bundle["seal"] = seal(bundle)
    report = judge(write_bundle(bundle))
    assert [one for one in report.wrong if one.party == "ecos_party" and one.part.endswith("place")]


def test_a_row_changed_without_the_hashes_breaks_the_chain(whole: bytes) -> None:
    bundle = json.loads(whole)
    row = bundle["logs"]["ecos_party"]["rows"][1]
    row["at"] = row["at"].replace("T", "t")
    bundle["seal"] = seal(bundle)
    report = judge(write_bundle(bundle))
    assert [(one.party, one.part) for one in report.wrong] == [
        ("ecos_party", f"row {row['seq']} {row['kind']} hash")
    ]


def test_a_verdict_changed_by_accident_is_found(whole: bytes) -> None:
    bundle = json.loads(whole)
    bundle["verdicts"]["acb"][0]["outcome"] = "refused"
    report = judge(write_bundle(bundle))
    assert [one.part for one in report.wrong] == ["seal of verdicts"]


def test_other_roots_are_not_the_readers(whole: bytes) -> None:
    report = judge(whole, {"infrastructure_root": b"another"})
    assert {one.part for one in report.wrong} == {
        "infrastructure_root",
        "organisation_root",
        "device_root",
    }


@settings(max_examples=examples(60), deadline=None)
@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_octet_of_the_file_can_change_unnoticed(whole: bytes, position: int, bit: int) -> None:
    try:
        report = judge(flipped(whole, position, bit))
    except UnreadableBundle:
        return
    assert not report.ok


ANYTHING = st.sampled_from([None, True, -1, 1 << 62, "", "\u20ac", "AAAA", [], {}, [[]], {"a": {}}])


@settings(max_examples=examples(120), deadline=None)
@given(place=st.integers(0, 1 << 24), value=ANYTHING)
def test_whatever_stands_somewhere_is_judged_and_its_party_named(
    whole: bytes, place: int, value: Any
) -> None:
    bundle = json.loads(whole)
    places = paths(bundle)[1:]
    path = places[place % len(places)]
    inner = holder(bundle, path)
    if inner[path[-1]] == value or path in {("version",), ("kind",)}:
        return
    inner[path[-1]] = value
    report = judge(write_bundle(bundle))
    assert not report.ok
    if path[0] == "logs" and len(path) > 4:
        assert path[1] in {one.party for one in report.wrong}, path


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    for number, text in enumerate(("", "{}", "[]", '{"kind":"cos-evidence","version":1}')):
        file = tmp_path / f"{number}.json"
        file.write_text(text)
        with pytest.raises(UnreadableBundle):
            judge(file.read_bytes())
    assert cos("evidence", "verify", tmp_path / "0.json", cwd=tmp_path).returncode == 2


def test_a_request_that_no_cos_party_was_asked_about(bench: Bench, tmp_path: Path) -> None:
    made = cos("evidence", "export", "--request", "unheard-of", "--out", tmp_path / "x",
               "--data", bench.data, "--json", cwd=tmp_path)  # fmt: skip
    assert made.returncode == 1
    assert "never asked" in json.loads(made.stdout)["error"]
    assert not (tmp_path / "x").exists()


def test_withheld_bodies_are_of_other_exchanges_only(whole: bytes) -> None:
    bundle = json.loads(whole)
    for log in bundle["logs"].values():
        for row in log["rows"]:
            if row.get("withheld"):
                assert not row["subject"].startswith(bundle["transaction"])
                assert body_of(row) == {}


def renew(bench: Bench, tmp_path: Path, meter: str, supplier: str) -> Certificate:
    """A device's next signing key, as its supplier has it made, certified and put on."""
    request, given = tmp_path / "new.csr", tmp_path / "new.pem"
    caller = ["--supplier", supplier, "--meter", meter]
    for words in (
        ["request", "issue-credentials", *caller, "--key", "digital-signing", "--out", request],
        ["keys", "certify", "--request", request, "--out", given],
        ["request", "update-device-certificate", *caller, "--certificate", given],
    ):
        done = CliRunner().invoke(app, [*map(str, words), "--data", str(bench.data), "--json"])
        assert done.exit_code == 0, done.output
    return Certificate.from_pem(given.read_bytes())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_device_that_renewed_its_key_is_not_accused(
    bench: Bench, tmp_path: Path, when: str
) -> None:
    """The certificate in the bundle is the one in force when the device spoke: it verifies."""
    meter = bench.meter("ecos_party")
    old = bench.connection.lab("acb", "GET", f"/lab/devices/{meter}")["certificates"]
    if when == "before":
        new = renew(bench, tmp_path, meter, "A")
    outcome = bench.switch(meter, "B")
    assert outcome.ok
    bench.connection.settle(kind="forward-to-cos-party")
    if when == "after":
        new = renew(bench, tmp_path, meter, "B")

    bundle = collect(bench.connection, bench.data, outcome.request_id)

    report = judge(write_bundle(bundle))
    assert report.ok, (report.wrong, report.missing)
    given = [Certificate.from_der(base64.b64decode(text)) for text in bundle["certificates"]]
    (device,) = (one for one in given if one.is_device)
    assert (device.fingerprint == new.fingerprint) == (when == "before")
    assert (device.fingerprint == old["digital-signing"]["fingerprint"]) == (when == "after")
    shown = [one for one in report.verified if one.party == "device" and "signed by" in one.detail]
    assert f"{device.serial:x}" in shown[0].detail, "which certificate shows it is said"


def test_the_other_certificate_of_a_device_shows_nothing(bench: Bench, tmp_path: Path) -> None:
    """It names the device and is genuine, and is not the key that signed."""
    meter = bench.meter("ecos_party")
    outcome = bench.switch(meter, "B")
    bench.connection.settle(kind="forward-to-cos-party")
    new = renew(bench, tmp_path, meter, "B")
    whole = write_bundle(collect(bench.connection, bench.data, outcome.request_id))

    def change(bundle: Bundle) -> None:
        given = [Certificate.from_der(base64.b64decode(text)) for text in bundle["certificates"]]
        kept = [one.der for one in given if not one.is_device]
        bundle["certificates"] = [text_of(der) for der in sorted([*kept, new.der])]

    report = forged(whole, change)
    assert {(one.party, one.part.split()[-1]) for one in report.wrong} >= {
        ("acb", "body"),
        ("ecos_party", "body"),
        ("certificates", meter),
    }


def test_without_roots_of_ones_own_nothing_is_said_to_be_proven_of_anyone(
    whole: bytes, tmp_path: Path
) -> None:
    """Whoever makes up a whole bundle makes up its roots as well."""
    file = tmp_path / "bundle.json"
    file.write_bytes(whole)
    said = cos("evidence", "verify", file, cwd=tmp_path)
    assert said.returncode == 0
    assert "roots that it brings itself" in said.stdout
    assert "Told, not proven (signed by nobody):" in said.stdout
    assert json.loads(cos("evidence", "verify", file, "--json", cwd=tmp_path).stdout)["own_roots"]


def test_a_change_that_the_broker_had_to_read_back_is_evidence_without_an_answer(
    bench: Bench,
) -> None:
    """The device's answer was lost: nothing is said to be proven of what it did."""
    bench.connection.lab(
        "acb", "POST", "/lab/faults",
        {"kind": "drop", "direction": "outbound", "part": "answer", "hop": "meter_sim",
         "match": {}, "times": 1},
    )  # fmt: skip
    outcome = bench.switch(bench.meter("ecos_party"), "B")
    assert outcome.ok
    bench.connection.settle(kind="forward-to-cos-party")
    report = judge(write_bundle(collect(bench.connection, bench.data, outcome.request_id)))
    assert report.ok, (report.wrong, report.missing)
    assert [one.part for one in report.told if one.detail == NOTHING] == ["device response"]
    assert [one.party for one in report.told if one.detail == READ_BACK] == ["device"] * 2


def test_a_change_for_a_day_to_come_is_evidence_with_its_alert(bench: Bench) -> None:
    home = new_home(bench, "tcos_party")
    now = SystemClock().now().replace(microsecond=0)
    day = now + timedelta(days=10)
    set_clocks(bench.connection, now)
    try:
        request_id, document = bench.supplier("B").change_of_supplier(
            home.meter, home.mpxn, execution=day
        )
        outcome = bench.submit(document, request_id)
        set_clocks(bench.connection, day + timedelta(seconds=1))
        while bench.connection.request_state(outcome.request_id, wait=5)["state"] != "completed":
            pass  # the meter has yet to act, and to say so
        bench.connection.settle(kind="forward-to-cos-party")
    finally:
        real_clocks(bench.connection)
    report = judge(write_bundle(collect(bench.connection, bench.data, outcome.request_id)))
    assert report.ok, (report.wrong, report.missing)
    assert [one for one in report.verified if one.part == "device alert"]
