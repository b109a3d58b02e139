"""An exchange taken out of both ends' logs holds on its own, and no byte of it can be changed."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stack_bench import Bench

from cli.connection import Connection
from cli.evidence import Report, Unreadable, judge, write_bundle
from cli.evidence_collect import body_of, collect, seal
from cli.provision import provision
from services.chassis.audit import row_hash

pytestmark = pytest.mark.xdist_group("stack")

Bundle = dict[str, Any]


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
    running.settle()  # the device's answer is passed on after the request has ended
    return outcome.request_id, write_bundle(collect(running, data, outcome.request_id))


class File(bytes):
    """Octets that do not fill the screen when a property fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} octets>"


@pytest.fixture(scope="module")
def whole(exchange: tuple[str, bytes]) -> bytes:
    return File(exchange[1])


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
    assert {
        ("acb", "link certificate"),
        ("ecos_party", "link certificate"),
        ("acb", "hash links"),
        ("ecos_party", "hash links"),
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
    refusals = [one for one in report.verified if "refused by" in one.detail]
    assert {one.party for one in refusals} == {"acb", "ecos_party"}
    assert all("ecos.registration.incoming_supplier" in one.detail for one in refusals)


def forged(whole: bytes, change: Callable[[Bundle], None]) -> Report:
    """What a forger who can rewrite whole logs makes of it: hashes and seal are made to fit."""
    bundle = json.loads(whole)
    change(bundle)
    for log in bundle["logs"].values():
        previous = log["rows"][0]["previous"]
        for row in log["rows"]:
            row["previous"] = previous
            if row["body"] is not None:
                row["body_digest"] = sha256(base64.b64decode(row["body"]))
            covered = ("seq", "at", "kind", "subject", "record", "body_digest", "previous")
            previous = row["hash"] = row_hash(**{name: row[name] for name in covered})
        log["head"] = {"seq": log["rows"][-1]["seq"], "hash": previous}
    bundle["seal"] = seal(bundle)
    return judge(write_bundle(bundle))


def sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


def link_row(bundle: Bundle, party: str, kind: str, purpose: str) -> dict[str, Any]:
    return next(
        row
        for row in bundle["logs"][party]["rows"]
        if row["kind"] == kind
        and dict(row["record"].get("headers", [])).get("cos-purpose") == purpose
    )


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
@settings(max_examples=6, deadline=None)
@given(where=PLACES)
def test_a_changed_octet_of_a_body_is_found_and_named(
    whole: bytes, party: str, kind: str, purpose: str, where: tuple[int, int]
) -> None:
    named: list[str] = []

    def change(bundle: Bundle) -> None:
        row = link_row(bundle, party, kind, purpose)
        named.append(f"row {row['seq']} {kind} body")
        body = flipped(base64.b64decode(row["body"]), *where)
        row["body"] = base64.b64encode(body).decode()

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


@pytest.mark.parametrize(
    ("name", "party"),
    [("service_request", "supplier"), ("command", "ecos_party"), ("device_response", "device")],
)
@settings(max_examples=10, deadline=None)
@given(where=PLACES)
def test_a_changed_document_is_found_and_named(
    whole: bytes, name: str, party: str, where: tuple[int, int]
) -> None:
    def change(bundle: Bundle) -> None:
        kept = bundle["documents"][name]
        kept["octets"] = base64.b64encode(
            flipped(base64.b64decode(kept["octets"]), *where)
        ).decode()

    report = forged(whole, change)
    part = name.replace("_", " ")
    assert [one for one in report.wrong if one.party == party and one.part == part] or [
        one for one in report.wrong if f"carries another {part}" in one.detail
    ]


@pytest.mark.parametrize("name", ["service_request", "command", "device_response"])
def test_another_partys_certificate_is_found_and_named(whole: bytes, name: str) -> None:
    def change(bundle: Bundle) -> None:
        other = "command" if name != "command" else "service_request"
        bundle["documents"][name]["certificate"] = bundle["documents"][other]["certificate"]

    parts = {(one.party, one.part) for one in forged(whole, change).wrong}
    party = {"service_request": "supplier", "command": "ecos_party", "device_response": "device"}
    assert parts & {(party[name], name.replace("_", " ")), ("documents", f"{name} certificate")}


@pytest.mark.parametrize("party", ["acb", "ecos_party"])
@pytest.mark.parametrize("position", [40, 200, -20])
def test_a_changed_link_certificate_is_found_and_named(
    whole: bytes, party: str, position: int
) -> None:
    def change(bundle: Bundle) -> None:
        der = base64.b64decode(bundle["link_certificates"][party])
        changed = flipped(der, position % len(der), 0)
        bundle["link_certificates"][party] = base64.b64encode(changed).decode()

    report = forged(whole, change)
    assert (party, "link certificate") in {(one.party, one.part) for one in report.wrong}


def test_a_row_taken_out_is_missed(whole: bytes) -> None:
    def change(bundle: Bundle) -> None:
        del bundle["logs"]["ecos_party"]["rows"][1]

    report = forged(whole, change)
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


def test_a_document_left_out_is_missed(whole: bytes) -> None:
    def change(bundle: Bundle) -> None:
        bundle["documents"]["command"] = None

    assert ("bundle", "command") in {(one.party, one.part) for one in forged(whole, change).wrong}


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


@settings(max_examples=60, deadline=None)
@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_octet_of_the_file_can_change_unnoticed(whole: bytes, position: int, bit: int) -> None:
    try:
        report = judge(flipped(whole, position, bit))
    except Unreadable:
        return
    assert not report.ok


Path_ = tuple[str | int, ...]


def leaves(value: Any, path: Path_ = ()) -> list[Path_]:
    if isinstance(value, dict):
        return [path, *(found for key in value for found in leaves(value[key], (*path, key)))]
    if isinstance(value, list):
        return [path, *(p for key in range(len(value)) for p in leaves(value[key], (*path, key)))]
    return [path]


ANYTHING = st.sampled_from([None, True, -1, 1 << 62, "", "\u20ac", "AAAA", [], {}, [[]], {"a": {}}])


@settings(max_examples=120, deadline=None)
@given(place=st.integers(0, 1 << 24), value=ANYTHING)
def test_whatever_stands_somewhere_is_judged_and_its_party_named(
    whole: bytes, place: int, value: Any
) -> None:
    bundle = json.loads(whole)
    paths = leaves(bundle)[1:]
    path = paths[place % len(paths)]
    inner = bundle
    for step in path[:-1]:
        inner = inner[step]
    if inner[path[-1]] == value or path in {("version",), ("kind",)}:
        return
    inner[path[-1]] = value
    report = judge(write_bundle(bundle))
    assert not report.ok
    if path[0] == "logs" and len(path) > 4:
        assert path[1] in {one.party for one in report.wrong}, path


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    for number, text in enumerate(("", "{}", "[]", '{"kind":"cos-evidence","version":2}')):
        file = tmp_path / f"{number}.json"
        file.write_text(text)
        with pytest.raises(Unreadable):
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
