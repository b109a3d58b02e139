"""No forgery made without a key passes: every one is found wrong, or missing, by name.

The forger here may write both logs anew, numbers, hashes and seal with them. What it cannot make is
a signature.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from effort import examples
from evidence_forger import (
    Bundle,
    Path,
    Row,
    fit,
    forged,
    holder,
    link_row,
    mutate,
    paths,
    story,
    write_body,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from stack_bench import Bench

from stack.connection import Connection
from stack.evidence.collect import collect
from stack.evidence.verify import UnreadableBundle, judge, write_bundle
from stack.provision import provision

pytestmark = pytest.mark.xdist_group("stack")

REFUSAL = {
    "type": "urn:x-cos:check:ecos.registration.incoming_supplier",
    "title": "The requester is not the incoming supplier",
    "status": 403,
    "check": "ecos.registration.incoming_supplier",
    "party": "ecos_party",
}
ACB, ECOS = "acb", "ecos_party"
SENT, RECEIVED = "link.request.sent", "link.request.received"
ANSWERED, ANSWER = "link.response.received", "link.response.sent"


class File(bytes):
    """Octets that do not fill the screen when a property fails."""

    def __repr__(self) -> str:
        return f"<{len(self)} octets>"


def exported(bench: Bench, request_id: str) -> bytes:
    bench.connection.settle(
        kind="forward-to-cos-party"
    )  # the device's answer is passed on after the request has ended
    return File(write_bundle(collect(bench.connection, bench.data, request_id)))


@pytest.fixture(scope="module")
def bundles(data: Any, running: Connection) -> dict[str, bytes]:
    """Honest evidence: of a change, of another of the same home, of one that was refused."""
    bench = Bench(data, running)
    bench.reset()
    provision(running, data, afresh=True)
    meter = bench.meter(ECOS)
    changed = bench.switch(meter, "B")
    request_id, document = bench.supplier("C").change_of_supplier(meter, bench.mpxn(meter))
    refused = bench.submit(document, request_id)
    bench.connection.settle(kind="forward-to-cos-party")
    provision(running, data, afresh=True)
    again = bench.switch(meter, "B")
    assert changed.ok
    assert again.ok
    assert refused.refused is not None
    return {
        "changed": exported(bench, changed.request_id),
        "again": exported(bench, again.request_id),
        "refused": exported(bench, refused.request_id),
    }


@pytest.mark.parametrize("name", ["changed", "again", "refused"])
def test_what_is_honest_passes_and_so_does_what_is_written_anew_unchanged(
    bundles: dict[str, bytes], name: str
) -> None:
    report = judge(bundles[name])
    assert report.ok, (report.wrong, report.missing)
    anew = forged(bundles[name], lambda _: None)
    assert anew.ok
    assert story(anew) == story(report)


# --- one forgery after the other: what is done, and the finding that names it -----------------


def unsigned(row: Row) -> None:
    del row["record"]["signature_base"]


def into_a_refusal(row: Row) -> None:
    row["record"]["status"] = 403
    write_body(row, json.dumps(REFUSAL).encode())


def completed_into_refused(bundle: Bundle) -> None:
    """The whole change becomes a refusal at both ends, and the device's part is gone."""
    for party in (ACB, ECOS):
        log = bundle["logs"][party]
        for row in log["rows"]:
            if row["kind"] in (ANSWERED, ANSWER):
                unsigned(row)
                into_a_refusal(row)
        keep = [r for r in log["rows"] if "device-response" not in r["subject"]]
        log["rows"] = [r for r in keep if not r["kind"].startswith("cos.")]
        while "withheld" in log["rows"][-1]:
            log["rows"].pop()
    bundle["certificates"] = bundle["certificates"][:1]


def broker_alone_rewrites_the_answer(bundle: Bundle) -> None:
    row = link_row(bundle, ACB, ANSWERED)
    unsigned(row)
    into_a_refusal(row)


def answer_without_its_base(bundle: Bundle) -> None:
    unsigned(link_row(bundle, ACB, ANSWERED))


def base_without_a_value(bundle: Bundle) -> None:
    link_row(bundle, ACB, ANSWERED)["record"]["signature_base"] = None


def created_earlier(bundle: Bundle) -> None:
    for party, kind in ((ACB, SENT), (ECOS, RECEIVED)):
        row = link_row(bundle, party, kind)
        unsigned(row)
        for pair in row["record"]["headers"]:
            if pair[0] == "signature-input":
                at = pair[1].index("created=") + len("created=")
                pair[1] = pair[1][:at] + "1" * 10 + pair[1][at + 10 :]


def row_time_a_day_earlier(bundle: Bundle) -> None:
    row = link_row(bundle, ACB, SENT)
    row["at"] = "2001" + row["at"][4:]


