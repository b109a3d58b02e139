"""The exact spelling is judged and read as the tree is; what is no exact spelling is left to it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from effort import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

import duis.xml
from duis.bodies import DCC_ALERT_CONTENTS, REQUEST_BODIES, RESPONSE_BODIES
from duis.exact import Exact, exact_of, spell_request, spell_response
from duis.exact import _request_shape as request_shape
from duis.exact import _response_shape as response_shape
from duis.gate import Parsed, parse, validate
from duis.gate import _tree as tree
from duis.model import Acknowledgement, DeviceAlert, Response, ResponseMessage
from duis.signature_form import read_signature
from duis.xml import request_from_xml, request_to_xml, response_from_xml, response_to_xml
from tests.property.test_duis_documents import mutated, requests, responses
from tests.unit.duis.documents import (
    REQUEST_ID as ID,
)
from tests.unit.duis.documents import cos_request, put, signed, signer, unsigned

SHAPES = [
    *(request_shape(name) for name in REQUEST_BODIES),
    *(response_shape(*name) for name in RESPONSE_BODIES),
]
DECLARED = b'<?xml version="1.0" encoding="UTF-8"?>'


def by_the_tree(data: bytes) -> Parsed:
    """The document as it was read before there was an exact spelling; passes the gate."""
    return Parsed(data, tree(data, template=False))


def read(parsed: Parsed) -> Any:
    return request_from_xml(parsed) if parsed.kind == "Request" else response_from_xml(parsed)


def agrees_with_the_tree(exact: Exact) -> None:
    """All that the pattern says of a document, against the gate, schema and reader of trees."""
    slow = by_the_tree(exact.data)  # raises where the gate refuses
    assert slow.kind == exact.shape.kind
    assert slow.signed == exact.signed
    value = exact.read()
    if value is not None:
        validate(slow)
        assert read(slow) == value
    parts = exact.signature()
    if parts is not None:
        assert read_signature(slow.root) == parts
    root = tree(exact.data, template=False)
    if exact.signed:
        root.remove(root[-1])
    assert exact.canonical == etree.tostring(root, method="c14n")


@pytest.fixture
def without_exact(monkeypatch):
    monkeypatch.setattr(duis.xml, "_exactly", lambda _: None)  # the tree's writer


documents = st.one_of(requests().map(request_to_xml), responses().map(response_to_xml))


@given(documents, st.booleans(), st.booleans())
def test_what_is_written_is_read_alike(document, signs, declared):
    if signs:
        document = signer().sign_xml(document)
    if not declared:
        document = document.removeprefix(DECLARED)
    exact = exact_of(document)
    assume(exact is not None)
    agrees_with_the_tree(exact)


@given(request_=requests())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_is_written_alike(without_exact, request_):
    name = next(n for n, layout in REQUEST_BODIES.items() if layout.type is type(request_.body))
    try:
        written = spell_request(request_, name)
    except Exception:  # noqa: BLE001 - it has no exact spelling
        return
    if exact_of(written) is not None:
        assert written == request_to_xml(request_)


@given(response=responses())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_response_is_written_alike(without_exact, response):
    try:
        written = spell_response(response, *duis.xml._shape_of(response.body))
    except Exception:  # noqa: BLE001 - it has no exact spelling
        return
    if exact_of(written) is not None:
        assert written == response_to_xml(response)


def from_pattern(pattern: re.Pattern[bytes]) -> st.SearchStrategy[bytes]:
    """Anything that a pattern accepts; possessive repetition only says how it is looked for."""
    plain = re.compile(re.sub(rb"([\]}])\+\+", rb"\1{1,12}", pattern.pattern))
    return st.from_regex(plain, fullmatch=True)


@pytest.mark.parametrize("shape", [s for s in SHAPES if s is not None], ids=lambda s: s.element)
@given(data=st.data())
@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck), deadline=None)
def test_no_pattern_is_wider_than_gate_schema_and_form(shape, data):
    document = data.draw(from_pattern(shape.pattern))
    match = shape.pattern.fullmatch(document)
    assert match is not None
    agrees_with_the_tree(Exact(document, shape, match))


@given(mutated())
@settings(max_examples=examples(500), suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_document_is_judged_by_the_tree_or_alike(data):
    exact = exact_of(data)
    if exact is not None:
        agrees_with_the_tree(exact)


VALUES = st.sampled_from(
    [
        *("0", "1", "00", "+1", "-1", "9" * 13, "9" * 14, "9" * 18, "9" * 19, "9" * 20, str(2**63)),
        *("true", "1 ", " 1", "\n", "&#49;", "&amp;", "", " ", "AA==", "AB==", "AAA=", "AAB=", "A"),
        *("A===", "A\nA==", "2026-02-30T00:00:00.00Z", "0000-01-01T00:00:00.00Z", "\u0661"),
        *("2026-01-01T24:00:00.00Z", "2026-01-01T00:00:60.00Z", "6.23", "6.99", "6.15.1", "X"),
    ]
)


@given(st.data())
@settings(max_examples=examples(400), suppress_health_check=[HealthCheck.too_slow])
def test_other_values_in_a_document_are_judged_alike(data):
    document = data.draw(st.sampled_from([unsigned(), signed()]) | documents)
    places = list(re.finditer(rb">([^<]+)<", document))
    place = data.draw(st.sampled_from(places))
    start, end = place.span(1)
    document = document[:start] + data.draw(VALUES).encode() + document[end:]
    exact = exact_of(document)
    if exact is not None:
        agrees_with_the_tree(exact)


def answer(response_id: Any, body: Any) -> Response:
    return Response(ID, response_id, "I0", datetime(2026, 1, 1, tzinfo=UTC), body)


def test_what_a_change_of_supplier_sends_has_the_exact_spelling():
    sent = [
        signed(),
        *(
            signer().sign_xml(response_to_xml(response))
            for response in (
                answer(None, Acknowledgement("6.23", "6.23")),
                answer(ID, ResponseMessage("6.23", "6.23", b"response")),
                answer(ID, DeviceAlert(0x8F66, b"alert")),
            )
        ),
    ]
    for document in sent:
        exact = parse(document).exact
        assert exact is not None
        assert exact.read() is not None
        assert exact.signature() is not None


@pytest.mark.parametrize("name", [n for n in DCC_ALERT_CONTENTS if n != "ECoSAlert"])
def test_alerts_of_the_data_company_have_an_exact_spelling(name):
    assert response_shape("DCCAlertMessage", name) is not None


SPELLINGS = {
    "another prefix": lambda d: d.replace(b"sr:", b"q:").replace(b":sr=", b":q="),
    "another declaration": put(b'version="1.0" encoding="UTF-8"', b'version="1.0"'),
    "a namespace more": put(
        b"<sr:Request ", b'<sr:Request xmlns:ra="http://www.dccinterface.co.uk/ResponseAndAlert" '
    ),
    "quotes": put(b'schemaVersion="5.4"', b"schemaVersion='5.4'"),
    "a blank in a tag": put(b"<sr:Body>", b"<sr:Body >"),
    "zeros": put(b">1000<", b">01000<"),
    "a character reference": put(b">1000<", b">100&#48;<"),
    "lower case": put(b"-4D-", b"-4d-"),
}


@pytest.mark.parametrize("change", SPELLINGS.values(), ids=SPELLINGS)
def test_another_spelling_is_read_by_the_tree_and_says_the_same(change):
    document = change(unsigned())
    assert exact_of(document) is None
    assert request_from_xml(document) == cos_request()


def test_a_value_cannot_bring_markup_into_a_document():
    sneaked = "1</sr:SupplierFloorSeqNumber><sr:SupplierPrepaymentTopUpFloorSeqNumber>2"
    with pytest.raises(duis.xml.SchemaInvalid):
        request_to_xml(cos_request(supplier_floor=sneaked, prepayment_top_up_floor=None))