def body_of_the_question(bundle: Bundle) -> None:
    row = link_row(bundle, ECOS, RECEIVED)
    unsigned(row)
    told = json.loads(base64.b64decode(row["body"]))
    document = base64.b64decode(told["service_request"]).replace(b"6.23", b"6.99")
    told["service_request"] = base64.b64encode(document).decode()
    write_body(row, json.dumps(told).encode())


def passed_off_as_refused(bundle: Bundle) -> None:
    """The genuine answer, said to have been refused: by a check that it passes."""
    row = link_row(bundle, ACB, ANSWERED)
    row["kind"] = "link.response.refused"
    row["record"]["verdict"] = {"check": "link.response.signature", "detail": "does not hold"}


def changed_and_said_to_be_refused(bundle: Bundle) -> None:
    """Another answer, under the kind that may be unsigned."""
    row = link_row(bundle, ACB, ANSWERED)
    passed_off_as_refused(bundle)
    row["record"]["status"] = 403


def question_said_to_be_refused(bundle: Bundle) -> None:
    """Once any error made a refused request count as rightly refused, and as verified."""
    row = link_row(bundle, ECOS, RECEIVED)
    row["kind"] = "link.request.refused"
    row["record"]["verdict"] = {"check": "link.request.signature", "detail": "does not hold"}
    row["record"]["path"] = "/link/other"


def question_said_to_be_a_strangers(bundle: Bundle) -> None:
    row = link_row(bundle, ECOS, RECEIVED)
    row["kind"] = "link.request.refused"
    row["record"] = {
        "version": 1,
        "verdict": {"check": "link.request.signature", "detail": "does not hold"},
        "body_octets": 1,
        "body_digest": "",
    }


def made_a_note(bundle: Bundle) -> None:
    """A kind of row that nobody signs."""
    link_row(bundle, ACB, ANSWERED)["kind"] = "lab.note"


def made_an_unknown_kind(bundle: Bundle) -> None:
    link_row(bundle, ACB, ANSWERED)["kind"] = "link.response.noted"


def subject_of_something_else(bundle: Bundle) -> None:
    row = link_row(bundle, ACB, ANSWERED)
    row["subject"] = "another"
    row["body"], row["withheld"] = None, True


def withheld_though_about_it(bundle: Bundle) -> None:
    row = link_row(bundle, ACB, ANSWERED)
    row["body"], row["withheld"] = None, True


def more_than_is_kept(bundle: Bundle) -> None:
    link_row(bundle, ACB, ANSWERED)["record"]["note"] = "it was refused"


def header_that_nothing_covers(bundle: Bundle) -> None:
    link_row(bundle, ACB, ANSWERED)["record"]["headers"].append(["x-status", "403"])


def header_of_the_question_changed(bundle: Bundle) -> None:
    """What an answer's row says of its question, beyond what the answer's signature covers."""
    row = link_row(bundle, ACB, ANSWERED)
    for pair in row["record"]["request"]["headers"]:
        if pair[0] == "cos-recipient":
            pair[1] = "tcos_party"


def dropped(party: str, kind: str, purpose: str = "cos-command") -> Callable[[Bundle], None]:
    def change(bundle: Bundle) -> None:
        rows = bundle["logs"][party]["rows"]
        rows.remove(link_row(bundle, party, kind, purpose))
        while "withheld" in rows[-1]:
            rows.pop()
        while "withheld" in rows[0]:
            rows.pop(0)

    return change


def both_answers_dropped(bundle: Bundle) -> None:
    dropped(ACB, ANSWERED)(bundle)
    dropped(ECOS, ANSWER)(bundle)


def doubled(party: str, kind: str) -> Callable[[Bundle], None]:
    def change(bundle: Bundle) -> None:
        rows = bundle["logs"][party]["rows"]
        row = link_row(bundle, party, kind)
        rows.insert(rows.index(row), copy.deepcopy(row))

    return change


def answer_before_question(bundle: Bundle) -> None:
    rows = bundle["logs"][ACB]["rows"]
    row = link_row(bundle, ACB, ANSWERED)
    rows.remove(row)
    rows.insert(0, row)


def device_before_command(bundle: Bundle) -> None:
    """The device's answer goes before what it answers, each with its own question."""
    rows = bundle["logs"][ACB]["rows"]
    late = [row for row in rows if "device-response" in row["subject"]]
    rows[:] = late + [row for row in rows if row not in late]
    while "withheld" in rows[-1]:
        rows.pop()


def swapped_ends(bundle: Bundle) -> None:
    """The rows of one log under the name of the other."""
    logs = bundle["logs"]
    logs[ACB], logs[ECOS] = logs[ECOS], logs[ACB]


def other_certificate(number: int) -> Callable[[Bundle], None]:
    def change(bundle: Bundle) -> None:
        given = bundle["certificates"]
        given[number] = given[number - 1]

    return change


def no_certificates(bundle: Bundle) -> None:
    bundle["certificates"] = []


def link_certificates_swapped(bundle: Bundle) -> None:
    given = bundle["link_certificates"]
    given[ACB], given[ECOS] = given[ECOS], given[ACB]


def link_certificate_gone(bundle: Bundle) -> None:
    del bundle["link_certificates"][ECOS]


def another_request(bundle: Bundle) -> None:
    bundle["request_id"] = bundle["request_id"][:-1] + "0"
    for log in bundle["logs"].values():
        for row in log["rows"]:
            if row["kind"].startswith("cos."):
                row["subject"] = bundle["request_id"]


def another_transaction(bundle: Bundle) -> None:
    bundle["transaction"] = "another"


def another_cos_party(bundle: Bundle) -> None:
    bundle["cos_party"] = "tcos_party"
    bundle["logs"]["tcos_party"] = bundle["logs"].pop(ECOS)


def note_of_another_command(bundle: Bundle) -> None:
    rows = bundle["logs"][ECOS]["rows"]
    row = next(row for row in rows if row["kind"] == "cos.signed")
    write_body(row, base64.b64decode(row["body"])[:-1] + b"\0")


FORGERIES = {
    completed_into_refused: [(ACB, "signature_base"), (ECOS, "signature_base")],
    broker_alone_rewrites_the_answer: [(ACB, "signature_base")],
    answer_without_its_base: [(ACB, "signature_base")],
    base_without_a_value: [(ACB, "signature_base")],
    created_earlier: [(ACB, "signature_base"), (ECOS, "signature_base")],
    row_time_a_day_earlier: [(ACB, "time")],
    body_of_the_question: [(ECOS, "signature_base")],
    passed_off_as_refused: [(ACB, "verdict")],
    changed_and_said_to_be_refused: [("both ends", "message")],
    question_said_to_be_refused: [(ECOS, '"@path"')],
    question_said_to_be_a_strangers: [(ECOS, "signature")],
    made_a_note: [("both ends", "message")],
    made_an_unknown_kind: [(ACB, "kind")],
    subject_of_something_else: [(ACB, "subject")],
    withheld_though_about_it: [(ACB, "withheld")],
    more_than_is_kept: [(ACB, "record")],
    header_that_nothing_covers: [(ACB, "headers")],
    header_of_the_question_changed: [(ACB, "request")],
    dropped(ACB, SENT): [(ACB, "request"), (ACB, "log")],
    dropped(ACB, ANSWERED): [("both ends", "message")],
    dropped(ACB, SENT, "device-response"): [(ACB, "request"), (ACB, "log")],
    dropped(ACB, ANSWERED, "device-response"): [("both ends", "message")],
    dropped(ECOS, RECEIVED): [(ECOS, "request")],
    dropped(ECOS, ANSWER): [(ECOS, "log")],
    dropped(ECOS, RECEIVED, "device-response"): [(ECOS, "request")],
    dropped(ECOS, ANSWER, "device-response"): [(ECOS, "log")],
    both_answers_dropped: [("both ends", "message")],
    doubled(ACB, SENT): [(ACB, "place")],
    doubled(ACB, ANSWERED): [(ACB, "place")],
    doubled(ECOS, RECEIVED): [(ECOS, "place")],
    doubled(ECOS, ANSWER): [(ECOS, "place")],
    answer_before_question: [(ACB, "request")],
    device_before_command: [(ACB, "place")],
    swapped_ends: [(ACB, "kind"), (ECOS, "kind")],
    other_certificate(0): [("certificates", "list")],
    other_certificate(1): [("certificates", "list")],
    other_certificate(2): [("certificates", "list")],
    no_certificates: [("supplier", "service request"), (ECOS, "body"), (ACB, "body")],
    link_certificates_swapped: [(ACB, "link certificate"), (ECOS, "link certificate")],
    link_certificate_gone: [(ACB, "key"), (ECOS, "key")],
    another_request: [("supplier", "service request"), (ACB, "body")],
    another_transaction: [(ACB, "withheld"), (ECOS, "withheld")],
    another_cos_party: [("tcos_party", "kind"), (ACB, "parties")],
    note_of_another_command: [(ECOS, "body")],
}
"""What is done to the evidence of a change, and who is named with which part."""


@pytest.mark.parametrize(
    ("change", "named"),
    FORGERIES.items(),
    ids=[f"{n} {change.__qualname__.split('.')[0]}" for n, change in enumerate(FORGERIES)],
)
def test_a_forgery_made_without_a_key_is_found_and_named(
    bundles: dict[str, bytes], change: Callable[[Bundle], None], named: list[tuple[str, str]]
) -> None:
    report = forged(bundles["changed"], change)
    assert not report.ok
    found = [*report.wrong, *report.missing]
    for party, part in named:
        assert [one for one in found if one.party == party and part in one.part], found
    # And what is still said to be proven is what was proven before: nothing was made proven.
    assert story(report) <= story(judge(bundles["changed"]))


@pytest.mark.parametrize("other", ["again", "refused"])
@pytest.mark.parametrize("party", [ACB, ECOS])
def test_rows_of_two_exchanges_do_not_mix(
    bundles: dict[str, bytes], other: str, party: str
) -> None:
    """Whole rows of another exchange, signed as they are, in the place of this one's."""
    theirs = json.loads(bundles[other])

    def answer_of_another(bundle: Bundle) -> None:
        kind = ANSWERED if party == ACB else ANSWER
        rows = bundle["logs"][party]["rows"]
        rows[rows.index(link_row(bundle, party, kind))] = link_row(theirs, party, kind)

    def whole_log_of_another(bundle: Bundle) -> None:
        bundle["logs"][party] = theirs["logs"][party]

    def under_its_name(bundle: Bundle) -> None:
        bundle |= copy.deepcopy(theirs) | {"request_id": bundle["request_id"]}

    for change in (answer_of_another, whole_log_of_another, under_its_name):
        report = forged(bundles["changed"], change)
        assert not report.ok
        assert {one.party for one in report.wrong} & {party, ACB}, report.wrong


def test_a_device_answer_of_another_change_is_none_to_this_command(
    bundles: dict[str, bytes],
) -> None:
    theirs = json.loads(bundles["again"])

    def change(bundle: Bundle) -> None:
        for party, kind in ((ACB, SENT), (ECOS, RECEIVED)):
            row = link_row(bundle, party, kind, "device-response")
            told = json.loads(base64.b64decode(row["body"]))
            other = link_row(theirs, party, kind, "device-response")
            told["message"] = json.loads(base64.b64decode(other["body"]))["message"]
            write_body(row, json.dumps(told, separators=(",", ":")).encode())

    wrong = forged(bundles["changed"], change).wrong
    assert {(one.party, one.part.split()[-1]) for one in wrong} >= {(ACB, "body"), (ECOS, "body")}


def test_what_nobody_signed_is_said_to_be_only_told(bundles: dict[str, bytes]) -> None:
    """A party's own notes and verdicts can be written anew; nothing proven rests on them."""

    def change(bundle: Bundle) -> None:
        for log in bundle["logs"].values():
            for row in log["rows"]:
                if row["kind"] == "cos.intent":
                    row["at"], row["record"] = "whenever", {"transaction": bundle["transaction"]}
        bundle["verdicts"] = {ACB: []}

    honest, report = judge(bundles["changed"]), forged(bundles["changed"], change)
    assert story(report) == story(honest)
    notes = [one for one in report.told if (one.party, one.part) == (ECOS, "own notes")]
    assert "signed by nobody" in notes[0].detail
    assert {one.part for one in report.told} >= {"hash links", "own notes", "verdicts"}
    assert not {one.part for one in report.verified} & {"hash links", "own notes", "verdicts"}


VALUES = st.sampled_from(
    [None, True, -1, 0, 1 << 62, "", "\u20ac", "AAAA", [], {}, [[]], {"a": {}},
     SENT, RECEIVED, ANSWER, "link.response.refused", "lab.note", "acb", "tcos_party", 403]
)  # fmt: skip


@pytest.mark.parametrize("name", ["changed", "refused"])
@settings(max_examples=examples(150), deadline=None)
@given(
    place=st.integers(0, 1 << 24),
    act=st.sampled_from(["remove", "replace", "double", "move"]),
    value=VALUES,
)
def test_no_one_change_with_hashes_that_fit_changes_what_is_proven(
    bundles: dict[str, bytes], name: str, place: int, act: str, value: Any
) -> None:
    """Whatever is removed, replaced, doubled or moved: it is found, or the story is the same."""
    bundle = json.loads(bundles[name])
    places: list[Path] = paths(bundle)[1:]
    path = places[place % len(places)]
    before = copy.deepcopy(holder(bundle, path))
    mutate(bundle, path, act, value)
    # what no longer has the shape of rows stays as the change left it
    with contextlib.suppress(LookupError, TypeError, AttributeError, ValueError):
        fit(bundle)
    try:
        report = judge(write_bundle(bundle))
    except UnreadableBundle:
        return
    if report.ok:
        assert story(report) == story(judge(bundles[name])), (path, act, before)
